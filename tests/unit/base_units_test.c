/* What people type: sizes, durations, numbers, addresses, labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/error.h"
#include "engine/base/units.h"

static void assert_size(const char *text, uint64_t wanted)
{
    uint64_t bytes = 0;
    if (units_size(text, &bytes) != 0 || bytes != wanted)
        fail_msg("size %s: %llu", text, (unsigned long long)bytes);
}

static void assert_duration(const char *text, uint64_t wanted)
{
    uint64_t us = 0;
    if (units_duration(text, &us) != 0 || us != wanted)
        fail_msg("duration %s: %llu", text, (unsigned long long)us);
}

static void sizes(void **unused)
{
    (void)unused;
    assert_size("0", 0);
    assert_size("4096", 4096);
    assert_size("64KiB", 65536);
    assert_size("64k", 65536);
    assert_size("64kb", 65536);
    assert_size("1B", 1);
    assert_size("64MiB", 64u << 20);
    assert_size("1.5GiB", 3ull << 29);
    assert_size("1TiB", 1ull << 40);
    assert_size("2t", 2ull << 40);
    assert_size("9007199254740993", 9007199254740993); /* above what a double holds */
    assert_size("2.5", 3);                             /* to the nearest */
}

static void durations(void **unused)
{
    (void)unused;
    assert_duration("5", 5000000);
    assert_duration("5s", 5000000);
    assert_duration("1.5s", 1500000);
    assert_duration("250ms", 250000);
    assert_duration("100us", 100);
    assert_duration("10m", 600000000);
    assert_duration("2h", 7200000000);
    assert_duration("7d", 604800000000);
    assert_duration("0", 0);
}

static void what_is_neither_size_nor_duration_is_refused(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",      " ",    "x",     "-1",  "+1",   "1 KiB",
        "1x",    "1..5", ".",     ".5s", "0x10", "1e3",
        "nan",   "inf",  "1KiBB", "1s ", " 1",   "99999999999999999999999999999999999",
        "1.2.3", "1,5s",
    };
    uint64_t v;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (units_size(bad[i], &v) != GT_EARG)
            fail_msg("size %s is taken", bad[i]);
        if (units_duration(bad[i], &v) != GT_EARG)
            fail_msg("duration %s is taken", bad[i]);
    }
    assert_int_equal(units_size("1s", &v), GT_EARG);
    assert_int_equal(units_duration("1KiB", &v), GT_EARG);
    assert_int_equal(units_size("9000000TiB", &v), GT_EARG);
    assert_int_equal(units_size("9223372036854775808", &v), GT_EARG);
    assert_int_equal(units_duration("999999999999d", &v), GT_EARG);
}

