#include "engine/quarantine.h"

#include <stdio.h>

#include "engine/base/base64.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

#define LINE_BYTES_MAX (2 * VALUE_BYTES_LIMIT) /* base64 takes a third more */

struct quarantine {
    struct engine *e;
    quarantine_line_fn *line;
    void *arg;
    struct buf text;
};

/* ---- a line ---------------------------------------------------------------------------------- */

static void put_text(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static int line_write(struct quarantine *q, struct slice key, const struct sibling *s,
                      uint64_t target)
{
    char rest[160], whom[48] = "";
    struct buf *b = &q->text;
    buf_clear(b);
    put_text(b, "{\"key64\": \"");
    base64_encode(key, b);
    if (s->flags & SIBLING_TOMBSTONE) {
        put_text(b, "\", \"siblings\": [{\"deleted\": true}], ");
    } else {
        put_text(b, "\", \"value64\": \"");
        base64_encode(s->value, b);
        put_text(b, "\", ");
    }
    if (target)
        snprintf(whom, sizeof(whom), ", \"for\": \"%016llx\"", (unsigned long long)target);
    snprintf(rest, sizeof(rest), "\"dot\": \"%016llx.%016llx.%llu\", \"stamp\": %llu%s}\n",
             (unsigned long long)s->dot.actor.node, (unsigned long long)s->dot.actor.incarnation,
             (unsigned long long)s->dot.seq, (unsigned long long)s->stamp, whom);
    put_text(b, rest);
    return b->failed ? GT_ENOMEM : q->line(q->arg, buf_slice(b));
}

/* ---- what is not confirmed ------------------------------------------------------------------- */

static int entry_write(struct quarantine *q, uint32_t partition, const struct dotlog_entry *entry)
{
    struct engine *e = q->e;
    struct slice key = slice_blob(entry->key);
    struct view view;
    if (view_read(e, partition, hash_bytes(key), key, &e->local, &view) != 0)
        return 0; /* a bad record: nobody can say what it was */
    const struct sibling *s = state_find(&e->local, entry->dot);
    int error = s ? line_write(q, key, s, 0) : 0;
    view_close(&view);
    return error;
}

static int parcel_write(struct quarantine *q, struct parcel *parcel)
{
    struct engine *e = q->e;
    struct parcel_value v;
    struct blob *hold;
    if (parcel_read(e, parcel, &hold, &v) != 0)
        return 0;
    int error = 0;
    if (record_decode(v.record, parcel->partition, parcel_key(parcel), &e->local) == 0)
        for (uint32_t i = 0; i < e->local.sibling_count && !error; i++)
            error = line_write(q, parcel_key(parcel), &e->local.siblings[i], parcel->target);
    blob_unref(hold);
    return error;
}

static int parcels_write(struct quarantine *q)
{
    const struct parcels *all = &q->e->parcels;
    int error = 0;
    for (uint32_t i = 0; i < all->target_count && !error; i++)
        for (uint32_t k = 0; k < all->targets[i].place_count && !error; k++)
            if (all->targets[i].places[k].parcel)
                error = parcel_write(q, all->targets[i].places[k].parcel);
    return error;
}

int engine_quarantine(struct engine *e, quarantine_line_fn *line, void *arg)
{
    struct quarantine q = {.e = e, .line = line, .arg = arg};
    int error = 0;
    if (MUTANT(no_quarantine))
        return 0;
    buf_init(&q.text, LINE_BYTES_MAX);
    for (uint32_t p = 0; p < e->partition_count && !error; p++)
        for (uint32_t i = 0; e->partitions[p] && i < e->partitions[p]->log.count && !error; i++)
            error = entry_write(&q, p, &e->partitions[p]->log.entries[i]);
    if (!error)
        error = parcels_write(&q);
    buf_close(&q.text);
    return error;
}
