/*
 * What the benchmark asks for: the keys lie where their distribution says, the operations come in
 * the workload's shares, and a seed repeats it all.
 */
#include "bench/workload.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/error.h"

#define DRAWS 200000

static struct workload_settings settings_of(enum workload_kind kind,
                                            enum workload_distribution distribution, uint64_t keys)
{
    return (struct workload_settings){
        .kind = kind, .distribution = distribution, .keys = keys, .seed = 7, .clients = 1};
}

/* How often each key was chosen in DRAWS gets. Fails when one lies outside. */
static uint32_t *key_counts(enum workload_distribution distribution, uint64_t keys)
{
    struct workload_settings settings = settings_of(WORKLOAD_GET, distribution, keys);
    uint32_t *counts = calloc(keys, sizeof(*counts));
    assert_non_null(counts);
    struct workload w;
    struct workload_op op;
    workload_init(&w, &settings);
    for (int i = 0; i < DRAWS; i++) {
        workload_next(&w, keys, &op);
        assert_true(op.key < keys);
        counts[op.key]++;
    }
    return counts;
}

static int larger_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* |seen - wanted| within five standard deviations of a count with that expectation. */
static void assert_near(double seen, double wanted)
{
    if (fabs(seen - wanted) > 5 * sqrt(wanted) + 1)
        fail_msg("%.0f seen, %.1f wanted", seen, wanted);
}

static void every_distribution_stays_in_bounds_for_tiny_key_sets(void **state)
{
    (void)state;
    for (int d = WORKLOAD_UNIFORM; d <= WORKLOAD_SEQUENTIAL; d++)
        for (uint64_t keys = 1; keys <= 5; keys++)
            free(key_counts((enum workload_distribution)d, keys));
}

static void uniform_gives_every_key_its_share(void **state)
{
    (void)state;
    uint32_t *counts = key_counts(WORKLOAD_UNIFORM, 100);
    for (int i = 0; i < 100; i++)
        assert_near(counts[i], DRAWS / 100.0);
    free(counts);
}

static void zeta_by_formula_equals_the_sum(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 999, 1000, 1001, 5000, 1000000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        double sum = 0;
        for (uint64_t i = sizes[s]; i >= 1; i--)
            sum += pow((double)i, -ZIPF_THETA);
        assert_true(fabs(zipf_zeta(sizes[s]) / sum - 1) < 1e-9);
    }
}

static void zipfian_ranks_follow_the_power_law(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    static uint32_t counts[COUNT];
    struct zipf z;
    struct prng prng;
    zipf_init(&z, COUNT);
    prng_init(&prng, 3);
    for (int i = 0; i < DRAWS; i++)
        counts[zipf_next(&z, &prng)]++;
    double zeta = zipf_zeta(COUNT);
    /* The first two ranks are exact. */
    assert_near(counts[0], DRAWS / zeta);
    assert_near(counts[1], DRAWS * pow(2, -ZIPF_THETA) / zeta);
    /* Further on the method approximates; the share of the first k ranks is within 2 points. */
    static const uint64_t heads[] = {10, 100, 1000, 5000};
    for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++) {
        double seen = 0;
        for (uint64_t i = 0; i < heads[h]; i++)
            seen += counts[i];
        if (fabs(seen / DRAWS - zipf_zeta(heads[h]) / zeta) > 0.02)
            fail_msg("first %d ranks: share %f, theory %f", (int)heads[h], seen / DRAWS,
                     zipf_zeta(heads[h]) / zeta);
    }
}

static void zipfian_keys_are_scattered_but_as_skewed(void **state)
{
    (void)state;
    enum { KEYS = 10000 };
    uint32_t *counts = key_counts(WORKLOAD_ZIPFIAN, KEYS);
    /* Were the popular keys the first ones, the lower half would get nearly everything. */
    double lower = 0;
    for (int i = 0; i < KEYS / 2; i++)
        lower += counts[i];
    assert_true(lower > 0.3 * DRAWS && lower < 0.7 * DRAWS);
    qsort(counts, KEYS, sizeof(*counts), larger_first);
    double top = 0;
    for (int i = 0; i < KEYS / 10; i++)
        top += counts[i];
    assert_true(top > 0.7 * DRAWS);
    free(counts);
}

static void latest_prefers_the_newest_key(void **state)
{
    (void)state;
    uint32_t *counts = key_counts(WORKLOAD_LATEST, 1000);
    assert_near(counts[999], DRAWS / zipf_zeta(1000));
    assert_true(counts[999] > counts[998] && counts[998] > counts[900]);
    free(counts);
}

static void latest_follows_the_keys_that_are_added(void **state)
{
    (void)state;
    struct workload_settings settings = settings_of(WORKLOAD_D, WORKLOAD_LATEST, 1000);
    struct workload w;
    struct workload_op op;
    workload_init(&w, &settings);
    uint64_t keys = 1000, newest_gets = 0;
    for (int i = 0; i < DRAWS; i++) {
        workload_next(&w, keys, &op);
        if (op.insert)
            keys++;
        else
            newest_gets += op.key == keys - 1;
        assert_true(op.insert || op.key < keys);
    }
    assert_true(keys > 1000);
    assert_near((double)newest_gets, 0.95 * DRAWS / zipf_zeta(1000));
}

static void sequential_clients_together_visit_every_key_once(void **state)
{
    (void)state;
    enum { KEYS = 1001, CLIENTS = 4 };
    int visits[KEYS] = {0};
    for (uint32_t c = 0; c < CLIENTS; c++) {
        struct workload_settings settings = settings_of(WORKLOAD_PUT, WORKLOAD_SEQUENTIAL, KEYS);
        settings.client = c;
        settings.clients = CLIENTS;
        struct workload w;
        struct workload_op op;
        workload_init(&w, &settings);
        for (uint32_t i = 0; i < KEYS / CLIENTS + (c < KEYS % CLIENTS); i++) {
            workload_next(&w, KEYS, &op);
            visits[op.key]++;
        }
    }
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(visits[i], 1);
}

