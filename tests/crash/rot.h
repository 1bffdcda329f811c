/*
 * Bit rot: what a trial is made of.
 *
 * Trial k of a seed is a function of both alone: which folder it begins with, which bit flips where
 * (or which sector is zeroed or garbled), and whether that happens at rest or under an open engine.
 */
#ifndef GT_TESTS_CRASH_ROT_H
#define GT_TESTS_CRASH_ROT_H

#include "engine/base/prng.h"
#include "tests/crash/rig.h"

#define ROT_TEXT_BYTES 240
#define ROT_PATH_BYTES 512
#define SECTOR_BYTES   512u

/* ---- where it rots (rot_place.c) ------------------------------------------------------------- */

enum rot_target {
    ROT_META_PAGE, /* one of the two pages on which LMDB begins */
    ROT_BRANCH,
    ROT_LEAF_HEAD, /* header, pointers and node headers */
    ROT_LEAF_BODY, /* keys and values: records, partitions, identity, applied mark, named values */
    ROT_ANY_PAGE,  /* overflow pages and free ones are among them */
    ROT_SEGMENT_HEAD,
    ROT_BATCH_HEAD,
    ROT_LOG_BODY,
    ROT_TARGETS
};
extern const char *const rot_target_names[ROT_TARGETS];

/* STALE: the number of a child is that of a free page, which an older commit had in its place. */
enum rot_damage { ROT_BIT, ROT_ZEROED, ROT_GARBLED, ROT_STALE };

struct rot_place {
    enum rot_target target;
    enum rot_damage damage;
    char file[ROT_PATH_BYTES];
    uint64_t offset;
    uint8_t mask;    /* of a flipped bit */
    uint32_t number; /* of the stale page */
};

/* Draws a place in the files that are in the folder now. False: it has no such bytes. */
bool rot_draw(const char *folder, struct prng *p, struct rot_place *out);
/* Changes the bytes through a descriptor of its own. */
void rot_strike(const struct rot_place *place, struct prng *p);
void rot_tell(const struct rot_place *place, char *text, size_t bytes);

/* ---- the folders that it strikes (rot_folder.c) ---------------------------------------------- */

#define ROT_FOLDERS 4

struct rot_folder {
    char path[ROT_PATH_BYTES];
    struct rig_config config; /* its path is that of the copy */
    struct oracle oracle;
    bool proved; /* the end of its log is: by a seal or the mark of a clean end */
};

/* Makes the folders below `scratch`, each as another kind of use left it. */
void rot_folders_make(const char *scratch, uint64_t seed, struct rot_folder folders[ROT_FOLDERS]);
/* Makes `to` a copy of it, without locks. */
void rot_folder_copy(const struct rot_folder *from, const char *to);
/* The named value that each folder holds: so many bytes, one like the other. */
#define ROT_META_NAME  "map"
#define ROT_META_BYTES 3000u
#define ROT_META_BYTE  'm'

/* ---- one trial (rot_trial.c) ----------------------------------------------------------------- */

enum rot_verdict {
    ROT_UNFINISHED, /* as it stands in the child until its end: it died */
    ROT_SOUND,      /* all that was shown was right, or the engine said that it does not know */
    ROT_REFUSED,    /* the folder was not opened, and the cause was said */
    ROT_WRONG       /* something wrong was shown, or refused without a word */
};

/* In memory that the child shares with its parent. */
struct rot_outcome {
    enum rot_verdict verdict;
    bool noticed;              /* the engine said that something is not as it was */
    char phase[32];            /* what is being done */
    char text[ROT_TEXT_BYTES]; /* of a refusal its cause, of something wrong what it is */
    struct rot_place place;
};

/* Runs in a child of its own. `serving`: the engine is open when it strikes. */
void rot_trial(const struct rot_folder *folder, const char *copy, bool serving, struct prng *p,
               bool loud, struct rot_outcome *out);

#endif
