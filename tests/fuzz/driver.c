/*
 * A seeded fuzz driver: the main() behind every fuzz target.
 *
 *   TARGET [--seed N] [--runs N] [--run K] [--max-bytes B] [--corpus DIR] [FILE...]
 *
 * Run k of seed s is a function of s, k and the pool alone, so `--seed s --run k` makes it again.
 * The pool is what the target offers through fuzz_seed, then the files of the corpus in the order
 * of their names. The first runs are the pool as it is; the others are random bytes or one of the
 * pool after a few mutations. FILEs are run once each, and then nothing else is.
 *
 * The input stands in a heap block of exactly its size, so that a sanitizer sees a read past it.
 * When the target dies, its input is written to crash-SEED-RUN.bin in the working folder, and
 * stderr names it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/buf.h"
#include "engine/base/prng.h"

#define POOL_MAX        4096
#define INPUT_BYTES_MAX (1u << 20)
#define SEED_BYTES_MAX  (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Writes the index-th example of a good input, at most `capacity` bytes; returns its size, 0 when
 * there are no more. A target may leave it out. */
__attribute__((weak)) size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);
/* From the sanitizers' run time, when there is one. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

struct input {
    uint8_t *data;
    size_t bytes;
};

static struct input pool[POOL_MAX];
static unsigned pool_count;

/* What runs now, for the one who dies. */
static const uint8_t *running;
static size_t running_bytes;
static char crash_name[64] = "crash.bin";

static void crash_save(void)
{
    static const char note[] = "fuzz: the input is in ";
    if (!running)
        return;
    int file = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t done = file < 0 ? -1 : write(file, running, running_bytes);
    running = NULL;
    if (done >= 0 && write(STDERR_FILENO, note, sizeof(note) - 1) > 0 &&
        write(STDERR_FILENO, crash_name, strlen(crash_name)) > 0)
        done = write(STDERR_FILENO, "\n", 1);
    close(file);
}

static void crash_signal(int number)
{
    crash_save();
    signal(number, SIG_DFL);
    raise(number);
}

static void crash_arm(void)
{
    signal(SIGABRT, crash_signal);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(crash_save);
        return; /* the other signals are the sanitizer's, which reports more and then calls back */
    }
    signal(SIGSEGV, crash_signal);
    signal(SIGBUS, crash_signal);
    signal(SIGFPE, crash_signal);
    signal(SIGILL, crash_signal);
}

static void die(const char *what, const char *which)
{
    fprintf(stderr, "fuzz: %s: %s\n", what, which);
    exit(2);
}

static void pool_add(const uint8_t *data, size_t bytes)
{
    if (pool_count == POOL_MAX)
        return;
    uint8_t *copy = malloc(bytes + 1);
    if (!copy)
        die("out of memory", "pool");
    memcpy(copy, data, bytes);
    pool[pool_count++] = (struct input){copy, bytes};
}

static void pool_of_target(void)
{
    static uint8_t seed[SEED_BYTES_MAX];
    if (!fuzz_seed)
        return;
    for (unsigned i = 0; i < POOL_MAX / 2; i++) {
        size_t bytes = fuzz_seed(i, seed, sizeof(seed));
        if (bytes == 0)
            return;
        pool_add(seed, bytes);
    }
}

static size_t file_read(const char *path, uint8_t *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        die("cannot read", path);
    size_t bytes = fread(out, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    return bytes;
}

static void pool_of_corpus(const char *folder)
{
    static uint8_t content[INPUT_BYTES_MAX];
    struct dirent **names;
    int count = scandir(folder, &names, NULL, alphasort);
    if (count < 0)
        die("cannot read", folder);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            pool_add(content, file_read(path, content));
        free(names[i]);
    }
    free(names);
}

/* ---- making inputs --------------------------------------------------------------------------- */

static uint64_t interesting(struct prng *p)
{
    static const uint64_t numbers[] = {
        0,          1,          2,          0x7e,       0x7f,           0x80,       0xff,
        0x100,      0x3fff,     0x4000,     0x7fff,     0x8000,         0xffff,     0x10000,
        0xfffff,    0x100000,   0x7fffffff, 0x80000000, 0xfffffffe,     0xffffffff, 0x100000000,
        0x10000000, 0x0fffffff, INT64_MAX,  1ull << 63, UINT64_MAX - 1, UINT64_MAX,
    };
    return numbers[prng_below(p, sizeof(numbers) / sizeof(numbers[0]))];
}

static void input_insert(struct input *in, size_t at, const uint8_t *data, size_t bytes,
                         size_t bytes_max)
{
    if (in->bytes + bytes > bytes_max)
        return;
    memmove(in->data + at + bytes, in->data + at, in->bytes - at);
    memcpy(in->data + at, data, bytes);
    in->bytes += bytes;
}

static void input_erase(struct input *in, size_t at, size_t bytes)
{
    memmove(in->data + at, in->data + at + bytes, in->bytes - at - bytes);
    in->bytes -= bytes;
}

/* Puts a number over or between the bytes, in one of the shapes that formats use. */
static void mutate_number(struct prng *p, struct input *in, size_t bytes_max)
{
    uint64_t v = interesting(p);
    uint8_t raw[10];
    size_t bytes = 0;
    unsigned shape = (unsigned)prng_below(p, 3);
    if (shape == 0) {
        for (uint64_t rest = v; rest >= 0x80; rest >>= 7, v = rest)
            raw[bytes++] = (uint8_t)(rest | 0x80);
        raw[bytes++] = (uint8_t)v;
    } else {
        bytes = (size_t)1 << prng_below(p, 4);
        for (size_t i = 0; i < bytes; i++)
            raw[i] = (uint8_t)(v >> (8 * (shape == 1 ? i : bytes - 1 - i)));
    }
    if (in->bytes >= bytes && prng_below(p, 2))
        memcpy(in->data + prng_below(p, in->bytes - bytes + 1), raw, bytes);
    else
        input_insert(in, prng_below(p, in->bytes + 1), raw, bytes, bytes_max);
}

