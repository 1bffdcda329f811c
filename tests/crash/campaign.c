#include "tests/crash/campaign.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "tests/crash/states.h"

#define RUN_LIVES            5u
#define RUN_STEPS            45u
#define RUN_BOOT             1u
#define VALUE_BYTES          700u
#define VALUE_BYTES_LARGE    5000u /* in every third run */
#define RECOVERY_LIVES       2u
#define RECOVERY_STEPS       10u
#define RECOVERY_ONE_IN      800u /* states whose recovery is recorded, and cut */
#define RECOVERY_TAIL_ONE_IN 25u  /* torn ones with at most TAIL_CALLS pending: ends of the log */
#define TAIL_CALLS           2u
#define RECOVERY_CUT_ONE_IN  12u /* of its cuts */
#define TEARS_ONE_IN         3u  /* of the numbered states that tear */
#define DRAWN_STATES         3u  /* further ones, of each cut */
#define STATE_SECONDS_MAX    60u /* an engine that hangs in a state is ended there */
#define MORE_ONE_IN          8u  /* states after which the engine goes on */

/* ---- which were checked already -------------------------------------------------------------- */

struct hashes {
    uint64_t *slots; /* 0: free */
    size_t count, capacity;
};

static bool hashes_add(struct hashes *h, uint64_t hash);

static void hashes_grow(struct hashes *h)
{
    struct hashes larger = {.capacity = h->capacity ? h->capacity * 2 : 1024};
    larger.slots = calloc(larger.capacity, sizeof(uint64_t));
    gt_assert(larger.slots);
    for (size_t i = 0; i < h->capacity; i++)
        if (h->slots[i])
            hashes_add(&larger, h->slots[i]);
    free(h->slots);
    *h = larger;
}

/* False when it is there already. */
static bool hashes_add(struct hashes *h, uint64_t hash)
{
    if (h->count * 2 >= h->capacity)
        hashes_grow(h);
    hash = hash ? hash : 1;
    size_t at = (size_t)hash & (h->capacity - 1);
    for (; h->slots[at]; at = (at + 1) & (h->capacity - 1))
        if (h->slots[at] == hash)
            return false;
    h->slots[at] = hash;
    h->count++;
    return true;
}

/* ---- one worker ------------------------------------------------------------------------------ */

struct worker {
    struct campaign *c;
    struct progress *progress;
    uint32_t number;
    char folder[320]; /* where states are placed */
    struct hashes seen;
    bool loud;
};

/* A number that follows from the place. */
static uint64_t place_hash(const struct place *at)
{
    return hash_bytes(slice_of((const uint8_t *)at, sizeof(*at)));
}

static uint32_t value_bytes(uint64_t run)
{
    return run % 3 == 0 ? VALUE_BYTES_LARGE : VALUE_BYTES;
}

static uint64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static bool worker_ends(const struct worker *w)
{
    struct campaign *c = w->c;
    uint64_t all = 0;
    for (uint32_t i = 0; i < c->jobs; i++)
        all += c->shared->workers[i].checked;
    return c->shared->stop || all >= c->states_max || (c->until_s && now_s() >= c->until_s);
}

static bool state_check(struct worker *w, const struct image *image, const struct oracle *o)
{
    struct progress *p = w->progress;
    uint64_t drawn = place_hash(&p->at);
    char data[400];
    snprintf(data, sizeof(data), "%s/" DATA_FOLDER, w->folder);
    if (!image_place(image, w->folder, drawn)) {
        snprintf(p->why, sizeof(p->why), "a state could not be written");
        p->verdict = VERDICT_DIED;
        return false;
    }
    struct check check = {.folder = data,
                          .boot = RUN_BOOT + 1 + (p->at.cut2 > 0),
                          .seed = drawn,
                          .value_bytes_max = value_bytes(p->at.seed),
                          .more = drawn / 1024 % MORE_ONE_IN == 0,
                          .loud = w->loud};
    alarm(STATE_SECONDS_MAX);
    p->verdict = check_run(&check, o, p->why, sizeof(p->why));
    alarm(0);
    p->checked++;
    p->of_recovery += p->at.cut2 > 0;
    return p->verdict == VERDICT_RIGHT;
}

/* The state of this number, where the model stands. */
static void state_make(const struct model *m, const struct place *at, struct image *out)
{
    bool second = at->cut2 > 0;
    uint64_t number = second ? at->state2 : at->state;
    struct cut cut = {.choices = calloc(model_pending(m) + 1, sizeof(*cut.choices))};
    gt_assert(cut.choices);
    states_cut(m, number, at->seed * 1000003u + (second ? at->cut2 : at->cut), &cut);
    model_cut(m, &cut, out);
    free(cut.choices);
}

