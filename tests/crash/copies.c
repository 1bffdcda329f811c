/*
 * A folder is copied while its engine runs: file by file, in any order, the index page by page in
 * any order, and the copy is opened alone. A copy that is not of one moment cannot be told from a
 * good one by looking at it, so it is known by what it is: files of other numbers, without an
 * orderly stop. It may be refused as damaged, or say that it may have lost something; it must not
 * crash, show what was never put, or hide that something acknowledged before the copy began is
 * missing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/base/prng.h"
#include "tests/crash/rig.h"
#include "tests/crash/scratch.h"

#define COPIES_DEFAULT 200u
#define WATCHDOG_S     (20 * GT_SLOW)
#define PAGE_BYTES     4096u
#define FILES_MAX      64u
#define PATH_BYTES     256
#define FAILURES_MAX   20u
#define COPIES_MAX     1000000u
#define READY_PUTS     500u
#define READY_POLLS    30000 /* of a millisecond */

/* In memory that the processes share; the writer alone writes the oracle. */
struct shared {
    struct oracle oracle;
    uint64_t puts;
    char why[200];
    int opened;
    bool doubtful;
};

struct bench {
    char scratch[SCRATCH_BYTES], original[SCRATCH_BYTES + 16], copy[SCRATCH_BYTES + 16];
    struct shared *shared;
    struct prng prng;
    bool loud;
    uint32_t refused, doubtful, whole, failures;
};

/* ---- the one that runs ----------------------------------------------------------------------- */

/* Puts until it is killed. An acknowledgement is in the oracle before the next put begins. */
__attribute__((noreturn)) static void writer_run(const struct bench *b, uint64_t seed)
{
    struct rig rig;
    struct rig_config config = {.folder = b->original, .seed = seed};
    struct prng prng;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it has no end of its own */
    prng_init(&prng, seed);
    struct oracle *o = &b->shared->oracle;
    if (rig_open(&rig, &config))
        _exit(1);
    for (;;) {
        rig_put(&rig, o, (uint32_t)prng_below(&prng, ORACLE_KEYS));
        int error = prng_below(&prng, 8) == 0 ? rig_idle(&rig, o) : rig_run(&rig, o);
        if (error)
            _exit(1);
        __atomic_add_fetch(&b->shared->puts, 1, __ATOMIC_RELEASE);
    }
}

/* ---- the one that copies --------------------------------------------------------------------- */

static void shuffle(struct prng *prng, uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = (uint32_t)prng_below(prng, i), other = numbers[i - 1];
        numbers[i - 1] = numbers[j];
        numbers[j] = other;
    }
}

/* Page by page in a random order, as it stands at the moment of each. A file that has gone is left
 * out, as cp does. */
static void file_copy(struct bench *b, const char *from, const char *to)
{
    struct stat facts;
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    if (in < 0)
        return;
    if (fstat(in, &facts) != 0 || (out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0) {
        close(in);
        return;
    }
    uint32_t count = (uint32_t)((facts.st_size + PAGE_BYTES - 1) / PAGE_BYTES);
    uint32_t *numbers = malloc((count + 1) * sizeof(*numbers));
    uint8_t page[PAGE_BYTES];
    if (numbers)
        shuffle(&b->prng, numbers, count);
    for (uint32_t i = 0; numbers && i < count; i++) {
        off_t offset = (off_t)numbers[i] * PAGE_BYTES;
        ssize_t n = pread(in, page, PAGE_BYTES, offset);
        if (n > 0 && pwrite(out, page, (size_t)n, offset) != n)
            break;
    }
    free(numbers);
    close(in);
    close(out);
}

/* The files below the folder. The lock of the index is LMDB's, and made anew. */
static uint32_t files_list(const char *folder, char names[FILES_MAX][32])
{
    static const char *const rooms[] = {"wal", "index"};
    uint32_t count = 1;
    snprintf(names[0], 32, "node.lock");
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof(path), "%s/%s", folder, rooms[i]);
        DIR *stream = opendir(path);
        struct dirent *entry;
        while (stream && (entry = readdir(stream)) && count < FILES_MAX)
            if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lock.mdb") != 0)
                snprintf(names[count++], 32, "%s/%.25s", rooms[i], entry->d_name);
        if (stream)
            closedir(stream);
    }
    return count;
}

static void folder_copy(struct bench *b)
{
    static char names[FILES_MAX][32];
    uint32_t order[FILES_MAX];
    char from[PATH_BYTES], to[PATH_BYTES];
    scratch_remove(b->copy);
    mkdir(b->copy, 0700);
    snprintf(to, sizeof(to), "%s/wal", b->copy);
    mkdir(to, 0700);
    snprintf(to, sizeof(to), "%s/index", b->copy);
    mkdir(to, 0700);
    uint32_t count = files_list(b->original, names);
    shuffle(&b->prng, order, count);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(from, sizeof(from), "%s/%s", b->original, names[order[i]]);
        snprintf(to, sizeof(to), "%s/%s", b->copy, names[order[i]]);
        file_copy(b, from, to);
    }
}

/* ---- the copy is opened ---------------------------------------------------------------------- */

