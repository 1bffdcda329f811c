/*
 * Causality: nothing is dropped without having been seen, what was superseded stays so, and a dot
 * names one write.
 *
 * 1. A put u, acked, that ended before a trusted `all` read r began: r shows u, or some write that
 *    may exist and began before r ended may have superseded u.
 *    Where deletes are reaped one may go, but not from beside a value that it outranks: while
 * nothing may have superseded it no trusted read answers a value whose stamp is below that of its
 * tombstone.
 * 2. No sibling that an acked put has surely superseded is shown by a trusted read that began after
 *    the put ended, nor live in an owner's replica in the end (superseded_back; check_resurrection
 *    does the same for deletes). What a plain put returned names what it covered.
 * 3. In all reads and replicas, whatever they were worth, a dot of a partition (of a key, when the
 *    partitions are not told) names one write of one key, or one tombstone, with one stamp. One
 *    read shows a dot once and a write once (RULES 10). A write may have several dots, from
 *    attempts through several coordinators.
 *
 * No false alarm: (1) a read of r owners meets one that holds u durably, in a state with u live or
 * superseded, and only a write that has seen u supersedes it (may_supersede). (2) the read meets an
 * owner whose history covers the sibling and that does not hold it live, and the merge then drops
 * it; in the end every owner has met such a one. (3) holds for every state that any node ever had,
 * acked or not.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/check.h"

/* ---- 1: vanished ----------------------------------------------------------------------------- */

/* An acked put that every later read owes, until a write that may have superseded it began. */
struct owed {
    const struct op *put;
    uint64_t until_us;
};

static bool put_vanished(const struct story *story, const struct key_ops *k, struct finding *out)
{
    struct owed *owed = need(k->acked_count, sizeof(*owed));
    uint32_t owed_count = 0, next = 0;
    bool found = false;
    for (uint32_t i = 0; i < k->read_count && !found; i++) {
        const struct op *read = k->reads[i];
        for (; next < k->acked_count && op_over_before(k->acked[next], read); next++) {
            const struct op *u = k->acked[next];
            if (u->kind == OP_PUT)
                owed[owed_count++] = (struct owed){u, superseded_from_us(story, u)};
        }
        uint32_t kept = 0;
        for (uint32_t j = 0; j < owed_count; j++)
            if (owed[j].until_us >= read->begin_us) /* reads after this one begin later still */
                owed[kept++] = owed[j];
        owed_count = kept;
        for (uint32_t j = 0; read->all && j < owed_count && !found; j++)
            if (owed[j].until_us >= read->end_us && !op_shows(read, owed[j].put->number))
                found = finding_set(out, "causality",
                                    "%s vanished: %s does not show it, and no write that had "
                                    "seen it could have superseded it by then",
                                    op_text(owed[j].put).text, op_text(read).text);
    }
    free(owed);
    return found;
}

/* Whether a tombstone is the delete's own: of what it was told when it was done its context gave it
 * all the rest. (What a plain one's session gave it is not told.) */
static bool own_tombstone(const struct op *d, const struct shown *s)
{
    return s->tombstone && history_covers(&d->returned, s->dot) &&
           !history_covers(&d->context, s->dot);
}

static void stamp_lower(const struct op *d, const struct shown *list, uint32_t count,
                        uint64_t *lowest)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].stamp < *lowest && own_tombstone(d, &list[i]))
            *lowest = list[i].stamp;
}

/* The stamp of the delete, as far as any read or replica showed its tombstone; else UINT64_MAX. */
static uint64_t tombstone_stamp(const struct run *run, const struct key_ops *k, const struct op *d)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < k->read_count; i++)
        stamp_lower(d, k->reads[i]->shown, k->reads[i]->shown_count, &lowest);
    for (uint32_t i = 0; i < run->replica_count; i++)
        if (run->replicas[i].key == d->key)
            stamp_lower(d, run->replicas[i].siblings, run->replicas[i].sibling_count, &lowest);
    return lowest;
}

/* The read answers a value below the stamp, of a put that was done before the delete was: one that
 * was minted later may have found the tombstone reaped. */
static bool answers_below(const struct run *run, const struct op *read, const struct op *d,
                          uint64_t stamp)
{
    const struct shown *winner = NULL;
    for (uint32_t i = 0; i < read->shown_count; i++)
        if (!winner || read->shown[i].stamp > winner->stamp)
            winner = &read->shown[i];
    if (!winner || winner->stamp >= stamp || winner->tombstone)
        return false;
    const struct op *w = shown_write(run, read->key, winner);
    return w && w->end == OP_DONE && w->end_us <= d->end_us;
}