static void numbers_in_their_range(void **unused)
{
    (void)unused;
    uint64_t v;
    assert_int_equal(units_number("0", 0, 10, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(units_number("10", 0, 10, &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(units_number("11", 0, 10, &v), GT_EARG);
    assert_int_equal(units_number("0", 1, 10, &v), GT_EARG);
    assert_int_equal(units_number("9223372036854775807", 0, UINT64_MAX, &v), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(units_number("18446744073709551615", 0, UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(units_number("18446744073709551616", 0, UINT64_MAX, &v), GT_EARG);
    assert_int_equal(units_number("000000000000000000001", 0, UINT64_MAX, &v), GT_EARG);
    static const char *const bad[] = {"",    "-1",  "+1",  " 1",  "1 ",
                                      "1.0", "0x1", "1e1", "abc", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(units_number(bad[i], 0, UINT64_MAX, &v), GT_EARG);
}

static void fractions_in_their_range(void **unused)
{
    (void)unused;
    double v;
    assert_int_equal(units_real("1.5", 0.1, 2, &v), 0);
    assert_true(v == 1.5);
    assert_int_equal(units_real("2", 0.1, 2, &v), 0);
    assert_int_equal(units_real("2.1", 0.1, 2, &v), GT_EARG);
    assert_int_equal(units_real("0", 0.1, 2, &v), GT_EARG);
    assert_int_equal(units_real("1.5x", 0.1, 2, &v), GT_EARG);
    assert_int_equal(units_real("-1", -2, 2, &v), GT_EARG);
    assert_int_equal(units_real("nan", 0, 2, &v), GT_EARG);
}

static void addresses_come_back(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"localhost:5000", "localhost", 5000},
        {"127.0.0.1:0", "127.0.0.1", 0},
        {"[::1]:65535", "::1", 65535},
        {"[fe80::1%eth0]:7", "fe80::1%eth0", 7},
        {"node-1.example:80", "node-1.example", 80},
        {"[::]:5000", "::", 5000},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct address a;
        char text[UNITS_ADDRESS_BYTES];
        assert_int_equal(units_address(good[i].text, &a), 0);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_string_equal(units_address_text(&a, text), good[i].text);
    }
}

static void what_is_no_address_is_refused(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",           "host",       "host:",    ":5000",     "host:x",          "host:65536",
        "host:-1",    "host:5000x", "[::1]",    "[::1]5000", "[::1:5000",       "[]:5000",
        "ho st:5000", "host :5000", "::1:5000", "a/b:5000",  "host:0000000080",
    };
    struct address a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (units_address(bad[i], &a) != GT_EARG)
            fail_msg("address %s is taken", bad[i]);
    char longest[UNITS_HOST_BYTES + 8];
    memset(longest, 'h', UNITS_HOST_BYTES);
    strcpy(longest + UNITS_HOST_BYTES, ":1");
    assert_int_equal(units_address(longest, &a), GT_EARG);
    assert_int_equal(units_address(longest + 1, &a), 0);
}

static void lists_of_addresses(void **unused)
{
    (void)unused;
    struct address a[3];
    assert_int_equal(units_addresses("a:1", a, 3), 1);
    assert_int_equal(units_addresses("a:1,[::1]:2,c:3", a, 3), 3);
    assert_string_equal(a[1].host, "::1");
    assert_string_equal(a[2].host, "c");
    assert_int_equal(units_addresses("a:1,b:2,c:3,d:4", a, 3), GT_ELIMIT);
    assert_int_equal(units_addresses("a:1,", a, 3), GT_EARG);
    assert_int_equal(units_addresses(",a:1", a, 3), GT_EARG);
    assert_int_equal(units_addresses("a:1,,b:2", a, 3), GT_EARG);
    assert_int_equal(units_addresses("", a, 3), GT_EARG);
    assert_int_equal(units_addresses("a:1, b:2", a, 3), GT_EARG);
}

static void labels(void **unused)
{
    (void)unused;
    char label[UNITS_LABEL_BYTES + 1];
    assert_int_equal(units_label_check("node1"), 0);
    assert_int_equal(units_label_check("1.a_b-C"), 0);
    static const char *const bad[] = {"", "-a", ".a", "_a", "a b", "a/b", "a\n", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(units_label_check(bad[i]), GT_EARG);
    memset(label, 'a', sizeof(label));
    label[UNITS_LABEL_BYTES] = 0;
    assert_int_equal(units_label_check(label), GT_EARG);
    assert_int_equal(units_label_check(label + 1), 0);
}

static void sizes_as_text(void **unused)
{
    (void)unused;
    char text[32];
    assert_string_equal(units_size_text(0, text), "0 B");
    assert_string_equal(units_size_text(640, text), "640 B");
    assert_string_equal(units_size_text(3u << 19, text), "1.5 MiB");
    assert_string_equal(units_size_text(1ull << 50, text), "1.0 PiB");
    assert_string_equal(units_size_text(UINT64_MAX, text), "16384.0 PiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(what_is_neither_size_nor_duration_is_refused),
        cmocka_unit_test(numbers_in_their_range),
        cmocka_unit_test(fractions_in_their_range),
        cmocka_unit_test(addresses_come_back),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(lists_of_addresses),
        cmocka_unit_test(labels),
        cmocka_unit_test(sizes_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
