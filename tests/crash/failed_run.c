#include "tests/crash/failed_run.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"

#define WATCHDOG_S (20 * GT_SLOW)
#define LONG_US    60000000u /* every pause of a checkpoint that failed is over then */
#define ROOM_BYTES (64u << 20)
#define AFTER_PUTS 20u
#define AGAIN_PUTS 8u
#define IDLE_EVERY 16u
#define READ_EVERY 5u
#define GROUP_PUTS 3u

struct run {
    const struct fail_plan *plan;
    struct outcome *out;
    struct prng prng;
    struct rig_config config;
    bool room_again;
};

__attribute__((format(printf, 2, 3))) static void wrong(struct outcome *out, const char *format,
                                                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!out->why[0])
        vsnprintf(out->why, sizeof(out->why), format, arguments);
    va_end(arguments);
}

/* An error is one of the table, or the caller could not tell what to do. */
static void error_judge(struct outcome *out, const char *what, int error)
{
    if (error != 0 && strcmp(error_name(error), "GT_E?") == 0)
        wrong(out, "%s: error %d, which has no name", what, error);
}

static void met(struct run *r, const char *what, int error)
{
    error_judge(r->out, what, error);
    r->out->whole &= error == 0;
}

/* What the end of a process says is no news here: it is judged by its exit code. */
static void silence(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
}

/* A read in the middle of it: it may fail, and must not show what is not so. */
static void read_one(struct run *r, struct rig *rig, uint32_t key)
{
    const struct oracle *o = &r->out->oracle;
    uint32_t number;
    int error = rig_get(rig, key, &number);
    error_judge(r->out, "get", error);
    if (error == GT_ECORRUPT || (!error && (number < o->acked[key] || number > o->begun[key])))
        wrong(r->out, "a get of key %u shows put %u, acknowledged %u, begun %u: %s", key, number,
              o->acked[key], o->begun[key], error_text(error));
    r->out->whole &= !error || error == GT_EBUSY;
}

/* There is room again: what waits is written, and from now on every put is acknowledged. */
static void room_again(struct run *r, struct rig *rig)
{
    struct oracle *o = &r->out->oracle;
    fail_room(ROOM_BYTES);
    r->room_again = true;
    for (int i = 0; i < 3; i++) {
        rig->now_us += LONG_US;
        rig_idle(rig, o);
    }
    if (engine_disk_error(rig->engine))
        wrong(r->out, "with room again, and nobody writing, the engine still says: %s",
              error_text(engine_disk_error(rig->engine)));
    for (uint32_t i = 0; i < AGAIN_PUTS; i++) {
        uint32_t key = (uint32_t)prng_below(&r->prng, ORACLE_KEYS);
        rig_put(rig, o, key);
        int error = rig_run(rig, o);
        if (error || o->acked[key] != o->begun[key])
            wrong(r->out, "with room again a put ends with: %s", error_text(error));
    }
}

static void puts_make(struct run *r, struct rig *rig, bool last)
{
    struct oracle *o = &r->out->oracle;
    for (uint32_t i = 1; i <= FAILED_PUTS && !engine_poisoned(rig->engine); i++) {
        uint32_t key = (uint32_t)prng_below(&r->prng, ORACLE_KEYS);
        rig_put(rig, o, key);
        if (i % READ_EVERY == 0)
            read_one(r, rig, (uint32_t)prng_below(&r->prng, ORACLE_KEYS));
        if (i % GROUP_PUTS == 0)
            met(r, "put", rig_run(rig, o));
        for (int tick = 0; tick < 2 && i % IDLE_EVERY == 0; tick++)
            met(r, "idle", rig_idle(rig, o)); /* the second one seals */
        if (last && r->plan->room && i == FAILED_PUTS / 2)
            room_again(r, rig);
    }
}

