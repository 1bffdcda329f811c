#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/hash.h"
#include "manager/manager_private.h"
#include "tests/sim/world.h"

/* ---- small things ---------------------------------------------------------------------------- */

void *sim_grown(void *items, uint32_t count, uint32_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 64;
    items = realloc(items, *capacity * item_bytes);
    gt_assert(items);
    return items;
}

void hash_mix(struct sim *s, uint64_t value)
{
    uint64_t x = s->hash ^ (value + 0x9e3779b97f4a7c15ull);
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
    s->hash = x ^ x >> 29;
}

/* Exponential, cut off at ten means: rare long waits, none without end. */
uint64_t exponential_us(struct prng *p, uint64_t mean_us)
{
    /* -ln(u) by its bits, in integers, so that every build gives the same: the position of the
     * first one bit is geometric, and the bits behind it interpolate. */
    uint64_t bits = prng_next(p) | 1u << 14;
    unsigned zeros = (unsigned)__builtin_clzll(bits);
    uint64_t fraction = bits << zeros << 1 >> 48;
    uint64_t sixteenths = zeros * 11 + 11 - fraction * 11 / 65536;
    return mean_us * sixteenths / 16;
}

void sim_break(struct sim *s, const char *format, ...)
{
    if (s->broken[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(s->broken, sizeof(s->broken), format, args);
    va_end(args);
    sim_say(s, -1, "BROKEN %s", s->broken);
}

const char *sim_broken(const struct sim *s)
{
    return s->broken[0] ? s->broken : NULL;
}

bool sim_tracing(const struct sim *s)
{
    return s->config.trace != NULL;
}

void sim_say(struct sim *s, int host, const char *format, ...)
{
    if (!s->config.trace)
        return;
    char line[700];
    int at = snprintf(line, sizeof(line), "%9.3f ms  %-8s ", (double)s->now_us / 1000,
                      host >= 0 ? s->hosts[host].name : "");
    va_list args;
    va_start(args, format);
    vsnprintf(line + at, sizeof(line) - (size_t)at, format, args);
    va_end(args);
    s->config.trace(s->config.arg, line);
}

/* ---- the queue ------------------------------------------------------------------------------- */

static bool due_before(const struct due *a, const struct due *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

/* Behind the end of the heap stand the places that are free. */
static void queue_reserve(struct sim *s)
{
    uint32_t old = s->heap_capacity, items = old;
    s->heap = sim_grown(s->heap, s->heap_count, &s->heap_capacity, sizeof(*s->heap));
    if (s->heap_capacity == old)
        return;
    s->items = sim_grown(s->items, s->heap_count, &items, sizeof(*s->items));
    for (uint32_t i = old; i < s->heap_capacity; i++)
        s->heap[i].place = i;
}

void queue_push(struct sim *s, struct item item)
{
    queue_reserve(s);
    if (item.at_us < s->now_us)
        item.at_us = s->now_us;
    uint32_t at = s->heap_count++;
    struct due due = {item.at_us, ++s->order, s->heap[at].place};
    s->items[due.place] = item;
    while (at > 0 && due_before(&due, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = due;
}

static struct item queue_pop(struct sim *s)
{
    struct due first = s->heap[0], last = s->heap[--s->heap_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= s->heap_count)
            break;
        if (child + 1 < s->heap_count && due_before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!due_before(&s->heap[child], &last))
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    s->heap[s->heap_count] = first;
    return s->items[first.place];
}

/* ---- one step -------------------------------------------------------------------------------- */

static bool item_is_void(const struct sim *s, const struct item *item)
{
    /* Frames and breaks look at their connection themselves; a boot is for whoever is there. */
    if (item->kind == ITEM_FRAME || item->kind == ITEM_BREAK || item->kind == ITEM_CALL ||
        item->kind == ITEM_BOOT)
        return false;
    return s->hosts[item->host].life != item->life;
}

/* A pause of its host makes it wait. */
static bool item_waits(const struct item *item)
{
    return item->kind != ITEM_CALL && item->kind != ITEM_BOOT;
}

bool sim_step(struct sim *s)
{
    if (s->heap_count == 0)
        return false;
    struct item item = queue_pop(s);
    s->now_us = item.at_us;
    if (item_is_void(s, &item))
        return true;
    if (item_waits(&item) && s->hosts[item.host].paused_us > s->now_us) {
        item.at_us = s->hosts[item.host].paused_us;
        queue_push(s, item);
        return true;
    }
    s->events++;
    hash_mix(s, item.at_us << 8 ^ (uint64_t)item.kind << 4 ^ item.host);
    switch (item.kind) {
    case ITEM_FRAME:
        net_frame_arrived(s, &item);
        break;
    case ITEM_BREAK:
        net_break_arrived(s, &item);
        break;
    case ITEM_DIAL:
        net_dial(s, &item);
        break;
    case ITEM_DIALED:
        net_dialed(s, &item);
        break;
    case ITEM_TIMER:
        host_timer(s, item.host);
        break;
    case ITEM_POLL:
        host_poll(s, item.host);
        break;
    case ITEM_JOB:
        host_job(s, &item);
        break;
    case ITEM_BOOT:
        host_boot(s, item.host, item.cut);
        break;
    case ITEM_START:
        host_started(s, item.host);
        break;
    case ITEM_CALL:
        item.call.call(item.call.arg, s, item.call.value);
        break;
    }
    return true;
}

void sim_run_until(struct sim *s, uint64_t until_us)
{
    while (!s->broken[0] && s->heap_count > 0 && s->heap[0].at_us <= until_us)
        sim_step(s);
    if (!s->broken[0] && s->now_us < until_us)
        s->now_us = until_us;
}

bool sim_run_till(struct sim *s, uint64_t until_us, bool (*over)(void *arg), void *arg)
{
    while (!over(arg)) {
        if (s->broken[0])
            return false;
        if (s->heap_count == 0 || s->heap[0].at_us > until_us) {
            s->now_us = until_us;
            return false;
        }
        sim_step(s);
    }
    return true;
}

void sim_at(struct sim *s, uint64_t at_us, void (*call)(void *arg, struct sim *s, uint64_t value),
            void *arg, uint64_t value)
{
    queue_push(s, (struct item){.at_us = at_us,
                                .kind = ITEM_CALL,
                                .call = {.call = call, .arg = arg, .value = value}});
}

/* ---- birth and end --------------------------------------------------------------------------- */

static uint32_t manager_count(const struct sim_config *c)
{
    return c->managers == 2 ? 2 : 1;
}

static void host_name(struct host *h, enum sim_role role, uint32_t number)
{
    h->role = role;
    h->timer_us = UINT64_MAX;
    if (role == SIM_MANAGER)
        snprintf(h->name, sizeof(h->name), number == 0 ? "manager" : "manager2");
    else
        snprintf(h->name, sizeof(h->name), "%s%u", role == SIM_NODE ? "node" : "client", number);
}

struct sim *sim_new(const struct sim_config *c)
{
    struct sim *s = calloc(1, sizeof(*s));
    gt_assert(s && manager_count(c) + c->nodes + c->clients <= SIM_HOSTS_MAX);
    s->config = *c;
    s->network = c->network;
    prng_init(&s->net_prng, c->seed ^ 0x6e6574);
    prng_init(&s->store_prng, c->seed ^ 0x73746f7265);
    prng_init(&s->loop_prng, c->seed ^ 0x6c6f6f70);
    prng_init(&s->seed_prng, c->seed ^ 0x73656564);
    s->decoder = msg_decoder_new();
    gt_assert(s->decoder);
    effects_init(&s->fx);
    s->maps = maps_new();
    s->host_count = manager_count(c) + c->nodes + c->clients;
    for (uint32_t i = 0; i < s->host_count; i++) {
        struct host *h = &s->hosts[i];
        host_name(h,
                  i == 0 || i > c->nodes + c->clients ? SIM_MANAGER
                  : i <= c->nodes                     ? SIM_NODE
                                                      : SIM_CLIENT,
                  i <= c->nodes ? i : i - c->nodes);
        h->sync_us = c->storage.sync_us;
    }
    return s;
}

static void item_release(struct item *item)
{
    if (item->kind == ITEM_FRAME)
        blob_unref(item->frame.frame);
}

void sim_free(struct sim *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->host_count; i++)
        host_free(s, i);
    for (uint32_t i = 0; i < s->heap_count; i++)
        item_release(&s->items[s->heap[i].place]);
    for (uint32_t i = 0; i < s->held_count; i++)
        item_release(&s->held[i]);
    for (uint32_t i = 0; i < s->copy_count; i++)
        item_release(&s->copies[i]);
    net_free(s);
    inv_free(s);
    maps_free(s);
    effects_close(&s->fx);
    msg_decoder_free(s->decoder);
    free(s->held);
    free(s->copies);
    free(s->heap);
    free(s->items);
    free(s);
}

/* ---- questions ------------------------------------------------------------------------------- */

uint64_t sim_now_us(const struct sim *s)
{
    return s->now_us;
}

uint64_t sim_hash(const struct sim *s)
{
    return s->hash;
}

uint64_t sim_events(const struct sim *s)
{
    return s->events;
}

uint32_t sim_manager_host(const struct sim *s, uint32_t manager)
{
    gt_assert(manager < manager_count(&s->config));
    return manager == 0 ? 0 : s->host_count - 1;
}

bool sim_leads(const struct sim *s, uint32_t host)
{
    return s->hosts[host].up && s->hosts[host].manager && leading(s->hosts[host].manager);
}

uint32_t sim_node_host(const struct sim *s, uint32_t node)
{
    gt_assert(node < s->config.nodes);
    return 1 + node;
}

uint32_t sim_client_host(const struct sim *s, uint32_t client)
{
    gt_assert(client < s->config.clients);
    return 1 + s->config.nodes + client;
}

uint32_t sim_host_count(const struct sim *s)
{
    return s->host_count;
}

enum sim_role sim_role(const struct sim *s, uint32_t host)
{
    return s->hosts[host].role;
}

const char *sim_name(const struct sim *s, uint32_t host)
{
    return s->hosts[host].name;
}

bool sim_up(const struct sim *s, uint32_t host)
{
    return s->hosts[host].up;
}

bool sim_ready(const struct sim *s, uint32_t host)
{
    return s->hosts[host].up && s->hosts[host].ready;
}

const struct node *sim_node(const struct sim *s, uint32_t host)
{
    return s->hosts[host].node;
}

const struct session *sim_session(const struct sim *s, uint32_t host)
{
    return s->hosts[host].session;
}

struct engine *sim_engine(const struct sim *s, uint32_t host)
{
    return s->hosts[host].engine;
}

const struct ring *sim_ring(const struct sim *s)
{
    const struct ring *newest = NULL;
    for (uint32_t i = 0; i < s->host_count; i++) {
        const struct host *h = &s->hosts[i];
        const struct ring *r = h->node      ? node_ring(h->node)
                               : h->manager ? manager_ring(h->manager)
                                            : NULL;
        /* What a manager has founded that has lost its folder is no map of the cluster. */
        bool better =
            r && (!newest || r->formed > newest->formed ||
                  (r->formed == newest->formed && epoch_compare(r->epoch, newest->epoch) > 0));
        if (better)
            newest = r;
    }
    return newest;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

uint64_t sim_wall_us(const struct sim *s, uint32_t host)
{
    const struct host *h = &s->hosts[host];
    int64_t drift_us = (int64_t)(s->now_us / 1000) * h->clock_drift_ppm / 1000;
    return SIM_WALL_US + s->now_us + (uint64_t)(h->clock_offset_us + drift_us);
}

void sim_clock(struct sim *s, uint32_t host, int64_t offset_us, int64_t drift_ppm)
{
    s->hosts[host].clock_offset_us = offset_us;
    s->hosts[host].clock_drift_ppm = drift_ppm;
    sim_say(s, (int)host, "clock set %+.3f s, %+d ppm", (double)offset_us / 1e6, (int)drift_ppm);
}

void sim_pause(struct sim *s, uint32_t host, uint64_t until_us)
{
    if (until_us == UINT64_MAX)
        sim_say(s, (int)host, "paused");
    else
        sim_say(s, (int)host, "paused for %.3f ms", (double)(until_us - s->now_us) / 1000);
    if (until_us > s->hosts[host].paused_us)
        s->hosts[host].paused_us = until_us;
}

void sim_deaf(struct sim *s, uint32_t host, uint64_t until_us)
{
    if (until_us <= s->now_us)
        sim_say(s, (int)host, "hears of maps");
    else if (until_us == UINT64_MAX)
        sim_say(s, (int)host, "hears of no map");
    else
        sim_say(s, (int)host, "hears of no map for %.3f ms", (double)(until_us - s->now_us) / 1000);
    s->hosts[host].deaf_us = until_us;
}

static int due_order(const void *left, const void *right)
{
    return due_before(left, right) ? -1 : 1;
}

void sim_resume(struct sim *s, uint32_t host)
{
    uint64_t paused_us = s->hosts[host].paused_us;
    if (paused_us <= s->now_us)
        return;
    sim_say(s, (int)host, "goes on");
    s->hosts[host].paused_us = s->now_us;
    /* What waits for the end of the pause happens now, in the order in which it came. */
    for (uint32_t i = 0; i < s->heap_count; i++) {
        struct item *item = &s->items[s->heap[i].place];
        if (item->host == host && s->heap[i].at_us == paused_us && item_waits(item))
            s->heap[i].at_us = item->at_us = s->now_us;
    }
    /* A list in order is a heap. */
    qsort(s->heap, s->heap_count, sizeof(*s->heap), due_order);
}

/* ---- values ---------------------------------------------------------------------------------- */

void sim_value(uint64_t write, uint8_t *value, size_t bytes)
{
    gt_assert(bytes >= SIM_VALUE_BYTES_MIN);
    struct prng p;
    le64_put(value, write);
    le32_put(value + 8, (uint32_t)bytes);
    prng_init(&p, write);
    prng_fill(&p, value + SIM_VALUE_BYTES_MIN, bytes - SIM_VALUE_BYTES_MIN);
}

uint64_t sim_value_write(struct slice value)
{
    uint8_t part[256], *expected = part;
    if (value.bytes < SIM_VALUE_BYTES_MIN || le32_get(value.data + 8) != value.bytes)
        return 0;
    if (value.bytes > sizeof(part))
        expected = malloc(value.bytes);
    gt_assert(expected);
    uint64_t write = le64_get(value.data);
    sim_value(write, expected, value.bytes);
    bool same = memcmp(expected, value.data, value.bytes) == 0;
    if (expected != part)
        free(expected);
    return same ? write : 0;
}