__attribute__((noreturn)) static void copy_check(const struct bench *b, const struct oracle *before,
                                                 uint64_t boot)
{
    struct rig rig;
    struct rig_config config = {.folder = b->copy, .seed = 77, .boot = boot, .loud = b->loud};
    struct shared *s = b->shared;
    alarm(WATCHDOG_S);
    s->opened = rig_open(&rig, &config);
    if (s->opened)
        _exit(strcmp(error_name(s->opened), "GT_E?") == 0);
    s->doubtful = rig.report.doubtful;
    /* What was acknowledged before the copy began, and begun by now. */
    struct oracle o = *before;
    memcpy(o.begun, s->oracle.begun, sizeof(o.begun));
    if (!rig_check(&rig, &o, s->doubtful, s->why, sizeof(s->why)))
        _exit(1);
    for (uint32_t key = 0; key < ORACLE_KEYS; key++)
        rig_put(&rig, &o, key);
    int error = rig_close(&rig, &o, true);
    if (error && !s->doubtful)
        snprintf(s->why, sizeof(s->why), "puts to the copy end with: %s", error_text(error));
    _exit(s->why[0] != 0);
}

static void copy_judge(struct bench *b, uint32_t number, int status)
{
    struct shared *s = b->shared;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        b->refused += s->opened != 0;
        b->doubtful += s->opened == 0 && s->doubtful;
        bool whole = s->opened == 0 && !s->doubtful;
        b->whole += whole;
        b->failures += whole;
        if (whole)
            fprintf(stderr, "copy %u: takes itself for the original\n", number);
        return;
    }
    b->failures++;
    if (WIFSIGNALED(status))
        fprintf(stderr, "copy %u: ended by signal %d, opened %d%s\n", number, WTERMSIG(status),
                s->opened, s->doubtful ? ", in doubt" : "");
    else
        fprintf(stderr, "copy %u: %s%s\n", number, s->why[0] ? s->why : error_text(s->opened),
                s->doubtful ? " (in doubt)" : "");
}

static void copy_try(struct bench *b, uint32_t number)
{
    struct oracle before = b->shared->oracle;
    folder_copy(b);
    b->shared->why[0] = 0;
    b->shared->opened = 1;
    b->shared->doubtful = false;
    pid_t child = fork();
    if (child == 0)
        copy_check(b, &before, number % 2);
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    copy_judge(b, number, status);
}

/* The original has a log, an index and a checkpoint behind it; false: it does not come that far. */
static bool original_ready(const struct bench *b, pid_t writer)
{
    for (int i = 0; i < READY_POLLS; i++) {
        if (waitpid(writer, NULL, WNOHANG) != 0)
            return false;
        if (__atomic_load_n(&b->shared->puts, __ATOMIC_ACQUIRE) >= READY_PUTS)
            return true;
        usleep(1000);
    }
    return false;
}

static bool copies_try(struct bench *b, uint32_t copies, uint64_t seed)
{
    fflush(NULL);
    pid_t writer = fork();
    if (writer == 0)
        writer_run(b, seed);
    bool ready = writer > 0 && original_ready(b, writer);
    for (uint32_t i = 0; ready && i < copies && b->failures < (mutant_chosen ? 1 : FAILURES_MAX);
         i++)
        copy_try(b, i);
    bool ran = ready && waitpid(writer, NULL, WNOHANG) == 0;
    if (ran) {
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
    } else {
        fprintf(stderr, "the original has ended\n");
    }
    return ran && b->failures == 0;
}

static int usage(const char *program, int code)
{
    fprintf(code ? stderr : stdout, "usage: %s [--copies N] [--seed S] [--mutant NAME] [--loud]\n",
            program);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option table[] = {
        {"copies", required_argument, NULL, 'c'}, {"seed", required_argument, NULL, 's'},
        {"mutant", required_argument, NULL, 'm'}, {"loud", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    uint64_t copies = COPIES_DEFAULT, seed = 1;
    struct bench b = {0};
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        char *end = "";
        switch (option) {
        case 'c':
            copies = strtoull(optarg, &end, 10);
            break;
        case 's':
            seed = strtoull(optarg, &end, 10);
            break;
        case 'm':
            mutant_chosen = optarg;
            break;
        case 'l':
            b.loud = true;
            break;
        default:
            return usage(argv[0], option == 'h' ? 0 : 2);
        }
        if (*end)
            return usage(argv[0], 2);
    }
    if (optind < argc || copies == 0 || copies > COPIES_MAX)
        return usage(argv[0], 2);
    b.shared =
        mmap(NULL, sizeof(*b.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (b.shared == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    scratch_make("copies", b.scratch);
    snprintf(b.original, sizeof(b.original), "%s/data", b.scratch);
    snprintf(b.copy, sizeof(b.copy), "%s/copy", b.scratch);
    prng_init(&b.prng, seed);
    bool good = copies_try(&b, (uint32_t)copies, seed);
    printf("copies: %u refused, %u in doubt, %u whole, %u wrong; %llu puts meanwhile\n", b.refused,
           b.doubtful, b.whole, b.failures, (unsigned long long)b.shared->puts);
    scratch_remove(b.scratch);
    return good ? 0 : 1;
}