static void life_end(struct run *r, struct rig *rig)
{
    struct oracle *o = &r->out->oracle;
    rig->now_us += LONG_US;
    met(r, "idle", rig_idle(rig, o));
    met(r, "idle", rig_idle(rig, o));
    /* What waits for room is refused, as at the stop of a daemon. */
    if (!engine_poisoned(rig->engine))
        engine_tick(rig->engine, UINT64_MAX);
    met(r, "stop", rig_run(rig, o));
    const struct engine_metrics *m = engine_metrics(rig->engine);
    r->out->checkpoints += m->checkpoints_count;
    r->out->recycled += m->segments_recycled_count;
    r->out->seals += m->seals_count;
    r->out->poisoned = engine_poisoned(rig->engine);
    met(r, "close", rig_close(rig, o, true));
    r->out->warned |= rig->warnings > 0;
}

static void outcome_take(struct outcome *out)
{
    const struct oracle *o = &out->oracle;
    out->hits = fail_hits();
    out->hits_index = fail_hits_index();
    out->hits_close = fail_hits_close();
    out->grown_bytes = fail_grown();
    for (int kind = 0; kind < FAIL_KINDS; kind++)
        out->counts[kind] = fail_count((enum fail_kind)kind);
    for (uint32_t key = 0; key < ORACLE_KEYS; key++)
        out->whole &= o->acked[key] == o->begun[key] && o->refused[key] == 0;
}

/* Another one in each life: a segment that is used again has another salt. */
static uint64_t life_seed(uint64_t seed, uint32_t life)
{
    return seed * (FAILED_LIVES + 2) + life;
}

void failed_run(const struct fail_plan *plan, uint64_t seed, bool loud, const char *folder,
                const char *scratch, struct outcome *out)
{
    struct run r = {
        .plan = plan, .out = out, .config = {.folder = folder, .loud = loud, .own = fail_pause}};
    alarm(WATCHDOG_S);
    if (!loud)
        silence();
    prng_init(&r.prng, seed);
    out->whole = true;
    for (int life = 0; life < FAILED_LIVES; life++)
        out->opened[life] = 1;
    fail_begin(plan);
    for (int life = 0; life < FAILED_LIVES && !out->poisoned; life++) {
        struct rig rig;
        /* Those of the lives before are too short for the last one, and removed. */
        r.config.segment_bytes = (life == FAILED_LIVES - 1 ? 2 : 1) * WAL_SEGMENT_BYTES_MIN;
        r.config.seed = life_seed(seed, (uint32_t)life);
        out->opened[life] = rig_open(&rig, &r.config);
        met(&r, "open", out->opened[life]);
        if (out->opened[life])
            break;
        if (rig.report.doubtful)
            wrong(out, "the second start is in doubt");
        puts_make(&r, &rig, life == FAILED_LIVES - 1);
        life_end(&r, &rig);
    }
    fail_end();
    outcome_take(out);
    out->pages_lost = fail_lose(scratch);
    out->ended = true;
    _exit(0);
}

static bool check_open(struct rig *rig, const struct rig_config *config, struct outcome *out,
                       const char *which)
{
    int error = rig_open(rig, config);
    if (error) {
        wrong(out, "the %s start is refused: %s %s", which, error_text(error), rig->holder);
        return false;
    }
    char why[160];
    if (!rig_check(rig, &out->oracle, false, why, sizeof(why)))
        wrong(out, "at the %s start %s", which, why);
    if (rig->report.doubtful || engine_damage(rig->engine)->kinds)
        wrong(out, "the %s start is in doubt, though nothing was lost", which);
    return true;
}

void failed_check(uint64_t seed, bool loud, const char *folder, struct outcome *out)
{
    struct rig rig;
    struct rig_config config = {
        .folder = folder, .seed = life_seed(seed, FAILED_LIVES), .loud = loud};
    alarm(WATCHDOG_S);
    if (!check_open(&rig, &config, out, "next"))
        _exit(1);
    for (uint32_t i = 0; i < AFTER_PUTS; i++) {
        rig_put(&rig, &out->oracle, i);
        int error = rig_run(&rig, &out->oracle);
        if (error || out->oracle.acked[i] != out->oracle.begun[i])
            wrong(out, "a put at the next start ends with: %s", error_text(error));
    }
    int error = rig_close(&rig, &out->oracle, true);
    if (error)
        wrong(out, "the next stop ends with: %s", error_text(error));
    config.seed++;
    if (check_open(&rig, &config, out, "last"))
        rig_close(&rig, &out->oracle, true);
    _exit(out->why[0] ? 1 : 0);
}
