/*
 * Records that lie in the index where no search finds them (RULES 16). LMDB keeps no checksums: a
 * bit that flips in a key leaves a record under a name that is not its own, or out of order. Nobody
 * asks for it by that name, other keys of its page may be missed by searches that it leads astray,
 * and whoever walks over the partition and takes what he meets for all there is (fill.c) misses it.
 *
 *   a walk meets one -> it counts as a bad record: the partition fills from the others
 *   the next one does, while it fills -> the next checkpoint walks over the partition, removes all
 *                       of them, and writes what was pulled, in one commit
 *
 * Where there is nobody to fill from it stays, and `gtstore-check --salvage` may read it.
 *
 * The key of the record that has gone astray is not known, so it may be any that is not found.
 * Until the partition fills because of rot, and its clock has been given up, nothing is merged
 * where there is nothing: the clock would say of the right record, brought by another owner, that
 * it was dropped here by right. Nor does filling for another reason end before that has begun.
 */
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/engine_private.h"

enum stray stray_judge(struct stray_walk *w, struct slice index_key, struct slice record)
{
    uint32_t partition;
    uint64_t hash;
    struct slice key, last = slice_of(w->key, w->key_bytes);
    if (index_data_key_split(index_key, &partition, &hash, &key) != 0)
        return STRAY_END;
    if (partition != w->partition) { /* of the next one; or its partition is what has rotted */
        if (record_verify(record, w->partition, key) == 0)
            return STRAY;
        bool next = partition > w->partition && hash == hash_bytes(key) &&
                    record_verify(record, partition, key) == 0;
        return next ? STRAY_END : STRAY_OTHER;
    }
    bool behind = w->key_bytes == 0 || overlay_key_compare(w->hash, last, hash, key) < 0;
    if (hash != hash_bytes(key) || !behind)
        return STRAY;
    memcpy(w->key, key.data, key.bytes);
    w->key_bytes = (uint32_t)key.bytes;
    w->hash = hash;
    return STRAY_NOT;
}

void stray_met(struct engine *e, uint32_t partition)
{
    struct partition *p = engine_partition_find(e, partition);
    if (!p)
        return;
    e->metrics.bad_records_count++;
    if (p->fill.reason != FILL_ROT) {
        if (!p->rotten) {
            log_error(e->log, "a key of the index has rotted partition=%u", partition);
            events_add(e->events, EVENT_BAD_RECORD, "partition %u, a key of the index", partition);
        }
        p->rotten = true;
    } else if (!p->strays && overlay_reserve(e->active, partition) == 0) {
        p->strays = true;
        overlay_touch(e->active, partition);
        e->checkpoint_wanted = true;
    }
}

static enum index_judgement purge_judge(void *arg, struct slice index_key, struct slice record)
{
    enum stray stray = stray_judge(arg, index_key, record);
    return stray == STRAY_END ? INDEX_END : stray == STRAY ? INDEX_DROP : INDEX_KEEP;
}

int strays_purge(struct index *x, struct index_write *w, uint32_t partition)
{
    struct stray_walk walk = {.partition = partition};
    uint8_t at[2];
    return x->purge(w, INDEX_DATA, index_partition_key(at, partition), purge_judge, &walk);
}