/* The same bytes with other promises are another state. */
static bool is_new(struct worker *w, const struct image *image, const struct oracle *o)
{
    uint64_t parts[2] = {image_hash(image), hash_bytes(slice_of((const uint8_t *)o, sizeof(*o)))};
    return hashes_add(&w->seen, hash_bytes(slice_of((const uint8_t *)parts, sizeof(parts))));
}

static bool recovery_cut(struct worker *w, const struct image *image, const struct oracle *o);

/* Whether a state of this number is tried at a cut, besides those that tear nothing. */
static bool is_drawn(const struct place *at, uint64_t number, uint64_t all)
{
    struct place it = *at;
    *(at->cut2 > 0 ? &it.state2 : &it.state) = number;
    return number >= all || place_hash(&it) % TEARS_ONE_IN == 0;
}

/* All states of one cut. False when one is wrong, or it is time to end. */
static bool cut_check(struct worker *w, const struct model *m, const struct oracle *o)
{
    struct place *at = &w->progress->at;
    bool second = at->cut2 > 0, right = true;
    uint64_t plain, all = states_count(m, &plain);
    for (uint64_t number = 0; number < all + DRAWN_STATES && right; number++) {
        if (number >= plain && !is_drawn(at, number, all))
            continue;
        *(second ? &at->state2 : &at->state) = number;
        struct image image;
        state_make(m, at, &image);
        if (is_new(w, &image, o)) {
            right = !worker_ends(w) && state_check(w, &image, o);
            bool tail = number >= plain && model_pending(m) <= TAIL_CALLS;
            uint64_t one_in = tail ? RECOVERY_TAIL_ONE_IN : RECOVERY_ONE_IN;
            if (right && !second && place_hash(at) % one_in == 0)
                right = recovery_cut(w, &image, o);
        }
        image_close(&image);
    }
    return right;
}

static bool changes(const struct trace_op *op)
{
    return op->head.kind != TRACE_MARK && op->head.kind != TRACE_SYNC;
}

/* The states of all cuts of a trace that are this worker's, or of those that are drawn. */
static bool trace_check(struct worker *w, const struct trace *t, const struct image *before)
{
    struct place *at = &w->progress->at;
    bool second = before != NULL, right = true;
    struct model *m = model_new(before);
    struct oracle o = {{0}, {0}};
    uint64_t marks = 0;
    for (size_t i = 0; i <= t->count && right; i++) {
        bool last = i == t->count;
        bool sense = last || model_begin(m, &t->ops[i]);
        gt_assert(sense);
        if (!last) {
            oracle_note(&o, &t->ops[i]);
            marks += t->ops[i].head.kind == TRACE_MARK;
        }
        *(second ? &at->cut2 : &at->cut) = i + 1;
        *(second ? &at->state2 : &at->state) = 0;
        /* All cuts between two marks are one worker's: so it knows which states it has seen. */
        uint64_t one_in = second ? RECOVERY_CUT_ONE_IN : w->c->one_in;
        bool mine = (second || marks % w->c->jobs == w->number) && place_hash(at) % one_in == 0;
        if (mine && (last || changes(&t->ops[i])))
            right = cut_check(w, m, &o);
        if (!last)
            model_end(m, &t->ops[i]);
    }
    model_free(m);
    return right;
}

/* Records lives that begin with this state. False with why. */
static bool recovery_record(struct worker *w, const struct image *image, const struct oracle *o,
                            struct trace *out)
{
    struct progress *p = w->progress;
    struct plan plan = {place_hash(&p->at), RUN_BOOT + 1, RECOVERY_LIVES, RECOVERY_STEPS,
                        value_bytes(p->at.seed)};
    char file[400];
    snprintf(file, sizeof(file), "%s.trace", w->folder);
    p->verdict = VERDICT_DIED;
    snprintf(p->why, sizeof(p->why), "the recovery could not be recorded");
    return image_place(image, w->folder, plan.seed) && recording_begin(file, o) &&
           recording_make(&w->c->recorder, &plan, w->folder, file, image, p->why, sizeof(p->why)) &&
           trace_read(file, out);
}

static bool recovery_cut(struct worker *w, const struct image *image, const struct oracle *o)
{
    struct trace t;
    struct progress *p = w->progress;
    if (!recovery_record(w, image, o, &t))
        return false;
    p->verdict = VERDICT_RIGHT;
    p->recoveries++;
    bool right = trace_check(w, &t, image);
    trace_close(&t);
    if (right)
        p->at.cut2 = p->at.state2 = 0;
    return right;
}

static void worker_init(struct worker *w, struct campaign *c, uint32_t number)
{
    *w = (struct worker){.c = c, .progress = &c->shared->workers[number], .number = number};
    snprintf(w->folder, sizeof(w->folder), "%s/worker-%u", c->scratch, number);
    w->progress->at = (struct place){.seed = c->seed};
    w->progress->verdict = VERDICT_RIGHT;
}

