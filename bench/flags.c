#include "bench/flags.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/program.h"
#include "engine/base/units.h"

#define CLIENTS_MAX     1024u
#define VALUE_BYTES_MAX (64u << 20)

enum flag_key {
    FLAG_WORKLOAD = 512,
    FLAG_KEYS,
    FLAG_VALUE_BYTES,
    FLAG_CLIENTS,
    FLAG_NO_LOAD,
    FLAG_OPS,
    FLAG_DURATION,
    FLAG_SEED,
    FLAG_CSV,
    FLAG_ENGINE,
    FLAG_FIGURES,
    FLAG_SETTLE
};

static const struct argp_option flag_table[] = {
    {"workload", FLAG_WORKLOAD, "NAME", 0,
     "put, get, mixed (half and half), or a, b, c, d, f as in YCSB; with --engine put, get, mixed "
     "or wal-floor; required",
     0},
    {"keys", FLAG_KEYS, "N", 0, "Number of keys (default 100000)", 0},
    {"value-bytes", FLAG_VALUE_BYTES, "B", 0, "Size of a value (default 100)", 0},
    {"clients", FLAG_CLIENTS, "C", 0,
     "Sessions, each with a connection of its own; with --engine requests in flight (default 16)",
     0},
    {"no-load", FLAG_NO_LOAD, NULL, 0, "Do not put every key before the run", 0},
    {"ops", FLAG_OPS, "N", 0, "End after N operations", 0},
    {"duration", FLAG_DURATION, "TIME", 0, "End after this time (default 10s)", 0},
    {"seed", FLAG_SEED, "S", 0, "Seed of keys, operations and values (default 1)", 0},
    {"csv", FLAG_CSV, "FILE", 0, "Write a row for each second and operation, and totals", 0},
    {0}};

static const struct argp_option local_table[] = {
    {"engine", FLAG_ENGINE, "DIR", 0,
     "No cluster: the store of this program alone, in this process, on the folder DIR", 1},
    {"figures", FLAG_FIGURES, "FILE", 0,
     "With --engine: write what the store and the machine did as lines `name,value`", 1},
    {"settle", FLAG_SETTLE, NULL, 0,
     "With --engine: before the run and after it wait until nothing is written to the disk any "
     "more, and count what the run wrote to the device",
     1},
    {0}};

void flags_refuse(const char *option, const char *text, const char *expected)
{
    program_usage("%s %s: expected %s", option, text, expected);
}

uint64_t flags_number(const char *option, const char *text, uint64_t low, uint64_t high)
{
    uint64_t value = 0;
    char expected[64];
    snprintf(expected, sizeof(expected), "a number from %llu to %llu", (unsigned long long)low,
             (unsigned long long)high);
    if (units_number(text, low, high, &value) != 0)
        flags_refuse(option, text, expected);
    return value;
}

static void workload_take(struct flags *f, const char *text)
{
    f->floor = strcmp(text, "wal-floor") == 0;
    if (f->floor)
        f->kind = WORKLOAD_PUT;
    else if (workload_kind_parse(text, &f->kind) != 0)
        flags_refuse("--workload", text, "put, get, mixed, a, b, c, d, f or wal-floor");
    f->workload_given = true;
}

static uint64_t duration_take(const char *text)
{
    uint64_t us = 0;
    if (units_duration(text, &us) != 0 || us == 0 || us > 365ull * 86400 * 1000000)
        flags_refuse("--duration", text, "a time such as 10s or 5m");
    return us;
}

static error_t flag_take(int key, char *text, struct argp_state *state)
{
    struct flags *f = state->input;
    switch (key) {
    case FLAG_WORKLOAD:
        workload_take(f, text);
        return 0;
    case FLAG_KEYS:
        f->keys = flags_number("--keys", text, 1, WORKLOAD_KEYS_MAX / 2);
        return 0;
    case FLAG_VALUE_BYTES:
        if (units_size(text, &f->value_bytes) != 0 || f->value_bytes > VALUE_BYTES_MAX)
            flags_refuse("--value-bytes", text, "a size up to 64MiB");
        return 0;
    case FLAG_CLIENTS:
        f->clients = flags_number("--clients", text, 1, CLIENTS_MAX);
        return 0;
    case FLAG_NO_LOAD:
        f->no_load = true;
        return 0;
    case FLAG_OPS:
        f->ops = flags_number("--ops", text, 1, 1000000000000000u);
        return 0;
    case FLAG_DURATION:
        f->duration_us = duration_take(text);
        return 0;
    case FLAG_SEED:
        f->seed = flags_number("--seed", text, 0, 9999999999999999999u);
        return 0;
    case FLAG_CSV:
        f->csv_path = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t local_take(int key, char *text, struct argp_state *state)
{
    struct local_flags *l = state->input;
    switch (key) {
    case FLAG_ENGINE:
        l->folder = text;
        return 0;
    case FLAG_FIGURES:
        l->figures_path = text;
        return 0;
    case FLAG_SETTLE:
        l->settle = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp flags_argp = {.options = flag_table, .parser = flag_take};
const struct argp local_flags_argp = {.options = local_table, .parser = local_take};

void flags_init(struct flags *f)
{
    *f = (struct flags){
        .kind = WORKLOAD_MIXED, .keys = 100000, .value_bytes = 100, .clients = 16, .seed = 1};
}

void flags_check(struct flags *f)
{
    if (!f->workload_given)
        program_usage("--workload is required: put, get, mixed, a, b, c, d or f");
    if (f->ops && f->duration_us)
        program_usage("--ops and --duration exclude each other");
    if (!f->ops && !f->duration_us)
        f->duration_us = 10000000;
}

void flags_check_local(const struct flags *f, const struct local_flags *l, bool with_floor)
{
    bool known = f->kind == WORKLOAD_PUT || f->kind == WORKLOAD_GET || f->kind == WORKLOAD_MIXED;
    if (!l->folder || !*l->folder)
        program_usage("--engine DIR is required");
    if (!known || (f->floor && !with_floor))
        program_usage("with --engine the workload is put, get%s",
                      with_floor ? ", mixed or wal-floor" : " or mixed");
}
