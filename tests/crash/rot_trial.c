/*
 * One trial: what the engine shows before, while and after a bit flips.
 *
 *   at rest   strike -> open -> read, scan, scrub -> write, checkpoint -> read -> close -> the same
 *             once more
 *   serving   open -> write -> strike -> read, scrub, write, checkpoint, in an order that is drawn
 *             -> close, in order or not -> open -> read, scan, scrub
 *
 * What is shown must be of a put that was begun, to the byte, and none older than the newest that
 * was acknowledged, unless the engine has said that it does not know: of this key (GT_EUNKNOWN), of
 * its partition (it fills, a walk met a bad record or could not go on, or the counts are wrong) or
 * of the folder (its log was damaged).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/engine_private.h"
#include "tests/crash/rot.h"

#define RUN_BYTES 16384u
#define RETRY_US  40000000u /* longer than a checkpoint that failed waits */
#define PUTS      24

struct trial {
    struct rig rig;
    struct rig_config config;
    struct oracle oracle;
    struct prng *p;
    struct rot_outcome *out;
    bool said[RIG_PARTITIONS]; /* that something of it is not known */
    bool said_all;
};

static void phase(struct trial *t, const char *name)
{
    snprintf(t->out->phase, sizeof(t->out->phase), "%s", name);
}

/* The first that is wrong is kept. */
static void wrong(struct trial *t, const char *format, uint32_t key, uint32_t shown)
{
    if (t->out->verdict == ROT_WRONG)
        return;
    char what[160];
    snprintf(what, sizeof(what), format, key, shown);
    snprintf(t->out->text, ROT_TEXT_BYTES, "%s: %s (acknowledged %u, begun %u)", t->out->phase,
             what, t->oracle.acked[key], t->oracle.begun[key]);
    t->out->verdict = ROT_WRONG;
}

static uint32_t partition_of(uint32_t key)
{
    char text[32];
    snprintf(text, sizeof(text), "key-%u", key);
    return hash_partition(hash_bytes(slice_text(text)), RIG_PARTITIONS);
}

/* The partition is said to be in doubt; as a node does, it begins to fill. */
static void say(struct trial *t, uint32_t partition)
{
    if (t->said[partition])
        return;
    t->said[partition] = true;
    t->out->noticed = true;
    struct store_request r = {.kind = STORE_FILL,
                              .partition = partition,
                              .tag = UINT64_MAX - 1,
                              .fill = FILL_ROT,
                              .stamp = t->rig.now_us};
    engine_submit(t->rig.engine, &r, t->rig.now_us++);
    rig_run(&t->rig, &t->oracle);
}

static void ask_doubts(struct trial *t)
{
    t->said_all |= t->rig.report.doubtful || engine_damage(t->rig.engine)->kinds != 0;
    for (uint32_t p = 0; p < RIG_PARTITIONS; p++)
        t->said[p] |= engine_filling(t->rig.engine, p);
    t->out->noticed |= t->said_all;
}

static bool doubted(const struct trial *t, uint32_t key)
{
    return t->said_all || t->said[partition_of(key)];
}

/* ---- reading --------------------------------------------------------------------------------- */

static void read_all(struct trial *t)
{
    for (uint32_t key = 0; key < ORACLE_KEYS; key++) {
        uint32_t number = 0;
        int error = rig_get(&t->rig, key, &number);
        if (error == GT_EUNKNOWN) {
            say(t, partition_of(key));
            continue;
        }
        if (error == GT_EBUSY) /* what is not durable is not shown */
            continue;
        if (error)
            wrong(t, "key %u shows other bytes, error %u", key, (uint32_t)-error);
        else if (number > t->oracle.begun[key])
            wrong(t, "key %u shows put %u, never begun", key, number);
        else if (number < t->oracle.acked[key] && !doubted(t, key))
            wrong(t, "key %u shows put %u", key, number);
    }
}