static void operations_come_in_the_shares_of_the_workload(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double gets, puts, rmws;
    } want[] = {
        {"put", 0, 1, 0},   {"get", 1, 0, 0}, {"mixed", .5, .5, 0}, {"a", .5, .5, 0},
        {"b", .95, .05, 0}, {"c", 1, 0, 0},   {"d", .95, .05, 0},   {"f", .5, 0, .5},
    };
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        enum workload_kind kind;
        assert_int_equal(workload_kind_parse(want[i].name, &kind), 0);
        struct workload_settings settings = settings_of(kind, WORKLOAD_UNIFORM, 1000);
        struct workload w;
        struct workload_op op;
        double counts[WORKLOAD_VERBS] = {0};
        workload_init(&w, &settings);
        for (int n = 0; n < DRAWS; n++) {
            workload_next(&w, 1000, &op);
            counts[op.verb]++;
            assert_true(workload_has(kind, op.verb));
            assert_true(!op.insert || workload_inserts(kind));
        }
        assert_near(counts[WORKLOAD_VERB_GET], want[i].gets * DRAWS);
        assert_near(counts[WORKLOAD_VERB_PUT], want[i].puts * DRAWS);
        assert_near(counts[WORKLOAD_VERB_RMW], want[i].rmws * DRAWS);
    }
}

/* How many of 1,000 operations of two generators are the same. */
static int same_operations(const struct workload_settings *a, const struct workload_settings *b)
{
    struct workload wa, wb;
    workload_init(&wa, a);
    workload_init(&wb, b);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        struct workload_op oa, ob;
        workload_next(&wa, 1000000, &oa);
        workload_next(&wb, 1000000, &ob);
        same += oa.verb == ob.verb && oa.key == ob.key && oa.value_seed == ob.value_seed;
    }
    return same;
}

static void a_seed_repeats_the_sequence(void **state)
{
    (void)state;
    struct workload_settings a = settings_of(WORKLOAD_A, WORKLOAD_ZIPFIAN, 1000000);
    assert_int_equal(same_operations(&a, &a), 1000);
}

static void seeds_and_clients_have_sequences_of_their_own(void **state)
{
    (void)state;
    struct workload_settings a = settings_of(WORKLOAD_PUT, WORKLOAD_UNIFORM, 1000000);
    a.clients = 2;
    struct workload_settings seed = a, client = a;
    seed.seed++;
    client.client = 1;
    assert_int_equal(same_operations(&a, &seed), 0);
    assert_int_equal(same_operations(&a, &client), 0);
}

static void values_follow_from_their_seed_and_use_all_bytes(void **state)
{
    (void)state;
    static uint8_t a[65536], b[65536];
    workload_value(5, a, sizeof(a));
    workload_value(5, b, sizeof(b));
    assert_memory_equal(a, b, sizeof(a));
    int counts[256] = {0};
    for (size_t i = 0; i < sizeof(a); i++)
        counts[a[i]]++;
    for (int i = 0; i < 256; i++)
        assert_near(counts[i], sizeof(a) / 256.0);
    workload_value(6, b, sizeof(b));
    assert_memory_not_equal(a, b, 100);
}

static void keys_are_fixed_width_text(void **state)
{
    (void)state;
    char text[WORKLOAD_KEY_BYTES];
    assert_int_equal(workload_key(42, text), 15);
    assert_string_equal(text, "key000000000042");
    assert_int_equal(workload_key(WORKLOAD_KEYS_MAX - 1, text), 15);
    assert_string_equal(text, "key999999999999");
}

static void names_are_parsed_and_others_refused(void **state)
{
    (void)state;
    enum workload_kind kind;
    enum workload_distribution distribution;
    assert_int_equal(workload_kind_parse("e", &kind), GT_EARG);
    assert_int_equal(workload_kind_parse("", &kind), GT_EARG);
    assert_int_equal(workload_distribution_parse("zipf", &distribution), GT_EARG);
    assert_int_equal(workload_distribution_parse("latest", &distribution), 0);
    assert_int_equal(distribution, WORKLOAD_LATEST);
    assert_int_equal(workload_distribution_default(WORKLOAD_D), WORKLOAD_LATEST);
    assert_int_equal(workload_distribution_default(WORKLOAD_MIXED), WORKLOAD_UNIFORM);
    assert_int_equal(workload_distribution_default(WORKLOAD_F), WORKLOAD_ZIPFIAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_distribution_stays_in_bounds_for_tiny_key_sets),
        cmocka_unit_test(uniform_gives_every_key_its_share),
        cmocka_unit_test(zeta_by_formula_equals_the_sum),
        cmocka_unit_test(zipfian_ranks_follow_the_power_law),
        cmocka_unit_test(zipfian_keys_are_scattered_but_as_skewed),
        cmocka_unit_test(latest_prefers_the_newest_key),
        cmocka_unit_test(latest_follows_the_keys_that_are_added),
        cmocka_unit_test(sequential_clients_together_visit_every_key_once),
        cmocka_unit_test(operations_come_in_the_shares_of_the_workload),
        cmocka_unit_test(a_seed_repeats_the_sequence),
        cmocka_unit_test(seeds_and_clients_have_sequences_of_their_own),
        cmocka_unit_test(values_follow_from_their_seed_and_use_all_bytes),
        cmocka_unit_test(keys_are_fixed_width_text),
        cmocka_unit_test(names_are_parsed_and_others_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
