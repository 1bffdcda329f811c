/*
 * A recorder of acknowledgements, for tests that kill things.
 *
 *   proc_recorder write MANAGERS FILE SECONDS THREADS PREFIX
 *       Each thread owns 50 keys that begin with PREFIX and overwrites them in turn with rising version numbers, until the
 *       time is up or SIGTERM comes. Then one line a key goes to FILE: key, the highest version
 *       acknowledged (0 = none), the highest version tried. Exit 0 when anything was acknowledged.
 *   proc_recorder verify MANAGERS FILE
 *       Reads every key: the version found must be at least the acknowledged one and at most the one
 *       tried, and its filling must be whole. Exit 0 when all are; 1 otherwise, naming the keys.
 *
 * The last line of its output says how many were acknowledged, how many were not, and the longest
 * time in which nobody was.
 *
 * A failed put counts as in doubt: a later version of the same key goes on from there.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/gtstore.h"

#define KEYS_PER_THREAD 50
#define THREADS_MAX 32
#define FILLING_BYTES 200

struct writer {
    pthread_t thread;
    gtstore_env *env;
    int number;
    const char *prefix;
    unsigned acked[KEYS_PER_THREAD], tried[KEYS_PER_THREAD];
    unsigned acks, errors;
    int last_error;
};

static volatile sig_atomic_t stopping;

/* Of all threads: when a put was acknowledged last, and the longest time between two. */
static struct {
    pthread_mutex_t mutex;
    double last_s, longest_s;
} service = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void on_term(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* "VERSION xxxxx...": the filling is a letter that follows from key and version, so that a value
 * glued together from two writes is noticed. */
static int make_value(char *value, const char *key, unsigned version)
{
    int n = sprintf(value, "%u ", version);
    char letter = (char)('a' + (version * 7 + (unsigned)strlen(key) + (unsigned char)key[1]) % 26);
    memset(value + n, letter, FILLING_BYTES);
    value[n + FILLING_BYTES] = 0;
    return n + FILLING_BYTES;
}

static void acknowledged(void)
{
    pthread_mutex_lock(&service.mutex);
    double now = now_s(), gap = service.last_s > 0 ? now - service.last_s : 0;
    service.last_s = now;
    if (gap > service.longest_s)
        service.longest_s = gap;
    pthread_mutex_unlock(&service.mutex);
}

static void *write_loop(void *arg)
{
    struct writer *w = arg;
    for (unsigned round = 0; !stopping; round++) {
        unsigned k = round % KEYS_PER_THREAD;
        char key[32], value[FILLING_BYTES + 16];
        snprintf(key, sizeof(key), "%.8s%02d-%02u", w->prefix, w->number, k);
        unsigned version = ++w->tried[k];
        int bytes = make_value(value, key, version);
        int error = gtstore_put(w->env, key, strlen(key), value, (size_t)bytes);
        if (error == 0) {
            w->acked[k] = version;
            w->acks++;
            acknowledged();
        } else {
            w->errors++;
            w->last_error = error;
            /* Paces the attempts while nobody is there; nothing depends on its length. */
            struct timespec pause = {0, 20 * 1000 * 1000};
            clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        }
    }
    return NULL;
}

static int do_write(gtstore_env *env, const char *path, double seconds, int threads,
                    const char *prefix)
{
    static struct writer writers[THREADS_MAX];
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    double end = now_s() + seconds;
    for (int i = 0; i < threads; i++) {
        writers[i].env = env;
        writers[i].number = i;
        writers[i].prefix = prefix;
        if (pthread_create(&writers[i].thread, NULL, write_loop, &writers[i]) != 0)
            return 1;
    }
    while (!stopping && now_s() < end) {
        struct timespec pause = {0, 10 * 1000 * 1000};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    stopping = 1;
    unsigned acks = 0, errors = 0;
    int last_error = 0;
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        return 1;
    }
    for (int i = 0; i < threads; i++) {
        struct writer *w = &writers[i];
        pthread_join(w->thread, NULL);
        acks += w->acks;
        errors += w->errors;
        if (w->last_error)
            last_error = w->last_error;
        for (unsigned k = 0; k < KEYS_PER_THREAD; k++)
            if (w->tried[k])
                fprintf(f, "%.8s%02d-%02u %u %u\n", prefix, i, k, w->acked[k], w->tried[k]);
    }
    fclose(f);
    printf("acknowledged %u, failed or in doubt %u (last: %s), longest gap %.0f ms\n", acks, errors,
           last_error ? gtstore_strerror(last_error) : "none", service.longest_s * 1000);
    return acks > 0 ? 0 : 1;
}

static int do_verify(gtstore_env *env, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        return 1;
    }
    char key[32], wanted[FILLING_BYTES + 16];
    unsigned acked, tried, keys = 0, bad = 0;
    while (fscanf(f, "%31s %u %u", key, &acked, &tried) == 3) {
        gtstore_value v;
        int error = gtstore_get(env, key, strlen(key), &v);
        keys++;
        if (error == GT_ENOTFOUND && acked == 0) {
            gtstore_value_free(&v);
            continue;
        }
        unsigned found = 0;
        bool whole = false;
        if (error == 0) {
            found = (unsigned)strtoul(v.data, NULL, 10);
            int bytes = make_value(wanted, key, found);
            whole = v.bytes == (size_t)bytes && memcmp(v.data, wanted, v.bytes) == 0;
        }
        if (error != 0 || !whole || found < acked || found > tried) {
            printf("%s: acknowledged version %u, tried %u, found %u (%s%s)\n", key, acked, tried,
                   found, error ? gtstore_last_error(env) : "read", whole ? "" : ", not whole");
            bad++;
        }
        gtstore_value_free(&v);
    }
    fclose(f);
    printf("%u keys read, %u lost or wrong\n", keys, bad);
    return bad == 0 && keys > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    bool write = argc == 7 && strcmp(argv[1], "write") == 0;
    bool verify = argc == 4 && strcmp(argv[1], "verify") == 0;
    if (!write && !verify) {
        fprintf(stderr, "usage: %s write MANAGERS FILE SECONDS THREADS PREFIX | verify MANAGERS FILE\n",
                argv[0]);
        return 2;
    }
    gtstore_env env;
    int error = gtstore_init_timeout(&env, argv[2], 20000);
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", argv[2], gtstore_strerror(error));
        return 1;
    }
    int threads = write ? atoi(argv[5]) : 0;
    if (write && (threads < 1 || threads > THREADS_MAX))
        return 2;
    int code = write ? do_write(&env, argv[3], atof(argv[4]), threads, argv[6])
                     : do_verify(&env, argv[3]);
    gtstore_finalize(&env);
    return code;
}