__attribute__((noreturn)) static void worker_run(struct campaign *c, uint32_t number,
                                                 const char *trace)
{
    struct worker w;
    struct trace t;
    worker_init(&w, c, number);
    if (!trace_read(trace, &t))
        _exit(1);
    trace_check(&w, &t, NULL);
    if (w.progress->verdict != VERDICT_RIGHT)
        c->shared->stop = true;
    trace_close(&t);
    free(w.seen.slots);
    _exit(0);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool folder_make(const char *path)
{
    struct image nothing = {0};
    return image_place(&nothing, path, 0);
}

bool campaign_record(const struct campaign *c, char *trace, size_t trace_bytes, char *why,
                     size_t why_bytes)
{
    char folder[320];
    struct plan plan = {c->seed, RUN_BOOT, RUN_LIVES, RUN_STEPS, value_bytes(c->seed)};
    snprintf(folder, sizeof(folder), "%s/run", c->scratch);
    snprintf(trace, trace_bytes, "%s/trace", c->scratch);
    struct oracle nothing = {{0}, {0}};
    snprintf(why, why_bytes, "the run could not be recorded in %s", folder);
    return folder_make(folder) && recording_begin(trace, &nothing) &&
           recording_make(&c->recorder, &plan, folder, trace, NULL, why, why_bytes);
}

bool campaign_run(struct campaign *c, const char *trace)
{
    pid_t pids[JOBS_MAX];
    bool right = true;
    fflush(NULL);
    for (uint32_t i = 0; i < c->jobs; i++)
        if ((pids[i] = fork()) == 0)
            worker_run(c, i, trace);
    for (uint32_t i = 0; i < c->jobs; i++) {
        int status = -1;
        struct progress *p = &c->shared->workers[i];
        if (pids[i] > 0)
            waitpid(pids[i], &status, 0);
        if (status != 0 && p->verdict == VERDICT_RIGHT) {
            p->verdict = VERDICT_DIED;
            snprintf(p->why, sizeof(p->why), "the engine ended its process: %s %d",
                     WIFSIGNALED(status) ? "signal" : "status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : status);
            c->shared->stop = true;
        }
        right = right && p->verdict == VERDICT_RIGHT;
    }
    return right;
}

/* ---- one state ------------------------------------------------------------------------------- */

/* Where the trace is cut there, and what had been promised by then. */
static struct model *model_at(const struct trace *t, const struct image *before, uint64_t cut,
                              struct oracle *o)
{
    struct model *m = model_new(before);
    *o = (struct oracle){{0}, {0}};
    for (size_t i = 0; i < t->count && i < cut; i++) {
        oracle_note(o, &t->ops[i]);
        bool sense = model_begin(m, &t->ops[i]);
        gt_assert(sense);
        if (i + 1 < cut)
            model_end(m, &t->ops[i]);
    }
    return m;
}

static void ops_tell(const struct trace *t, uint64_t cut)
{
    char line[600];
    for (size_t i = cut > 12 ? (size_t)cut - 12 : 0; i < t->count && i < cut; i++) {
        trace_text(&t->ops[i], line, sizeof(line));
        printf("  %zu%s %s\n", i + 1, i + 1 == cut ? " (cut)" : "", line);
    }
}

static enum verdict replay_second(struct worker *w, const struct image *first,
                                  const struct oracle *o, const struct place *at)
{
    struct trace t;
    struct image image;
    struct oracle after;
    if (!recovery_record(w, first, o, &t))
        return w->progress->verdict;
    w->progress->at = *at;
    ops_tell(&t, at->cut2);
    struct model *m = model_at(&t, first, at->cut2, &after);
    state_make(m, at, &image);
    state_check(w, &image, &after);
    image_close(&image);
    model_free(m);
    trace_close(&t);
    return w->progress->verdict;
}

enum verdict campaign_replay(struct campaign *c, const char *trace, const struct place *at,
                             char *why, size_t why_bytes)
{
    struct worker w;
    struct trace t;
    struct oracle o;
    struct image image;
    worker_init(&w, c, 0);
    w.loud = true;
    if (!trace_read(trace, &t))
        return VERDICT_DIED;
    struct place first = *at;
    first.cut2 = first.state2 = 0;
    w.progress->at = first;
    ops_tell(&t, at->cut);
    struct model *m = model_at(&t, NULL, at->cut, &o);
    state_make(m, &first, &image);
    if (at->cut2 > 0)
        replay_second(&w, &image, &o, at);
    else
        state_check(&w, &image, &o);
    snprintf(why, why_bytes, "%s", w.progress->why);
    image_close(&image);
    model_free(m);
    trace_close(&t);
    return w.progress->verdict;
}
