#include "tests/crash/check.h"

#include <stdio.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "tests/crash/life.h"

#define MORE_PUTS 6u

static const char *const texts[VERDICTS] = {
    "right", "refused to open", "lost", "made up", "false alarm", "ended",
};

const char *verdict_text(enum verdict v)
{
    return texts[v];
}

/* What is wrong with the key: what a check said no to is read again. */
static enum verdict wrong_at(struct rig *rig, const struct oracle *o)
{
    for (uint32_t key = 0; key < ORACLE_KEYS; key++) {
        uint32_t number;
        int error = rig_get(rig, key, &number);
        if (error == GT_ECORRUPT || (!error && number > o->begun[key]))
            return VERDICT_MADE_UP;
        if (error || number < o->acked[key])
            return VERDICT_LOST;
    }
    return VERDICT_LOST;
}

static enum verdict open_and_look(const struct check *check, uint64_t boot, const struct oracle *o,
                                  struct rig *rig, char *why, size_t bytes)
{
    struct rig_config config = life_rig(check->folder, boot, check->value_bytes_max);
    config.loud = check->loud;
    int error = rig_open(rig, &config);
    if (error) {
        snprintf(why, bytes, "%s%s", rig->report.where ? rig->report.where : "", error_text(error));
        return VERDICT_REFUSED;
    }
    enum verdict v = VERDICT_RIGHT;
    const struct engine_damage *damage = engine_damage(rig->engine);
    if (!rig_check(rig, o, false, why, bytes)) {
        v = wrong_at(rig, o);
    } else if (damage->kinds & ~DAMAGE_TAIL) {
        snprintf(why, bytes, "damage of kinds %u is reported, lsn %llu..%llu", damage->kinds,
                 (unsigned long long)damage->first_lsn, (unsigned long long)damage->last_lsn);
        v = VERDICT_ALARM;
    }
    if (v != VERDICT_RIGHT)
        rig_close(rig, NULL, false);
    return v;
}

/* Everything that it shows now must stay. */
static void see_all(struct rig *rig, struct oracle *o)
{
    for (uint32_t key = 0; key < ORACLE_KEYS; key++)
        if (rig_get(rig, key, &o->acked[key]) == 0 && o->begun[key] < o->acked[key])
            o->begun[key] = o->acked[key];
}

static enum verdict puts_go_on(struct rig *rig, struct oracle *o, struct prng *prng, char *why,
                               size_t bytes)
{
    int error = 0;
    for (uint32_t i = 0; i < MORE_PUTS && !error; i++) {
        rig_put(rig, o, (uint32_t)prng_below(prng, ORACLE_KEYS));
        error = rig_run(rig, o);
    }
    if (error) {
        snprintf(why, bytes, "a put after the recovery: %s", error_text(error));
        return VERDICT_REFUSED;
    }
    return rig_check(rig, o, false, why, bytes) ? VERDICT_RIGHT : wrong_at(rig, o);
}

enum verdict check_run(const struct check *check, const struct oracle *o, char *why, size_t bytes)
{
    struct rig rig;
    struct prng prng;
    prng_init(&prng, check->seed);
    enum verdict v = open_and_look(check, check->boot, o, &rig, why, bytes);
    if (v != VERDICT_RIGHT || !check->more) {
        if (v == VERDICT_RIGHT)
            rig_close(&rig, NULL, false);
        return v;
    }
    struct oracle after = *o;
    see_all(&rig, &after);
    v = puts_go_on(&rig, &after, &prng, why, bytes);
    rig_close(&rig, &after, v == VERDICT_RIGHT && prng_below(&prng, 2));
    if (v != VERDICT_RIGHT)
        return v;
    v = open_and_look(check, check->boot + prng_below(&prng, 2), &after, &rig, why, bytes);
    if (v == VERDICT_RIGHT)
        rig_close(&rig, &after, false);
    return v;
}
