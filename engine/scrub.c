/*
 * Whether a partition holds what it has counted (RULES 16). Count and sum of digests follow every
 * write, in the commit of its record. A record that is gone from the index, or one too many, shows
 * in nothing else here: every record that is there reads well.
 *
 * A walk adds up what is there, a run at a time, up to its cursor. A write up to the cursor changes
 * the sum of the walk just as it changes the counts, one behind it is met later. So at the end both
 * speak of the same moment, however much was written meanwhile.
 *
 *   idle --a request for a partition--> walking --the last run, compared--> idle
 *                                        |  ^
 *                                        |  '-- further runs
 *                                        '-- counts set anew, an error of the index --> idle
 *
 * A request for another partition begins there, and the walk before is forgotten.
 *
 * On its way it notes the keys of which a part alone is here (pieces.c).
 *
 * A bad record ends no walk, but nothing is compared then: it is reason enough by itself. Nor is it
 * while the partition fills, at the end of which everything is counted anew.
 */
#include <string.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

void scrub_follow(struct engine *e, uint32_t partition, uint64_t hash, struct slice key,
                  const struct presence *before, const struct presence *now)
{
    const struct scrub *s = &e->scrub;
    if (s->walking && s->partition == partition &&
        overlay_key_compare(hash, key, s->hash, slice_of(s->key, s->key_bytes)) <= 0)
        counts_replace(&e->scrub.found, key.bytes, before, now);
}

void scrub_forget(struct engine *e, uint32_t partition)
{
    if (e->scrub.partition == partition)
        e->scrub.walking = false;
}

/* Count and sum of a run of keys and digests; the cursor goes behind the last. */
static void run_add(struct scrub *s, struct slice run)
{
    struct slice last = {NULL, 0};
    struct reader entries = reader_of(run);
    while (reader_left(&entries) > 0) {
        last = read_bytes(&entries);
        uint64_t digest = read_u64(&entries);
        s->found.records++;
        s->found.digest_sum += digest;
        s->bad |= digest == 0;
    }
    if (last.bytes == 0)
        return;
    memcpy(s->key, last.data, last.bytes);
    s->key_bytes = (uint32_t)last.bytes;
    s->hash = hash_bytes(last);
}

/* The walk is at its end: whether the counts say something else. */
static bool miscounted(struct engine *e)
{
    const struct scrub *s = &e->scrub;
    struct engine_partition p;
    engine_partition(e, s->partition, &p);
    if (s->bad || engine_filling(e, s->partition) || MUTANT(counts_unread) ||
        (s->found.records == p.records && s->found.digest_sum == p.digest_sum))
        return false;
    e->metrics.miscounts_count++;
    log_error(e->log, "counts are wrong partition=%u counted=%llu found=%llu digests=%s",
              s->partition, (unsigned long long)p.records, (unsigned long long)s->found.records,
              s->found.digest_sum == p.digest_sum ? "equal" : "unequal");
    events_add(e->events, EVENT_MISCOUNT, "partition %u: %llu records counted, %llu found",
               s->partition, (unsigned long long)p.records, (unsigned long long)s->found.records);
    return true;
}

void engine_scrub(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_SCRUB, .tag = r->tag};
    struct scrub *s = &e->scrub;
    uint64_t lsn;
    e->metrics.scans_count++;
    if (r->partition >= PARTITIONS_MAX) {
        result.result = GT_ELIMIT;
        result_push(&e->results, &result);
        return;
    }
    if (!s->walking || s->partition != r->partition)
        *s = (struct scrub){.walking = true, .partition = r->partition};
    struct store_request run = {.kind = STORE_SCRUB,
                                .partition = r->partition,
                                .from_start = s->key_bytes == 0,
                                .from_hash = s->hash,
                                .from_key = slice_of(s->key, s->key_bytes),
                                .bytes_max = r->bytes_max};
    buf_clear(&e->scan);
    result.result = engine_scan_run(e, &run, &result, &lsn, &result.unknown);
    if (!result.result && e->scan.failed)
        result.result = GT_ENOMEM;
    if (!result.result) {
        run_add(s, buf_slice(&e->scan));
        s->bad |= result.unknown;
        if (!result.more) {
            pieces_read(e, s->partition);
            result.miscounted = miscounted(e);
        }
    }
    if (MUTANT(scrub_deaf))
        result.unknown = result.miscounted = false;
    s->walking = !result.result && result.more;
    if (e->scan.capacity > BODY_KEEP_BYTES)
        buf_close(&e->scan);
    result_push(&e->results, &result);
}