static bool delete_vanished(const struct story *story, const struct key_ops *k, struct finding *out)
{
    for (uint32_t i = 0; story->run->reaps && i < k->acked_count; i++) {
        const struct op *d = k->acked[i];
        if (d->kind != OP_DELETE || d->plain)
            continue;
        uint64_t until_us = superseded_from_us(story, d);
        uint64_t stamp = tombstone_stamp(story->run, k, d);
        for (uint32_t j = 0; j < k->read_count && stamp != UINT64_MAX; j++) {
            const struct op *read = k->reads[j];
            if (!op_over_before(d, read) || until_us < read->end_us ||
                !answers_below(story->run, read, d, stamp))
                continue;
            return finding_set(out, "causality", "%s is gone from beside what it outranks: %s",
                               op_text(d).text, op_text(read).text);
        }
    }
    return false;
}

/* ---- 3: one dot, one write ------------------------------------------------------------------- */

struct naming {
    const struct shown *shown; /* NULL: an empty place */
    uint32_t key;
    uint64_t scope; /* partition, or key */
};

/* An open hash table, at most half full. */
struct registry {
    const struct run *run;
    struct naming *places;
    uint64_t mask;
};

static uint64_t dot_hash(uint64_t scope, struct dot d)
{
    uint64_t words[] = {scope, d.actor.node, d.actor.incarnation, d.seq}, h = 0;
    for (uint32_t i = 0; i < 4; i++) {
        h = (h ^ words[i]) * 0x9E3779B97F4A7C15ull;
        h ^= h >> 29;
    }
    return h;
}

static struct naming *registry_place(const struct registry *names, uint64_t scope, struct dot d)
{
    uint64_t at = dot_hash(scope, d) & names->mask;
    while (names->places[at].shown &&
           (names->places[at].scope != scope || dot_compare(names->places[at].shown->dot, d) != 0))
        at = (at + 1) & names->mask;
    return &names->places[at];
}

static bool names_differ(struct registry *names, uint32_t key, const struct shown *list,
                         uint32_t count, struct finding *out)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct shown *s = &list[i];
        uint64_t scope = names->run->partitions ? names->run->partitions[key] : key;
        struct naming *n = registry_place(names, scope, s->dot);
        if (!n->shown) {
            *n = (struct naming){s, key, scope};
            continue;
        }
        if (n->key != key || n->shown->write != s->write || n->shown->stamp != s->stamp)
            return finding_set(out, "causality",
                               "dot (%" PRIu64 ", %" PRIx64 ", %" PRIu64 ") names two writes: "
                               "%" PRIu64 " of key %" PRIu32 " stamp %" PRIx64 ", and %" PRIu64
                               " of key %" PRIu32 " stamp %" PRIx64 " (0 = a tombstone)",
                               s->dot.actor.node, s->dot.actor.incarnation, s->dot.seq,
                               n->shown->write, n->key, n->shown->stamp, s->write, key, s->stamp);
    }
    return false;
}

static bool shown_twice(const struct op *read, struct finding *out)
{
    for (uint32_t i = 0; i < read->shown_count; i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct shown *a = &read->shown[i], *b = &read->shown[j];
            if (dot_compare(a->dot, b->dot) == 0)
                return finding_set(out, "causality", "%s shows one dot twice", op_text(read).text);
            if (!a->tombstone && !b->tombstone && a->write == b->write)
                return finding_set(out, "causality", "%s shows put %" PRIu64 " twice",
                                   op_text(read).text, a->write);
        }
    return false;
}

static bool dots_differ(const struct run *run, struct finding *out)
{
    uint64_t count = 0, places = 2;
    for (uint64_t i = 0; i < run->op_count; i++)
        count += run->ops[i].shown_count;
    for (uint32_t i = 0; i < run->replica_count; i++)
        count += run->replicas[i].sibling_count;
    while (places < 2 * count)
        places *= 2;
    struct registry names = {run, need(places, sizeof(*names.places)), places - 1};
    bool found = false;
    for (uint64_t i = 0; i < run->op_count && !found; i++) {
        const struct op *op = &run->ops[i];
        found =
            shown_twice(op, out) || names_differ(&names, op->key, op->shown, op->shown_count, out);
    }
    for (uint32_t i = 0; i < run->replica_count && !found; i++) {
        const struct replica *r = &run->replicas[i];
        found = names_differ(&names, r->key, r->siblings, r->sibling_count, out);
    }
    free(names.places);
    return found;
}

bool check_causality(const struct run *run, struct finding *out)
{
    struct story story;
    bool found = dots_differ(run, out);
    story_init(&story, run);
    for (uint32_t key = 0; key < run->key_count && !found; key++)
        found = put_vanished(&story, &story.keys[key], out) ||
                delete_vanished(&story, &story.keys[key], out);
    found = found || superseded_back(&story, OP_PUT, "causality", out);
    story_close(&story);
    return found;
}
