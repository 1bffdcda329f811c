/*
 * A real engine on a real folder, driven by the caller's thread alone, and what has to be true of
 * it.
 *
 * The jobs of the lanes are run where the caller asks, so that a run makes the same calls in the
 * same order each time. Every put carries key and number in its operation id, and its value follows
 * from them: the `oracle` knows of each key which puts were begun and which were acknowledged, so
 * whoever opens the folder later can say whether what is found there is right, lost (older than
 * what was acknowledged) or made up (never put, or other bytes).
 *
 * The programs of this room are built without sanitizers, and with the planted faults
 * (engine/base/mutant.h) in the engine.
 */
#ifndef GT_TESTS_CRASH_RIG_H
#define GT_TESTS_CRASH_RIG_H

#include "engine/engine.h"

#define RIG_PARTITIONS 8u

/* ---- the oracle ------------------------------------------------------------------------------ */

#define ORACLE_KEYS 64u

/* Puts of one key are numbered from 1; each fourth is a deletion. 0: the key was never put. */
struct oracle {
    uint32_t begun[ORACLE_KEYS]; /* the highest number submitted */
    uint32_t acked[ORACLE_KEYS]; /* the highest number acknowledged */
    /* Bit by number, of those below 64: refused by an answer that says that it was not applied. */
    uint64_t refused[ORACLE_KEYS];
};

static inline bool oracle_deletes(uint32_t number)
{
    return number % 4 == 0;
}
/* The value of a put: length (at most bytes_max) and bytes follow from key and number. The caller
 * unrefs it. */
struct blob *oracle_value(uint32_t key, uint32_t number, uint32_t bytes_max);

/* ---- the rig --------------------------------------------------------------------------------- */

struct rig_config {
    const char *folder;
    uint64_t segment_bytes;     /* 0: the smallest */
    uint64_t overlay_bytes_max; /* 0: 32 KiB, so that there are checkpoints */
    uint64_t map_bytes;         /* 0: 1 GiB */
    uint32_t chunk_records;     /* 0: 8 */
    uint32_t value_bytes_max;   /* of the oracle's values; 0: 700 */
    uint64_t seed;
    uint64_t boot; /* another number: another boot of the machine */
    bool loud;     /* the engine's lines go to stderr */
    /* Called before (true) and after what the rig allocates for itself; may be NULL. */
    void (*own)(bool begins);
};

struct rig {
    struct rig_config config;
    struct log log;
    struct disk *disk;
    struct index *index;
    struct engine *engine;
    struct engine_report report;
    uint64_t now_us;
    uint32_t warnings; /* lines of the engine, warnings and errors; also after rig_close */
    char holder[DISK_HOLDER_BYTES]; /* of an error of the folder: what was said */
};

/* Opens disk, index and engine: 0 or the first GT_E*, with nothing left open. */
int rig_open(struct rig *rig, const struct rig_config *config);
/* Ends it; with clean all work is done before and the mark of an orderly stop written: 0, or what
 * poisoned the log. */
int rig_close(struct rig *rig, struct oracle *o, bool clean);

/* Submits the next put (or deletion) of this key. No job is run. */
void rig_put(struct rig *rig, struct oracle *o, uint32_t key);
/* One job of one lane, begun, run and done; false when it has none. */
bool rig_step(struct rig *rig, enum engine_lane lane);
/* Takes the answers that are ready: acked is raised. 0, or the first error of one. */
int rig_answers(struct rig *rig, struct oracle *o);
/* Jobs of all lanes until there are none, and the answers: 0, the first error of one, or what
 * poisoned the log. */
int rig_run(struct rig *rig, struct oracle *o);
/* The log is idle for so long that it is sealed; runs what is due then. As rig_run. */
int rig_idle(struct rig *rig, struct oracle *o);

/* What the engine answers for a key: 0 and the number of the put that it shows (0: none), the GT_E*
 * of the answer, or GT_ECORRUPT when it shows what was never put. */
int rig_get(struct rig *rig, uint32_t key, uint32_t *number);

/*
 * Reads every key: it must show a put that was begun and not refused, and none older than the
 * newest acknowledged. With doubtful, the engine said that it may have lost something: then an
 * older one is right too, and so is GT_EUNKNOWN. At the first that is wrong it writes a line to why
 * and returns false.
 */
bool rig_check(struct rig *rig, const struct oracle *o, bool doubtful, char *why, size_t bytes);

#endif
