#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"

/* ---- words ----------------------------------------------------------------------------------- */

struct op_text op_text(const struct op *op)
{
    static const char *const kinds[] = {"put", "delete", "read"};
    static const char *const ends[] = {"open", "done", "not applied", "in doubt", "failed"};
    struct op_text t;
    char end[24] = "";
    if (op->end_us != UINT64_MAX)
        snprintf(end, sizeof(end), "%" PRIu64, op->end_us);
    snprintf(t.text, sizeof(t.text),
             "%s %" PRIu64 " of key %" PRIu32 " (session %" PRIu32 ", %" PRIu64 "..%s us, %s)",
             kinds[op->kind], op->number, op->key, op->session, op->begin_us, end, ends[op->end]);
    return t;
}

bool finding_set(struct finding *out, const char *checker, const char *format, ...)
{
    va_list arguments;
    out->checker = checker;
    va_start(arguments, format);
    vsnprintf(out->text, sizeof(out->text), format, arguments);
    va_end(arguments);
    return true;
}

void *need(size_t count, size_t bytes)
{
    void *memory = calloc(count ? count : 1, bytes);
    gt_assert(memory);
    return memory;
}

/* ---- ops by key ------------------------------------------------------------------------------ */

static int by_begin(const void *left, const void *right)
{
    const struct op *a = *(const struct op *const *)left, *b = *(const struct op *const *)right;
    if (a->begin_us != b->begin_us)
        return a->begin_us < b->begin_us ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static int by_end(const void *left, const void *right)
{
    const struct op *a = *(const struct op *const *)left, *b = *(const struct op *const *)right;
    if (a->end_us != b->end_us)
        return a->end_us < b->end_us ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static void key_split(struct key_ops *k)
{
    qsort(k->ops, k->op_count, sizeof(*k->ops), by_begin);
    for (uint32_t i = 0; i < k->op_count; i++) {
        const struct op *op = k->ops[i];
        if (op_may_exist(op))
            k->writes[k->write_count++] = op;
        if (op_acked(op))
            k->acked[k->acked_count++] = op;
        if (op_trusted(op))
            k->reads[k->read_count++] = op;
    }
    qsort(k->acked, k->acked_count, sizeof(*k->acked), by_end);
}

static void keys_fill(struct story *story)
{
    const struct run *run = story->run;
    story->keys = need(run->key_count, sizeof(*story->keys));
    story->places = need(4 * run->op_count, sizeof(*story->places));
    for (uint64_t i = 0; i < run->op_count; i++) {
        gt_assert(run->ops[i].key < run->key_count && run->ops[i].number == i + 1);
        story->keys[run->ops[i].key].op_count++;
    }
    const struct op **next = story->places;
    for (uint32_t i = 0; i < run->key_count; i++) {
        struct key_ops *k = &story->keys[i];
        uint32_t count = k->op_count;
        *k = (struct key_ops){next, next + count, next + 2 * count, next + 3 * count, 0, 0, 0, 0};
        next += 4 * count;
    }
    for (uint64_t i = 0; i < run->op_count; i++) {
        struct key_ops *k = &story->keys[run->ops[i].key];
        k->ops[k->op_count++] = &run->ops[i];
    }
    for (uint32_t i = 0; i < run->key_count; i++)
        key_split(&story->keys[i]);
}

/* ---- the dots of values ---------------------------------------------------------------------- */

static void own_dots_learn(struct story *story, uint32_t key, const struct shown *list,
                           uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct op *write = shown_write(story->run, key, &list[i]);
        if (!write)
            continue;
        uint32_t *link = &story->dot_first[write->number];
        while (*link && dot_compare(story->dots[*link].dot, list[i].dot) != 0)
            link = &story->dots[*link].next;
        if (*link)
            continue;
        *link = story->dot_count;
        story->dots[story->dot_count++] = (struct own_dot){.dot = list[i].dot};
    }
}

static void own_dots_fill(struct story *story)
{
    const struct run *run = story->run;
    size_t count = 1; /* place 0 is "none" */
    for (uint64_t i = 0; i < run->op_count; i++)
        count += run->ops[i].shown_count;
    for (uint32_t i = 0; i < run->replica_count; i++)
        count += run->replicas[i].sibling_count;
    story->dot_first = need(run->op_count + 1, sizeof(*story->dot_first));
    story->dots = need(count, sizeof(*story->dots));
    story->dot_count = 1;
    for (uint64_t i = 0; i < run->op_count; i++)
        own_dots_learn(story, run->ops[i].key, run->ops[i].shown, run->ops[i].shown_count);
    for (uint32_t i = 0; i < run->replica_count; i++)
        own_dots_learn(story, run->replicas[i].key, run->replicas[i].siblings,
                       run->replicas[i].sibling_count);
}

void story_init(struct story *story, const struct run *run)
{
    *story = (struct story){.run = run};
    story->superseded = need(run->op_count + 1, sizeof(*story->superseded));
    keys_fill(story);
    own_dots_fill(story);
}

void story_close(struct story *story)
{
    free(story->superseded);
    free(story->keys);
    free(story->places);
    free(story->dot_first);
    free(story->dots);
}

/* ---- questions ------------------------------------------------------------------------------- */

bool op_shows(const struct op *read, uint64_t write)
{
    for (uint32_t i = 0; i < read->shown_count; i++)
        if (read->shown[i].write == write)
            return true;
    return false;
}

const struct op *shown_write(const struct run *run, uint32_t key, const struct shown *s)
{
    if (s->tombstone || s->write == 0 || s->write > run->op_count)
        return NULL;
    const struct op *op = &run->ops[s->write - 1];
    return op->kind == OP_PUT && op->key == key ? op : NULL;
}

/* An answer that holds nothing (there is none such) would be included in everything. */
static bool includes_returned(const struct history *h, const struct op *write)
{
    return write->end == OP_DONE && !history_empty(&write->returned) &&
           history_includes(h, &write->returned);
}

/* The read showed u, live. Which delete a tombstone is of, only its own answer tells. */
static bool read_saw(const struct op *read, const struct op *u)
{
    if (u->kind == OP_PUT)
        return op_shows(read, u->number);
    for (uint32_t i = 0; i < read->shown_count; i++)
        if (read->shown[i].tombstone &&
            (u->end != OP_DONE || history_covers(&u->returned, read->shown[i].dot)))
            return true;
    return !read->all && read->shown_count == 0; /* its winner was a tombstone, or nothing */
}

/* The history includes what u returned, or one of u's own dots. */
static bool claims(const struct story *story, const struct history *h, const struct op *u)
{
    if (includes_returned(h, u))
        return true;
    for (uint32_t i = story->dot_first[u->number]; i; i = story->dots[i].next)
        if (history_covers(h, story->dots[i].dot))
            return true;
    return false;
}

/* The read's session had been told of u when the read was answered: by other reads, or by writes of
 * its own. */
static bool session_told(const struct story *story, const struct op *read, const struct op *u)
{
    const struct key_ops *k = &story->keys[u->key];
    for (uint32_t i = 0; i < k->op_count && k->ops[i]->begin_us <= read->end_us; i++) {
        const struct op *o = k->ops[i];
        if (o->session != read->session || o->end != OP_DONE || o->end_us > read->end_us)
            continue;
        if (o->kind == OP_GET ? read_saw(o, u) : o == u || claims(story, &o->returned, u))
            return true;
    }
    return false;
}

bool may_supersede(const struct story *story, const struct op *v, const struct op *u)
{
    if (v == u || op_over_before(v, u))
        return false;
    if (v->plain)
        return true;
    if (!v->basis)
        return claims(story, &v->context, u);
    const struct op *from = &story->run->ops[v->basis - 1];
    if (from->kind != OP_GET)
        return from == u || may_supersede(story, from, u);
    return read_saw(from, u) || (claims(story, &v->context, u) && session_told(story, from, u));
}

uint64_t superseded_from_us(const struct story *story, const struct op *u)
{
    const struct key_ops *k = &story->keys[u->key];
    struct superseded *found = &story->superseded[u->number];
    if (found->known)
        return found->from_us;
    *found = (struct superseded){.known = true, .from_us = UINT64_MAX};
    for (uint32_t i = 0; i < k->write_count && found->from_us == UINT64_MAX; i++)
        if (may_supersede(story, k->writes[i], u))
            found->from_us = k->writes[i]->begin_us;
    return found->from_us;
}

uint32_t chains_mark(const struct story *story, const struct key_ops *k, bool *marked,
                     uint32_t *queue, uint32_t count)
{
    for (uint32_t next = 0; next < count; next++)
        for (uint32_t i = 0; i < k->write_count; i++) {
            if (marked[i] || !may_supersede(story, k->writes[queue[next]], k->writes[i]))
                continue;
            marked[i] = true;
            queue[count++] = i;
        }
    return count;
}

bool may_be_reaped(const struct story *story, uint32_t key, uint64_t from_us, const struct op *read)
{
    const struct key_ops *k = &story->keys[key];
    for (uint32_t i = 0; story->run->reaps && i < k->write_count; i++) {
        const struct op *d = k->writes[i];
        bool over = d->end == OP_DONE && d->end_us < from_us;
        if (d->kind == OP_DELETE && !over && d->begin_us < read->end_us)
            return true;
    }
    return false;
}

/* ---- superseded, and back -------------------------------------------------------------------- */

/* read: that shows it; NULL: it is live in the end. */
static bool surely_superseded(const struct run *run, const struct op *d, const struct shown *s,
                              const struct op *read)
{
    if (s->tombstone)
        return d->kind == OP_PUT && history_covers(&d->returned, s->dot);
    const struct op *write = shown_write(run, d->key, s);
    if (!write || write == d)
        return false;
    if (history_covers(&d->returned, s->dot))
        return true;
    /* A dot that its write was told of would have been covered with all the rest. (Of an attempt
     * that is known by name alone nothing is told: then that is what its session had seen before.)
     * Of a put that two coordinators minted which did not reach one another, and that reached w
     * with guests, no owner can have promised anything to both. And one that was found after it was
     * superseded is told of one of its dots; another attempt may have stored it again since, above
     * d, which had superseded that dot (seed 3524). While it is under way its attempts are at
     * owners that may not have heard of one another (seed 50554). */
    bool found_above = write->known && write->plain && s->stamp > d->stamp;
    bool over = !read || op_over_before(write, read);
    return over && !found_above && write->end == OP_DONE && write->guests == 0 &&
           !op_over_before(d, write) && !history_covers(&write->returned, s->dot) &&
           includes_returned(&d->returned, write);
}

/* The write of this kind that has surely superseded the sibling; of those that were over before the
 * read began, when there is one. */
static const struct op *superseder(const struct run *run, const struct key_ops *k,
                                   enum op_kind kind, const struct op *read, const struct shown *s)
{
    for (uint32_t i = 0; i < k->acked_count; i++) {
        const struct op *d = k->acked[i];
        if (read && !op_over_before(d, read))
            break; /* they ascend by end */
        if (d->kind == kind && surely_superseded(run, d, s, read))
            return d;
    }
    return NULL;
}

static struct op_text sibling_text(const struct shown *s)
{
    struct op_text t = {"a tombstone"};
    if (!s->tombstone)
        snprintf(t.text, sizeof(t.text), "put %" PRIu64, s->write);
    return t;
}

static bool read_back(const struct run *run, const struct key_ops *k, enum op_kind kind,
                      const struct op *read, const char *checker, struct finding *out)
{
    for (uint32_t i = 0; i < read->shown_count; i++) {
        const struct op *d = superseder(run, k, kind, read, &read->shown[i]);
        if (d)
            return finding_set(out, checker, "%s is back: %s shows it, and %s had superseded it",
                               sibling_text(&read->shown[i]).text, op_text(read).text,
                               op_text(d).text);
    }
    return false;
}

static bool replica_back(const struct run *run, const struct key_ops *k, enum op_kind kind,
                         const struct replica *r, const char *checker, struct finding *out)
{
    for (uint32_t i = 0; i < r->sibling_count; i++) {
        const struct op *d = superseder(run, k, kind, NULL, &r->siblings[i]);
        if (d)
            return finding_set(out, checker,
                               "%s is back: it is live on node %" PRIu32
                               ", and %s had superseded it",
                               sibling_text(&r->siblings[i]).text, r->node, op_text(d).text);
    }
    return false;
}

bool superseded_back(const struct story *story, enum op_kind kind, const char *checker,
                     struct finding *out)
{
    const struct run *run = story->run;
    bool found = false;
    for (uint32_t key = 0; key < run->key_count && !found; key++) {
        const struct key_ops *k = &story->keys[key];
        for (uint32_t i = 0; i < k->read_count && !found; i++)
            found = read_back(run, k, kind, k->reads[i], checker, out);
    }
    for (uint32_t i = 0; i < run->replica_count && !found; i++) {
        const struct replica *r = &run->replicas[i];
        found = r->owner && replica_back(run, &story->keys[r->key], kind, r, checker, out);
    }
    return found;
}