static void mutate(struct prng *p, struct input *in, size_t bytes_max)
{
    uint8_t noise[16];
    size_t at = prng_below(p, in->bytes + 1), left = in->bytes - at;
    switch (prng_below(p, 8)) {
    case 0:
    case 1: /* flip a bit */
        if (in->bytes)
            in->data[prng_below(p, in->bytes)] ^= (uint8_t)(1u << prng_below(p, 8));
        break;
    case 2: /* another byte */
        if (in->bytes)
            in->data[prng_below(p, in->bytes)] = (uint8_t)prng_next(p);
        break;
    case 3: /* cut the end off */
        in->bytes = at;
        break;
    case 4: /* take some out */
        input_erase(in, at, left ? prng_below(p, left < 32 ? left + 1 : 33) : 0);
        break;
    case 5: /* put some in */
        prng_fill(p, noise, sizeof(noise));
        input_insert(in, at, noise, 1 + prng_below(p, sizeof(noise)), bytes_max);
        break;
    case 6: /* go on as another does */
        if (pool_count) {
            const struct input *other = &pool[prng_below(p, pool_count)];
            size_t from = prng_below(p, other->bytes + 1), more = other->bytes - from;
            if (at + more <= bytes_max) {
                memcpy(in->data + at, other->data + from, more);
                in->bytes = at + more;
            }
        }
        break;
    default:
        mutate_number(p, in, bytes_max);
        break;
    }
}

/* in->data has room for bytes_max and for every one of the pool. */
static void input_make(uint64_t seed, uint64_t run, size_t bytes_max, struct input *in)
{
    struct prng p;
    if (run < pool_count) {
        in->bytes = pool[run].bytes;
        memcpy(in->data, pool[run].data, in->bytes);
        return;
    }
    prng_init(&p, seed);
    prng_init(&p, prng_next(&p) ^ run * 0x9e3779b97f4a7c15u);
    if (pool_count == 0 || prng_below(&p, 8) == 0) {
        size_t limit = prng_below(&p, 4) ? 64 : bytes_max;
        in->bytes = prng_below(&p, (limit < bytes_max ? limit : bytes_max) + 1);
        prng_fill(&p, in->data, in->bytes);
        return;
    }
    const struct input *from = &pool[prng_below(&p, pool_count)];
    in->bytes = from->bytes;
    memcpy(in->data, from->data, in->bytes);
    for (uint64_t i = 1 + prng_below(&p, 8); i > 0; i--)
        mutate(&p, in, bytes_max);
}

static void input_run(const struct input *in, uint64_t seed, uint64_t run)
{
    uint8_t *exact = malloc(in->bytes ? in->bytes : 1);
    if (!exact)
        die("out of memory", "input");
    memcpy(exact, in->data, in->bytes);
    snprintf(crash_name, sizeof(crash_name), "crash-%llu-%llu.bin", (unsigned long long)seed,
             (unsigned long long)run);
    running_bytes = in->bytes;
    running = exact;
    LLVMFuzzerTestOneInput(exact, in->bytes);
    running = NULL;
    free(exact);
}

static uint64_t number(const char *flag, const char *text)
{
    char *end;
    uint64_t v = text ? strtoull(text, &end, 0) : 0;
    if (!text || end == text || *end)
        die("a number is wanted after", flag);
    return v;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, runs = 10000, only = UINT64_MAX, files = 0;
    size_t bytes_max = 4096;
    struct input in = {.data = malloc(INPUT_BYTES_MAX)};
    if (!in.data)
        die("out of memory", "input");
    crash_arm();
    pool_of_target();
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--seed") == 0) {
            seed = number(argv[i++], next);
        } else if (strcmp(argv[i], "--runs") == 0) {
            runs = number(argv[i++], next);
        } else if (strcmp(argv[i], "--run") == 0) {
            only = number(argv[i++], next);
        } else if (strcmp(argv[i], "--max-bytes") == 0) {
            bytes_max = number(argv[i++], next);
            if (bytes_max == 0 || bytes_max > INPUT_BYTES_MAX)
                die("out of range", "--max-bytes");
        } else if (strcmp(argv[i], "--corpus") == 0) {
            if (!next)
                die("a folder is wanted after", argv[i]);
            pool_of_corpus(argv[++i]);
        } else if (argv[i][0] == '-') {
            die("no such flag", argv[i]);
        } else {
            in.bytes = file_read(argv[i], in.data);
            input_run(&in, 0, files++);
        }
    }
    if (only != UINT64_MAX) {
        input_make(seed, only, bytes_max, &in);
        input_run(&in, seed, only);
        runs = 1;
    } else if (files) {
        runs = files;
    } else {
        for (uint64_t run = 0; run < runs; run++) {
            input_make(seed, run, bytes_max, &in);
            input_run(&in, seed, run);
        }
    }
    for (unsigned i = 0; i < pool_count; i++)
        free(pool[i].data);
    free(in.data);
    printf("%llu runs, seed %llu\n", (unsigned long long)runs, (unsigned long long)seed);
    return 0;
}