static void named_read(struct trial *t)
{
    const struct blob *b = engine_meta(t->rig.engine, ROT_META_NAME);
    bool same = b && b->bytes == ROT_META_BYTES;
    for (size_t i = 0; same && i < b->bytes; i++)
        same = b->data[i] == ROT_META_BYTE;
    if (b ? !same : !t->said_all)
        wrong(t, "the named value is another one", 0, 0);
}

/* The answer to a request, which the caller releases. */
static bool answer(struct trial *t, struct store_request *r, struct store_result *out)
{
    r->tag = UINT64_MAX - 2;
    engine_submit(t->rig.engine, r, t->rig.now_us);
    bool found = false;
    for (int i = 0; i < 2 && !found; i++) {
        struct store_result result;
        while (!found && engine_result(t->rig.engine, &result)) {
            found = result.tag == UINT64_MAX - 2;
            if (found)
                *out = result;
            else
                store_result_release(&result);
        }
        if (!found)
            rig_step(&t->rig, ENGINE_LOG);
    }
    return found;
}

/* The scrub found nothing, so all that was put can be read where nothing was found before: a
 * partition that fills is counted anew at the end of that. */
static void scrub_judge(struct trial *t)
{
    uint32_t number;
    for (uint32_t key = 0; key < ORACLE_KEYS; key++)
        if (t->oracle.acked[key] > 0 && !doubted(t, key) &&
            rig_get(&t->rig, key, &number) == GT_EUNKNOWN)
            wrong(t, "the scrub finds nothing, and key %u is unknown%.0u", key, 0);
}

static void scrub_all(struct trial *t)
{
    bool any = false;
    for (uint32_t p = 0; p < RIG_PARTITIONS; p++) {
        bool noticed = false;
        for (bool more = true; more;) {
            struct store_request r = {.kind = STORE_SCRUB, .partition = p, .bytes_max = RUN_BYTES};
            struct store_result result;
            if (!answer(t, &r, &result))
                return;
            more = result.more && !result.result;
            noticed |= result.result || result.unknown || result.miscounted;
            store_result_release(&result);
        }
        if (noticed)
            say(t, p);
        any |= noticed;
    }
    if (!any)
        scrub_judge(t);
}

static void seen_note(struct slice entries, bool seen[ORACLE_KEYS], struct slice *last)
{
    struct reader r = reader_of(entries);
    while (reader_left(&r) > 0) {
        char text[32];
        struct slice key = read_bytes(&r), record = read_bytes(&r);
        snprintf(text, sizeof(text), "%.*s", (int)key.bytes, (const char *)key.data);
        unsigned number = ORACLE_KEYS;
        if (record.bytes > 0 && sscanf(text, "key-%u", &number) == 1 && number < ORACLE_KEYS)
            seen[number] = true;
        *last = key;
    }
}

/* What a walk over a partition leaves out is said to be absent. */
static void scan_all(struct trial *t)
{
    for (uint32_t p = 0; p < RIG_PARTITIONS; p++) {
        bool seen[ORACLE_KEYS] = {false}, ended = false;
        char from[64];
        struct store_request r = {
            .kind = STORE_SCAN, .partition = p, .bytes_max = RUN_BYTES, .from_start = true};
        for (int runs = 0; runs < 1000 && !ended; runs++) {
            struct store_result result;
            struct slice last = {NULL, 0};
            if (!answer(t, &r, &result))
                break;
            if (result.result || result.unknown)
                say(t, p);
            if (result.entries)
                seen_note(slice_blob(result.entries), seen, &last);
            ended = result.result || !result.more || last.bytes == 0 || last.bytes >= sizeof(from);
            if (!ended) {
                memcpy(from, last.data, last.bytes);
                r.from_start = false;
                r.from_key = slice_of(from, last.bytes);
                r.from_hash = hash_bytes(r.from_key);
            }
            store_result_release(&result);
        }
        for (uint32_t key = 0; key < ORACLE_KEYS && ended; key++)
            if (partition_of(key) == p && t->oracle.acked[key] > 0 && !seen[key] &&
                !doubted(t, key))
                wrong(t, "a walk leaves out key %u%.0u", key, 0);
    }
}

