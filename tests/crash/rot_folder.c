#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "tests/crash/rot.h"
#include "tests/crash/scratch.h"

#define PIECE_BYTES (256u << 10)

/* How a folder was used, and left. */
struct use {
    uint32_t value_bytes_max, puts;
    bool clean;  /* closed in order */
    bool sealed; /* the log was idle before it was left */
    bool reboot; /* the machine restarts before it is opened again */
};

static const struct use uses[ROT_FOLDERS] = {
    {.value_bytes_max = 700, .puts = 500, .clean = true},
    {.value_bytes_max = 120, .puts = 700, .sealed = true},
    {.value_bytes_max = 6000, .puts = 160, .reboot = true}, /* with overflow pages */
    {.value_bytes_max = 1900, .puts = 300, .sealed = true, .reboot = true},
};

static void meta_put(struct rig *rig)
{
    struct blob *hold = blob_new(strlen(ROT_META_NAME) + ROT_META_BYTES);
    gt_assert(hold);
    memset(hold->data, ROT_META_BYTE, hold->bytes);
    memcpy(hold->data, ROT_META_NAME, strlen(ROT_META_NAME));
    struct store_request r = {.kind = STORE_META, .hold = hold, .stamp = rig->now_us};
    r.key = slice_of(hold->data, strlen(ROT_META_NAME));
    r.value = slice_of(hold->data + r.key.bytes, hold->bytes - r.key.bytes);
    engine_submit(rig->engine, &r, rig->now_us++);
}

static void folder_make(struct rot_folder *f, const struct use *use, uint64_t seed)
{
    struct prng p;
    struct rig rig;
    prng_init(&p, seed);
    f->config = (struct rig_config){
        .folder = f->path, .value_bytes_max = use->value_bytes_max, .seed = seed};
    /* Two lives, the first of which leaves a log that the second recovers. */
    for (int life = 0; life < 2; life++) {
        gt_assert(rig_open(&rig, &f->config) == 0);
        meta_put(&rig);
        gt_assert(rig_run(&rig, &f->oracle) == 0);
        for (uint32_t i = 0; i < use->puts / 2; i++) {
            rig_put(&rig, &f->oracle, (uint32_t)prng_below(&p, ORACLE_KEYS - 4)); /* some never */
            if (prng_below(&p, 3) == 0)
                gt_assert(rig_run(&rig, &f->oracle) == 0);
        }
        meta_put(&rig);
        gt_assert(rig_run(&rig, &f->oracle) == 0);
        if (life == 0 || use->sealed)
            gt_assert(rig_idle(&rig, &f->oracle) == 0);
        gt_assert(rig_close(&rig, &f->oracle, life == 1 && use->clean) == 0);
    }
    f->config.boot = use->reboot;
    f->proved = use->clean || use->sealed;
}

void rot_folders_make(const char *scratch, uint64_t seed, struct rot_folder folders[ROT_FOLDERS])
{
    for (unsigned i = 0; i < ROT_FOLDERS; i++) {
        folders[i] = (struct rot_folder){0};
        snprintf(folders[i].path, ROT_PATH_BYTES, "%s/folder%u", scratch, i);
        folder_make(&folders[i], &uses[i], seed + i);
    }
}

static void path_join(char path[ROT_PATH_BYTES], const char *folder, const char *name)
{
    int bytes = snprintf(path, ROT_PATH_BYTES, "%s/%s", folder, name);
    gt_assert(bytes > 0 && bytes < (int)ROT_PATH_BYTES);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void file_copy(const char *from, const char *to)
{
    static uint8_t piece[PIECE_BYTES];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    gt_assert(in >= 0 && out >= 0);
    for (ssize_t got; (got = read(in, piece, sizeof(piece))) != 0;) {
        gt_assert(got > 0);
        ssize_t put = write(out, piece, (size_t)got);
        gt_assert(put == got);
    }
    close(in);
    close(out);
}

/* Calls each file of the folder with its place in `to`, which may be NULL. */
static void files_each(const char *from, const char *to,
                       void (*each)(const char *from, const char *to))
{
    DIR *d = opendir(from);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        char source[ROT_PATH_BYTES], target[ROT_PATH_BYTES] = "";
        /* Locks are of the processes that hold them, and would tell that this is a copy. */
        if (e->d_type != DT_REG || strcmp(e->d_name, "lock.mdb") == 0 ||
            strcmp(e->d_name, "node.lock") == 0)
            continue;
        path_join(source, from, e->d_name);
        if (to)
            path_join(target, to, e->d_name);
        each(source, target);
    }
    closedir(d);
}

static const char *const below[] = {"", "wal", "index"};

void rot_folder_copy(const struct rot_folder *from, const char *to)
{
    char source[ROT_PATH_BYTES], target[ROT_PATH_BYTES];
    scratch_remove(to);
    for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
        path_join(source, from->path, below[i]);
        path_join(target, to, below[i]);
        gt_assert(mkdir(target, 0700) == 0);
        files_each(source, target, file_copy);
    }
}
