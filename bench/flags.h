/*
 * The flags that every mode of gtstore-bench has, and the programs of bench/peers too: what is
 * asked of a store, how often, and where the figures go.
 */
#ifndef GT_BENCH_FLAGS_H
#define GT_BENCH_FLAGS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/workload.h"

struct flags {
    const char *csv_path; /* or NULL */
    enum workload_kind kind;
    bool workload_given, no_load;
    bool floor; /* --workload wal-floor: a bare log, see floor_posix.h */
    uint64_t keys, value_bytes, clients, ops, duration_us, seed;
};

/* Those of a run on a store in this process. */
struct local_flags {
    const char *folder;       /* --engine; NULL: not given */
    const char *figures_path; /* or NULL */
    bool settle;
};

/* Children of a program's own argp; their inputs are struct flags and struct local_flags. */
extern const struct argp flags_argp, local_flags_argp;

/* The defaults. */
void flags_init(struct flags *f);
/* What does not fit together ends the program; sets the duration when nothing else ends the run. */
void flags_check(struct flags *f);
/* Of a run in this process: put, get, mixed or (with_floor) wal-floor. Ends the program. */
void flags_check_local(const struct flags *f, const struct local_flags *l, bool with_floor);

/* Ends the program: "OPTION TEXT: expected EXPECTED". */
__attribute__((noreturn)) void flags_refuse(const char *option, const char *text,
                                            const char *expected);
/* A whole number in [low, high]; anything else ends the program. */
uint64_t flags_number(const char *option, const char *text, uint64_t low, uint64_t high);

#endif
