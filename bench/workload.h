/*
 * What a benchmark asks for: which operation next, on which key, with which bytes.
 *
 *     workload   operations                 keys chosen, unless told otherwise
 *     put        all puts                   uniform
 *     get        all gets                   uniform
 *     mixed      half puts, half gets       uniform
 *     a          half puts, half gets       zipfian
 *     b          5 % puts, 95 % gets        zipfian
 *     c          all gets                   zipfian
 *     d          5 % inserts, 95 % gets     latest
 *     f          half gets, half rmw        zipfian      (rmw: a get, then a put of the same key)
 *
 * The letters are the core workloads of the Yahoo! Cloud Serving Benchmark (Cooper et al., SoCC
 * 2010). Pure: the same settings and seed give the same sequence of operations.
 */
#ifndef GT_BENCH_WORKLOAD_H
#define GT_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/prng.h"

enum workload_kind {
    WORKLOAD_PUT,
    WORKLOAD_GET,
    WORKLOAD_MIXED,
    WORKLOAD_A,
    WORKLOAD_B,
    WORKLOAD_C,
    WORKLOAD_D,
    WORKLOAD_F
};

enum workload_distribution {
    WORKLOAD_UNIFORM,
    WORKLOAD_ZIPFIAN,   /* few keys get most of it; the popular ones lie scattered */
    WORKLOAD_LATEST,    /* zipfian from the newest key backwards */
    WORKLOAD_SEQUENTIAL /* client i of C: keys i, i+C, i+2C, ...; together they sweep all keys */
};

/* The operations as they are counted; an insert is a put of a new key and counts as a put. */
enum workload_verb { WORKLOAD_VERB_GET, WORKLOAD_VERB_PUT, WORKLOAD_VERB_RMW, WORKLOAD_VERBS };

#define WORKLOAD_KEYS_MAX  1000000000000u /* the key's text has twelve digits */
#define WORKLOAD_KEY_BYTES 24             /* room for a key's text and its NUL */
#define ZIPF_THETA         0.99

/* Ranks 0 .. count-1; rank i is chosen with a share close to 1/(i+1)^theta (the method of Gray et
 * al., SIGMOD 1994, exact for the first two ranks). */
struct zipf {
    uint64_t count;
    double zeta, alpha, eta, second; /* second: below it, scaled by zeta, lies rank 1 */
};

void zipf_init(struct zipf *z, uint64_t count);
uint64_t zipf_next(const struct zipf *z, struct prng *prng);
/* The sum of 1/i^theta over i = 1 .. count; constant time for large counts, to 1e-9 relative. */
double zipf_zeta(uint64_t count);

struct workload_settings {
    enum workload_kind kind;
    enum workload_distribution distribution;
    uint64_t keys; /* 1 .. WORKLOAD_KEYS_MAX: that exist when the run begins */
    uint64_t seed;
    uint32_t client, clients; /* client < clients: each one draws its own sequence */
};

struct workload {
    struct workload_settings settings;
    struct prng prng;
    struct zipf zipf;
    uint64_t position; /* sequential: the next key */
};

struct workload_op {
    enum workload_verb verb;
    bool insert;         /* the key is new: the caller numbers it, see workload_next */
    uint64_t key;        /* unless insert */
    uint64_t value_seed; /* see workload_value */
};

void workload_init(struct workload *w, const struct workload_settings *settings);
/* `keys` is how many keys there are by now; only inserts raise it above settings.keys. Since
 * several clients insert into one sequence of keys, an insert's number is the caller's to draw. */
void workload_next(struct workload *w, uint64_t keys, struct workload_op *op);

/* 0, or GT_EARG for a name that is none. */
int workload_kind_parse(const char *text, enum workload_kind *kind);
int workload_distribution_parse(const char *text, enum workload_distribution *distribution);
const char *workload_kind_name(enum workload_kind kind);
const char *workload_distribution_name(enum workload_distribution distribution);
const char *workload_verb_name(enum workload_verb verb);
enum workload_distribution workload_distribution_default(enum workload_kind kind);
/* Whether operations of this verb can occur, and whether keys are added during the run. */
bool workload_has(enum workload_kind kind, enum workload_verb verb);
bool workload_inserts(enum workload_kind kind);

/* "key000000000042"; the number of its bytes. */
size_t workload_key(uint64_t key, char text[WORKLOAD_KEY_BYTES]);
/* Bytes that no compressor shrinks, the same for the same seed. */
void workload_value(uint64_t seed, void *value, size_t bytes);

#endif