static void read_every_way(struct trial *t)
{
    if (prng_below(t->p, 2)) {
        phase(t, "scrub");
        scrub_all(t);
    }
    phase(t, "read");
    read_all(t);
    named_read(t);
    phase(t, "scan");
    scan_all(t);
    phase(t, "scrub");
    scrub_all(t);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_some(struct trial *t)
{
    phase(t, "write");
    for (int i = 0; i < PUTS; i++) {
        rig_put(&t->rig, &t->oracle, (uint32_t)prng_below(t->p, ORACLE_KEYS));
        if (i % 4 == 3)
            rig_run(&t->rig, &t->oracle);
    }
    rig_run(&t->rig, &t->oracle);
}

static void checkpoint(struct trial *t)
{
    phase(t, "checkpoint");
    t->rig.engine->checkpoint_wanted = true;
    rig_run(&t->rig, &t->oracle);
    t->rig.now_us += RETRY_US;
    rig_idle(&t->rig, &t->oracle);
}

static bool reopen(struct trial *t)
{
    phase(t, "open");
    int error = rig_open(&t->rig, &t->config);
    if (error == 0) {
        ask_doubts(t);
        return true;
    }
    if (t->out->verdict == ROT_WRONG)
        return false;
    t->out->verdict = ROT_REFUSED;
    snprintf(t->out->text, ROT_TEXT_BYTES, "%s%s", t->rig.report.where ? t->rig.report.where : "",
             error_text(error));
    return false;
}

static void leave(struct trial *t, bool clean)
{
    phase(t, "close");
    if (!clean)
        rig_idle(&t->rig, &t->oracle); /* what is not sealed is not proved */
    rig_close(&t->rig, &t->oracle, clean);
}

/* ---- the trial ------------------------------------------------------------------------------- */

static void strike(struct trial *t)
{
    phase(t, "strike");
    rot_strike(&t->out->place, t->p);
}

static void at_rest(struct trial *t)
{
    strike(t);
    if (!reopen(t))
        return;
    read_every_way(t);
    write_some(t);
    checkpoint(t);
    read_every_way(t);
    leave(t, true);
    if (!reopen(t))
        return;
    read_every_way(t);
    leave(t, true);
}

static void under_way(struct trial *t)
{
    if (!reopen(t)) {
        wrong(t, "a sound folder is not opened", 0, 0);
        return;
    }
    write_some(t);
    if (!rot_draw(t->config.folder, t->p, &t->out->place))
        t->out->place.target = ROT_TARGETS;
    else
        strike(t);
    for (int i = 0; i < 4; i++)
        switch (prng_below(t->p, 4)) {
        case 0:
            read_every_way(t);
            break;
        case 1:
            write_some(t);
            break;
        case 2:
            phase(t, "read");
            read_all(t);
            break;
        default:
            checkpoint(t);
            break;
        }
    read_every_way(t);
    leave(t, prng_below(t->p, 2) != 0);
    t->config.boot++;
    if (!reopen(t))
        return;
    read_every_way(t);
    leave(t, true);
}

void rot_trial(const struct rot_folder *folder, const char *copy, bool serving, struct prng *p,
               bool loud, struct rot_outcome *out)
{
    struct trial *t = calloc(1, sizeof(*t));
    gt_assert(t);
    t->config = folder->config;
    t->config.folder = copy;
    t->config.loud = loud;
    t->oracle = folder->oracle;
    t->p = p;
    t->out = out;
    if (serving)
        under_way(t);
    else
        at_rest(t);
    if (out->verdict == ROT_UNFINISHED)
        out->verdict = ROT_SOUND;
    free(t);
}
