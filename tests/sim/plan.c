#include "tests/sim/plan.h"

#include "tests/sim/pending.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000ull

static const char *const fault_names[] = {
#define PLAN_FAULT_NAME(name, text, what) text,
    PLAN_FAULTS(PLAN_FAULT_NAME)
#undef PLAN_FAULT_NAME
};

const char *fault_name(enum fault_kind kind)
{
    return fault_names[kind];
}

static bool chance(struct prng *p, uint32_t in_100)
{
    return prng_below(p, 100) < in_100;
}

/* One of the numbers. */
#define PICK(p, ...)                                                                               \
    pick((p), (const uint64_t[]){__VA_ARGS__},                                                     \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
static uint64_t pick(struct prng *p, const uint64_t *from, size_t count)
{
    return from[prng_below(p, count)];
}

/* Between low and high, small ones as likely as large ones. */
static uint64_t scaled(struct prng *p, uint64_t low, uint64_t high)
{
    uint64_t top = low;
    while (top < high && chance(p, 70))
        top = top * 2 < high ? top * 2 : high;
    return low + prng_below(p, top - low + 1);
}

/* ---- shape ----------------------------------------------------------------------------------- */

static void quorums_make(struct plan *p, struct prng *d)
{
    struct settings *s = &p->settings;
    s->replicas = (uint32_t)PICK(d, 1, 2, 3, 3, 3, 3, 3, 4, 5);
    if (s->replicas > p->nodes)
        s->replicas = p->nodes;
    uint32_t n = s->replicas, majority = n / 2 + 1;
    s->write_quorum = majority + (uint32_t)prng_below(d, n - majority + 1);
    uint32_t least = n - s->write_quorum + 1;
    s->read_quorum = least + (uint32_t)prng_below(d, n - least + 1);
    if (chance(d, 60))
        s->read_quorum = s->write_quorum = majority;
}

static void shape_make(struct plan *p, struct prng *d)
{
    p->nodes = (uint32_t)PICK(d, 1, 2, 3, 3, 4, 5, 5, 5, 6, 7);
    p->clients = 1 + (uint32_t)prng_below(d, 4);
    quorums_make(p, d);
    p->settings.partitions = (uint32_t)PICK(d, 1, 2, 4, 16, 64);
    p->settings.form_nodes = p->nodes;
    p->settings.value_bytes_max = PICK(d, 4096, 65536, 1u << 20);
    p->inflight_max = (uint32_t)PICK(d, 8, 64, 64, 64);
    p->piece_bytes_max = chance(d, 20) ? 400 : 0;
    p->digest_above = p->piece_bytes_max ? 100 : 200;
    p->storage = (struct sim_storage){.sync_us = (uint32_t)PICK(d, 80, 150, 150, 400, 2000),
                                      .segment_bytes = 64u << 10,
                                      .overlay_bytes = (uint32_t)PICK(d, 4096, 16384, 65536),
                                      .chunk_records = (uint32_t)PICK(d, 1, 3, 10, 100)};
}

static void network_make(struct plan *p, struct prng *d)
{
    p->network = (struct sim_network){.latency_us = (uint32_t)PICK(d, 50, 200, 200, 1000, 10000),
                                      .holds = chance(d, 50)};
    if (chance(d, 40))
        p->network.loss = (uint32_t)scaled(d, 1, 500);
    if (chance(d, 40))
        p->network.doubled = (uint32_t)scaled(d, 1, 500);
    if (chance(d, 40))
        p->network.reorder = (uint32_t)scaled(d, 1, 1000);
    if (chance(d, 40))
        p->network.broken = (uint32_t)scaled(d, 1, 100);
}

static void work_make(struct plan *p, struct prng *d)
{
    p->keys = 1 + (uint32_t)prng_below(d, PLAN_KEYS_MAX);
    if (chance(d, 30))
        p->keys = 1 + (uint32_t)prng_below(d, 4);
    p->workers = 1 + (uint32_t)prng_below(d, 4);
    p->gets = (uint32_t)PICK(d, 10, 30, 50, 70);
    p->deletes = (uint32_t)PICK(d, 0, 5, 20, 40);
    p->blind = (uint32_t)PICK(d, 0, 5, 20);
    p->value_bytes_max = (uint32_t)PICK(d, 16, 100, 100, 2000, 4000);
    /* About a thousand calls, however many do them. */
    p->think_us = (uint32_t)(p->safety_us / 900 * p->workers * p->clients);
    bool uniform = chance(d, 50);
    enum key_mode mode = (enum key_mode)prng_below(d, 3);
    for (uint32_t i = 0; i < PLAN_KEYS_MAX; i++)
        p->key_mode[i] = (uint8_t)(uniform ? mode : (enum key_mode)prng_below(d, 3));
}

static int64_t clock_offset(struct prng *d)
{
    uint64_t most_us = PICK(d, 1000, 100000, SECOND, 30 * SECOND, 120 * SECOND, 3600 * SECOND);
    return (int64_t)prng_below(d, 2 * most_us + 1) - (int64_t)most_us;
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* Nodes mostly, sometimes the manager. */
static uint32_t victim(const struct plan *p, struct prng *d)
{
    return chance(d, 15) ? 0 : 1 + (uint32_t)prng_below(d, p->nodes);
}

static void fault_fill(struct plan *p, struct prng *d, struct fault *f)
{
    uint32_t hosts = 1 + p->nodes + p->clients;
    f->a = victim(p, d);
    f->for_us = scaled(d, 50000, 8 * SECOND);
    /* Every other start after a crash is itself cut, somewhere. */
    f->value = chance(d, 40) ? 1 + prng_below(d, 60) : 0;
    switch (f->kind) {
    case FAULT_CUT:
    case FAULT_CUT_ONE_WAY:
    case FAULT_SLOW_LINK:
        f->a = (uint32_t)prng_below(d, hosts);
        f->b = (f->a + 1 + (uint32_t)prng_below(d, hosts - 1)) % hosts;
        f->value = scaled(d, 1000, 300000);
        break;
    case FAULT_SPLIT:
        f->value = prng_next(d);
        break;
    case FAULT_PAUSE:
        f->a = (uint32_t)prng_below(d, hosts);
        f->for_us = scaled(d, 10000, 6 * SECOND);
        break;
    case FAULT_LOOP:
        f->value = 2 + prng_below(d, 8);
        f->for_us = scaled(d, 5000, 400000);
        break;
    case FAULT_SLOW_DISK:
        f->value = scaled(d, 5000, 400000);
        break;
    case FAULT_FLIP:
    case FAULT_WIPE:
    case FAULT_ROLLBACK:
        f->a = 1 + (uint32_t)(p->seed % p->nodes); /* one owner alone may be rotten */
        f->value = prng_next(d);
        f->b = 1 + (uint32_t)prng_below(d, 8); /* so many records */
        if (f->kind != FAULT_FLIP) /* another node, with which it is alone when it is back */
            f->b = p->nodes > 2 && chance(d, 50)
                       ? 1 + (f->a + (uint32_t)prng_below(d, p->nodes - 1)) % p->nodes
                       : 0;
        break;
    case FAULT_CLOCK_JUMP:
        f->a = (uint32_t)prng_below(d, 1 + p->nodes);
        f->value = (uint64_t)clock_offset(d);
        break;
    case FAULT_CLOCK_DRIFT:
        f->a = (uint32_t)prng_below(d, 1 + p->nodes);
        f->value = (uint64_t)((int64_t)prng_below(d, 20001) - 10000);
        break;
    case FAULT_CLIENT:
        f->a = 1 + p->nodes + (uint32_t)prng_below(d, p->clients);
        break;
    default:
        break;
    }
    if (f->at_us + f->for_us > p->safety_us)
        f->for_us = p->safety_us - f->at_us;
}

/* What the cluster of this shape cannot be asked to stand. */
static bool fault_fits(const struct plan *p, enum fault_kind kind)
{
    const struct settings *s = &p->settings;
    if (pending("fault", fault_name(kind)))
        return false;
    /* While lists are short one owner may be the only one, or two be needed to read. */
    if (p->moves && kind == FAULT_FLIP && s->form_nodes < s->replicas)
        return false;
    if (kind == FAULT_WIPE || kind == FAULT_ROLLBACK) /* the others must have it all */
        return s->write_quorum > 1 && s->form_nodes > 1;
    /* With a record unknown at one owner the others must be enough for a read. */
    return kind != FAULT_FLIP || s->read_quorum < s->replicas;
}

static int fault_order(const void *left, const void *right)
{
    const struct fault *a = left, *b = right;
    return a->at_us < b->at_us ? -1 : a->at_us > b->at_us;
}

/* Half of the seeds are about one thing, so that its faults meet one another. */
enum theme {
    THEME_ANY,
    THEME_CRASHES,
    THEME_BLACKOUTS,
    THEME_NETWORK,
    THEME_DISKS,
    THEME_CLOCKS,
    THEME_DELETES,
    THEME_LOSSES,
    THEME_EARLY,
    THEME_RUNS,
    THEME_STILL,
    THEME_COPIES,
    THEMES
};

static const uint32_t theme_kinds[THEMES] = {
    [THEME_ANY] = ~0u,
    [THEME_CRASHES] = 1u << FAULT_KILL | 1u << FAULT_POWER | 1u << FAULT_STOP | 1u << FAULT_LOOP |
                      1u << FAULT_KILL_ALL | 1u << FAULT_POWER_ALL,
    [THEME_BLACKOUTS] = 1u << FAULT_POWER_ALL | 1u << FAULT_POWER | 1u << FAULT_SLOW_DISK,
    [THEME_NETWORK] = 1u << FAULT_CUT | 1u << FAULT_CUT_ONE_WAY | 1u << FAULT_SPLIT |
                      1u << FAULT_SLOW_LINK | 1u << FAULT_PAUSE | 1u << FAULT_CLIENT,
    [THEME_DISKS] = 1u << FAULT_SYNC_FAILS | 1u << FAULT_READ_ERROR | 1u << FAULT_FULL |
                    1u << FAULT_FLIP | 1u << FAULT_SLOW_DISK | 1u << FAULT_POWER,
    [THEME_CLOCKS] = 1u << FAULT_CLOCK_JUMP | 1u << FAULT_CUT,
    [THEME_LOSSES] = 1u << FAULT_WIPE | 1u << FAULT_ROLLBACK | 1u << FAULT_FLIP | 1u << FAULT_KILL |
                     1u << FAULT_POWER | 1u << FAULT_POWER_ALL | 1u << FAULT_CUT |
                     1u << FAULT_PAUSE,
    [THEME_DELETES] = 1u << FAULT_CUT,
    [THEME_EARLY] = 1u << FAULT_POWER | 1u << FAULT_POWER_ALL | 1u << FAULT_SYNC_FAILS,
    [THEME_RUNS] = 1u << FAULT_WIPE | 1u << FAULT_ROLLBACK,
    [THEME_STILL] = 1u << FAULT_PAUSE,
    [THEME_COPIES] = 1u << FAULT_KILL | 1u << FAULT_CUT};

/* Clocks near enough to mint, and too far for the slowest to follow the fastest. Nodes that hear
 * one another through others alone, and clients that do not all go to the same coordinator. */
static void fault_apart(const struct plan *p, struct prng *d, struct fault *f,
                        uint32_t nodes_in_100)
{
    if (f->kind == FAULT_CLOCK_JUMP) {
        f->value = (uint64_t)((int64_t)prng_below(d, 120 * SECOND) - (int64_t)(60 * SECOND));
    } else if (f->kind == FAULT_CUT) {
        f->a = 1 + (uint32_t)prng_below(d, p->nodes);
        f->b = 1 + p->nodes + (uint32_t)prng_below(d, p->clients);
        if (p->nodes > 1 && chance(d, nodes_in_100))
            f->b = 1 + (f->a + (uint32_t)prng_below(d, p->nodes - 1)) % p->nodes;
        f->for_us = 2 * SECOND + prng_below(d, 6 * SECOND);
        if (f->at_us + f->for_us > p->safety_us)
            f->for_us = p->safety_us - f->at_us;
    }
}

/* Owners that answer alone, or all of which must answer, so that no other one makes durable what
 * was shown too early; all nodes own everything. Few keys and many hands, so that what is being
 * synced is read, and is asked for again before another write supersedes it. */
static void early_make(struct plan *p, struct prng *d)
{
    static const uint32_t owners[] = {1, 1, 2, 3};
    struct settings *s = &p->settings;
    uint32_t n = owners[prng_below(d, 4)];
    p->nodes = s->form_nodes = s->replicas = n;
    s->write_quorum = n / 2 + 1;
    s->read_quorum = chance(d, 50) ? n : n - s->write_quorum + 1;
    p->keys = 1 + p->keys % 3;
    p->clients = 2 + p->clients % 3;
    p->workers = 4;
    p->think_us = (uint32_t)(p->safety_us / 1800 * p->workers * p->clients);
    p->gets = 50;
    p->deletes = p->deletes < 5 ? p->deletes : 5; /* a key that was reaped excuses much */
}

/* What was lost is pulled in many small runs, and replies come twice, the second time when the pull
 * asks for a later run. */
static void runs_make(struct plan *p, struct prng *d)
{
    p->settings.partitions = 1u << prng_below(d, 2);
    p->keys = PLAN_KEYS_MAX;
    p->piece_bytes_max = 400;
    p->digest_above = 100;
    p->network.latency_us = 50u << prng_below(d, 4);
    p->network.doubled = 2000;
    p->network.reorder = 2000;
}

/* Owners stand still, with puts in their sockets that are done elsewhere meanwhile, and others
 * after them. */
static void still_make(struct plan *p, struct prng *d)
{
    struct settings *s = &p->settings;
    p->nodes = s->form_nodes = s->replicas = 3;
    s->write_quorum = s->read_quorum = 2;
    p->keys = 1 + (uint32_t)prng_below(d, 6);
    p->clients = 2 + p->clients % 3;
    p->workers = 4;
    p->think_us = (uint32_t)(p->safety_us / 1800 * p->workers * p->clients);
    p->gets = 50;
    /* Whole states: of one in pieces an owner that has stood still shows what the last piece will
     * supersede, also to a session that has superseded it with guests. */
    p->piece_bytes_max = 0;
    for (uint32_t i = 0; i < PLAN_KEYS_MAX; i++)
        p->key_mode[i] = KEY_PLAIN;
}

/* Puts are refused since an owner is away, and come once more, through another cut of some moments,
 * when it is back. */
static void copies_make(struct plan *p, struct prng *d)
{
    struct settings *s = &p->settings;
    p->nodes = s->form_nodes = s->replicas = s->write_quorum = 2 + (uint32_t)prng_below(d, 2);
    s->read_quorum = 1 + (uint32_t)prng_below(d, 2);
    p->keys = 4 + (uint32_t)prng_below(d, 16);
    p->clients = 2 + p->clients % 3;
    p->workers = 4;
    p->think_us = (uint32_t)(p->safety_us / 2000 * p->workers * p->clients);
    p->gets = 40;
    p->network.doubled = 3000;
    p->network.reorder = 3000;
    p->network.holds = true;
}

/* What other plans meet less than once in thousands. */
static enum theme rare_make(struct plan *p, struct prng *d, uint32_t *count)
{
    enum theme theme = THEME_RUNS + (enum theme)prng_below(d, 3);
    *count = 8 + (uint32_t)prng_below(d, 16);
    if (theme == THEME_RUNS)
        runs_make(p, d);
    else if (theme == THEME_STILL)
        still_make(p, d);
    else
        copies_make(p, d);
    if (theme == THEME_COPIES)
        *count += 32;
    return theme;
}

/* Of a node: it stands still until others have written, or is away for a moment; or a client is cut
 * off from it for less than an attempt lasts. */
static void fault_short(const struct plan *p, struct prng *d, struct fault *f)
{
    f->a = 1 + (uint32_t)prng_below(d, p->nodes);
    f->b = 1 + p->nodes + (uint32_t)prng_below(d, p->clients);
    f->value = 0;
    f->for_us = f->kind == FAULT_PAUSE  ? 1500000 + prng_below(d, 4 * SECOND)
                : f->kind == FAULT_KILL ? 50000 + prng_below(d, SECOND)
                                        : 50000 + prng_below(d, 350000);
    if (f->at_us + f->for_us > p->safety_us)
        f->for_us = p->safety_us - f->at_us;
}

/* Syncs get slow some time before a power cut, so that it falls into one. */
static void slow_before(struct plan *p, struct prng *d, const struct fault *cut)
{
    uint64_t lead_us = 200000 + prng_below(d, SECOND);
    for (uint32_t host = 1; host <= p->nodes && p->fault_count < PLAN_FAULTS_MAX; host++)
        if (cut->kind == FAULT_POWER_ALL || host == cut->a)
            p->faults[p->fault_count++] = (struct fault){.kind = FAULT_SLOW_DISK,
                                                         .at_us = cut->at_us - lead_us,
                                                         .for_us = lead_us,
                                                         .a = host,
                                                         .value = 100000 + prng_below(d, 300000)};
}

static void move_add(struct plan *p, struct prng *d, enum fault_kind kind, uint32_t node,
                     uint64_t from_us, uint64_t to_us)
{
    if (p->fault_count == PLAN_FAULTS_MAX)
        return;
    p->faults[p->fault_count++] = (struct fault){.kind = kind,
                                                 .at_us = from_us + prng_below(d, to_us - from_us),
                                                 .a = node,
                                                 .value = prng_next(d)};
}

/* Nodes come, are drained, die for good, and people change their minds. Those that go are never so
 * many that a key is left without an owner that has it. */
static void moves_add(struct plan *p)
{
    struct prng d;
    prng_init(&d, p->seed ^ 0x6d6f76655f616464);
    uint32_t first = p->nodes - p->late + 1;
    for (uint32_t node = first; node <= p->nodes; node++)
        move_add(p, &d, FAULT_JOIN, node, 2 * SECOND, 25 * SECOND);
    uint32_t go = p->nodes > 2 ? (uint32_t)prng_below(&d, p->nodes - 1) : 0;
    for (uint32_t i = 0; i < go && i < 2; i++)
        move_add(p, &d, FAULT_DRAIN, 1 + (uint32_t)prng_below(&d, p->nodes), 5 * SECOND,
                 35 * SECOND);
    bool loses = false; /* one disk, and more than one would be too many */
    for (uint32_t i = 0; i < p->fault_count; i++)
        loses |= p->faults[i].kind == FAULT_WIPE || p->faults[i].kind == FAULT_ROLLBACK ||
                 p->faults[i].kind == FAULT_FLIP || p->faults[i].kind == FAULT_READ_ERROR;
    if (p->settings.replicas >= 3 && p->nodes > 3 && !loses && chance(&d, 40))
        move_add(p, &d, chance(&d, 50) ? FAULT_REMOVE : FAULT_REPLACE,
                 1 + (uint32_t)prng_below(&d, first - 1), 6 * SECOND, 30 * SECOND);
    for (uint32_t i = (uint32_t)prng_below(&d, 3); i > 0; i--)
        move_add(p, &d, FAULT_UNDRAIN, 0, 5 * SECOND, 40 * SECOND);
    for (uint32_t i = (uint32_t)prng_below(&d, 3); i > 0; i--)
        move_add(p, &d, FAULT_WEIGHT, 1 + (uint32_t)prng_below(&d, p->nodes), 4 * SECOND,
                 40 * SECOND);
}

static void faults_make(struct plan *p, struct prng *d)
{
    uint32_t weights[FAULT_KINDS_ANY], total = 0;
    uint32_t count = chance(d, 10) ? 0 : (uint32_t)scaled(d, 2, 40);
    uint64_t from_us = chance(d, 80) ? 2 * SECOND : 0; /* also while the cluster forms */
    enum theme theme = chance(d, 50) ? THEME_ANY : (enum theme)prng_below(d, THEME_LOSSES);
    if (chance(d, 10))
        theme = THEME_CLOCKS;
    else if (chance(d, 8))
        theme = THEME_DELETES;
    /* By dice of its own: what is drawn for the other seeds stays as it was. */
    struct prng losses;
    prng_init(&losses, p->seed ^ 0x6c6f737365730000);
    if (chance(&losses, 8))
        theme = THEME_LOSSES;
    struct prng early;
    prng_init(&early, p->seed ^ 0x6561726c79000000);
    if (chance(&early, 4) && !p->moves) /* it has a shape of its own */
        theme = THEME_EARLY;
    struct prng more;
    prng_init(&more, p->seed ^ 0x6d6f726500000000);
    if (chance(&more, 6) && !p->moves)
        theme = rare_make(p, &more, &count);
    if (theme == THEME_EARLY) {
        early_make(p, &early);
        from_us = 3 * SECOND;
        count = 8 + (uint32_t)prng_below(&early, 8);
    }
    if (theme == THEME_BLACKOUTS) {
        /* The slower a sync and the fewer the keys, the more is under way, and looked at, when the
         * light goes out. */
        p->storage.sync_us = (uint32_t)PICK(d, 2000, 10000, 40000);
        p->keys = 1 + p->keys % 3;
        count = 10 + (uint32_t)prng_below(d, 30);
    }
    if (theme == THEME_CLOCKS) {
        /* Plain puts of few keys, so that those follow one another which do not hear one another.
         */
        p->keys = 1 + p->keys % 2;
        p->gets = 50;
        p->clients = 2 + p->clients % 3;
        for (uint32_t i = 0; i < PLAN_KEYS_MAX; i++)
            p->key_mode[i] = KEY_PLAIN;
        count = 20 + (uint32_t)prng_below(d, 21);
    }
    if (theme == THEME_DELETES) {
        /* Keys are left alone long enough to be reaped, and written anew; what was sent about them
         * before comes back. */
        p->keys = PLAN_KEYS_MAX;
        p->deletes = 50;
        p->gets = 30;
        p->network.late = 2000;
        count = 6 + count % 12;
        for (uint32_t i = 0; i < PLAN_KEYS_MAX && p->clients % 2; i++)
            p->key_mode[i] = KEY_PLAIN;
    }
    if (theme == THEME_LOSSES) {
        /* Fewer keys, so that what was lost is asked for while its owner has no vote. */
        p->keys = 1 + p->keys % 6;
        count = 6 + (uint32_t)prng_below(d, 20);
        if (p->nodes > 1 && chance(d, 50)) { /* and answers alone as soon as it has one */
            p->settings.replicas = p->nodes < 3 ? 2 : 2 + (uint32_t)prng_below(d, 2);
            p->settings.write_quorum = p->settings.replicas;
            p->settings.read_quorum = 1;
        }
    }
    for (uint32_t i = 0; i < FAULT_KINDS_ANY; i++) {
        weights[i] = chance(d, 50) || theme != THEME_ANY ? (uint32_t)scaled(d, 1, 20) : 0;
        if (!(theme_kinds[theme] >> i & 1) || !fault_fits(p, (enum fault_kind)i))
            weights[i] = 0;
        total += weights[i];
    }
    for (uint32_t i = 0; i < count && total > 0 && p->fault_count < PLAN_FAULTS_MAX; i++) {
        struct fault *f = &p->faults[p->fault_count++];
        uint32_t roll = (uint32_t)prng_below(d, total), kind = 0;
        while (roll >= weights[kind])
            roll -= weights[kind++];
        *f = (struct fault){.kind = (enum fault_kind)kind,
                            .at_us = from_us + prng_below(d, p->safety_us - from_us)};
        fault_fill(p, d, f);
        /* Where all nodes are to reap clients alone are cut off, so that another coordinates. */
        if (theme == THEME_CLOCKS || theme == THEME_DELETES)
            fault_apart(p, d, f, theme == THEME_CLOCKS ? 50 : 15);
        if (theme == THEME_STILL || theme == THEME_COPIES)
            fault_short(p, &more, f);
        if (theme == THEME_EARLY && f->kind != FAULT_SYNC_FAILS)
            slow_before(p, &early, f);
    }
    if (p->moves)
        moves_add(p);
    qsort(p->faults, p->fault_count, sizeof(*p->faults), fault_order);
}

/* Drawn last: whoever leaves it out has the same run otherwise. Guests are needed where more owners
 * are to answer than can be reached, and there where other nodes are. */
static void guests_make(struct plan *p, struct prng *d)
{
    struct settings *s = &p->settings;
    p->sloppy = (uint32_t)PICK(d, 0, 0, 30, 100);
    s->profile = chance(d, 10) ? PROFILE_COURSE : PROFILE_DEFAULT;
    if (!chance(d, 25) || p->nodes < 3 || p->moves)
        return;
    s->replicas = p->nodes > 3 && chance(d, 70) ? 3 : 2;
    s->write_quorum = chance(d, 70) ? s->replicas : s->replicas / 2 + 1;
    s->read_quorum = s->replicas - s->write_quorum + 1;
    p->sloppy = 100;
}

/* How long who is away is waited for: in some plans not for long. Of dice of its own, so that the
 * rest of a plan stays as it was. */
static void waits_make(struct plan *p)
{
    struct prng d;
    prng_init(&d, p->seed ^ 0x7761697400000000);
    if (chance(&d, 25))
        p->reap_wait_us = 2 * SECOND + prng_below(&d, 4 * SECOND);
}

/* Some clusters grow and shrink while they are used. Of dice of its own. */
static void moves_make(struct plan *p, bool wanted)
{
    struct prng d;
    prng_init(&d, p->seed ^ 0x6d6f766573000000);
    if (!chance(&d, 15) && !wanted)
        return;
    p->moves = true;
    p->nodes = 2 + (uint32_t)prng_below(&d, 6);
    p->late = 1 + (uint32_t)prng_below(&d, p->nodes - 1);
    struct settings *s = &p->settings;
    s->form_nodes = p->nodes - p->late;
    s->replicas = (uint32_t)PICK(&d, 2, 3, 3, 3, 5);
    if (s->replicas > p->nodes)
        s->replicas = p->nodes;
    s->write_quorum = s->read_quorum = s->replicas / 2 + 1;
    if (chance(&d, 25)) {
        s->write_quorum = s->replicas;
        s->read_quorum = 1 + (uint32_t)prng_below(&d, s->replicas);
    }
    s->partitions = (uint32_t)PICK(&d, 2, 4, 16, 64);
    if (chance(&d, 30))
        p->replace_after_us = 3 * SECOND + prng_below(&d, 6 * SECOND);
}

/* The map is with a majority of those that own something (RULES 17). Of two that is both: with the
 * disk of one lost, a manager that has lost its own copy too finds no majority any more. */
static bool map_outlives(const struct plan *p, enum fault_kind kind)
{
    bool manager_loses = kind == FAULT_MANAGER_WIPED || kind == FAULT_MANAGER_OLD;
    for (uint32_t i = 0; i < p->fault_count && manager_loses; i++)
        if (p->faults[i].kind == FAULT_WIPE && (p->nodes < 3 || p->settings.form_nodes < 3))
            return false;
    return true;
}

/* What befalls managers, in some plans, and a second one: of dice of its own as well. */
static void managers_make(struct plan *p)
{
    static const enum fault_kind kinds[] = {FAULT_KILL, FAULT_PAUSE, FAULT_MANAGER_WIPED,
                                            FAULT_MANAGER_OLD};
    struct prng d;
    prng_init(&d, p->seed ^ 0x6d616e6167657200);
    p->managers = 1;
    if (!chance(&d, 25))
        return;
    p->managers = 1 + (uint32_t)chance(&d, 70);
    uint32_t count = 2 + (uint32_t)prng_below(&d, 8);
    for (uint32_t i = 0; i < count && p->fault_count < PLAN_FAULTS_MAX; i++) {
        struct fault f = {.kind = kinds[prng_below(&d, 4)],
                          .at_us = 3 * SECOND + prng_below(&d, p->safety_us - 4 * SECOND),
                          .for_us = scaled(&d, 50000, 8 * SECOND)};
        if (chance(&d, 50) && p->managers == 2)
            f.a = 1 + p->nodes + p->clients + 1; /* behind the client of the last reads */
        if (!pending("fault", fault_name(f.kind)) && map_outlives(p, f.kind))
            p->faults[p->fault_count++] = f;
    }
    qsort(p->faults, p->fault_count, sizeof(*p->faults), fault_order);
}

/* When partitions are about to move, or whenever. */
static uint64_t deaf_at_us(const struct plan *p, struct prng *d)
{
    uint64_t at_us[PLAN_FAULTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->fault_count; i++) {
        enum fault_kind kind = p->faults[i].kind;
        if (kind >= FAULT_JOIN && kind <= FAULT_REPLACE)
            at_us[count++] = p->faults[i].at_us;
    }
    if (count == 0 || chance(d, 30))
        return 3 * SECOND + prng_below(d, 37 * SECOND);
    return at_us[prng_below(d, count)] + prng_below(d, SECOND);
}

/* While partitions move some go on by an old map, and of those who have a newer one one may not
 * hear them. Of dice of its own. */
static void deaf_make(struct plan *p)
{
    struct prng d;
    prng_init(&d, p->seed ^ 0x6465616600000000);
    if (!p->moves || !chance(&d, 60))
        return;
    uint32_t count = 1 + (uint32_t)prng_below(&d, 6);
    for (uint32_t i = 0; i < count && p->fault_count + 1 < PLAN_FAULTS_MAX; i++) {
        struct fault f = {.kind = FAULT_DEAF,
                          .at_us = deaf_at_us(p, &d),
                          .for_us = scaled(&d, SECOND, 8 * SECOND),
                          .a = 1 + (uint32_t)prng_below(&d, p->nodes)};
        uint32_t other = 1 + (f.a + (uint32_t)prng_below(&d, p->nodes - 1)) % p->nodes;
        if (chance(&d, 20))
            f.a = 1 + p->nodes + (uint32_t)prng_below(&d, p->clients);
        if (f.at_us + f.for_us > p->safety_us)
            f.for_us = p->safety_us - f.at_us;
        p->faults[p->fault_count++] = f;
        f.kind = FAULT_CUT;
        f.b = other;
        if (chance(&d, 50))
            p->faults[p->fault_count++] = f;
    }
    qsort(p->faults, p->fault_count, sizeof(*p->faults), fault_order);
}

static void make(struct plan *p, uint64_t seed, bool moves)
{
    struct prng d;
    *p = (struct plan){.seed = seed, .safety_us = 45 * SECOND};
    prng_init(&d, seed);
    shape_make(p, &d);
    moves_make(p, moves);
    network_make(p, &d);
    work_make(p, &d);
    if (chance(&d, 30))
        for (uint32_t i = 0; i <= p->nodes; i++)
            p->clock_offset_us[i] = clock_offset(&d);
    faults_make(p, &d);
    guests_make(p, &d);
    waits_make(p);
    managers_make(p);
    deaf_make(p);
}

void plan_make(struct plan *p, uint64_t seed)
{
    make(p, seed, false);
}

void plan_make_moving(struct plan *p, uint64_t seed)
{
    make(p, seed, true);
}

/* ---- for people ------------------------------------------------------------------------------ */

const char *fault_text(const struct fault *f, char text[160])
{
    snprintf(text, 160, "%9.3f ms  %s host=%u other=%u for %.3f ms value=%llu",
             (double)f->at_us / 1000, fault_name(f->kind), f->a, f->b, (double)f->for_us / 1000,
             (unsigned long long)f->value);
    return text;
}

const char *plan_text(const struct plan *p, char text[300])
{
    const struct settings *s = &p->settings;
    snprintf(
        text, 300,
        "%u nodes, N=%u R=%u W=%u%s, %u partitions, %u clients x %u, %u keys; loss %u doubled %u "
        "reorder %u broken %u late %u of 10,000; latency %u us, sync %u us; %u faults",
        p->nodes, s->replicas, s->read_quorum, s->write_quorum,
        s->profile == PROFILE_COURSE ? " course" : "", s->partitions, p->clients, p->workers,
        p->keys, p->network.loss, p->network.doubled, p->network.reorder, p->network.broken,
        p->network.late, p->network.latency_us, p->storage.sync_us, p->fault_count);
    return text;
}
