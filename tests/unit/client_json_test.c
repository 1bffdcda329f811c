/* The lines of import and export: what goes out comes back byte for byte, and a bad line says why.
 */
#include "client/json_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/base64.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"

static struct slice text_of(const char *text)
{
    return slice_text(text);
}

static void expect_round_trip(const struct json_line *line)
{
    struct buf text;
    struct json_line back;
    char why[JSON_LINE_TEXT_BYTES];
    buf_init(&text, 1 << 20);
    json_line_init(&back);
    assert_int_equal(json_line_format(line, &text), 0);
    assert_int_equal(text.data[text.bytes - 1], '\n');
    assert_null(memchr(text.data, '\n', text.bytes - 1));
    assert_int_equal(json_line_parse(&back, buf_slice(&text), why), 0);
    assert_true(slice_equal(back.key, line->key));
    assert_int_equal(back.value_count, line->value_count);
    assert_int_equal(back.siblings, line->siblings);
    for (uint32_t i = 0; i < line->value_count; i++) {
        assert_int_equal(back.values[i].deleted, line->values[i].deleted);
        assert_true(slice_equal(back.values[i].value, line->values[i].value));
    }
    json_line_close(&back);
    buf_close(&text);
}

static struct json_line line_of(struct slice key, struct slice value)
{
    struct json_line line = {.key = key, .value_count = 1};
    line.values[0].value = value;
    return line;
}

static void expect_text(const struct json_line *line, const char *wanted)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(json_line_format(line, &text), 0);
    assert_true(slice_equal(buf_slice(&text), text_of(wanted)));
    buf_close(&text);
}

static void test_text_stays_readable(void **state)
{
    (void)state;
    struct json_line line = line_of(text_of("name"), text_of("Ada \"L\"\nzwei"));
    expect_text(&line, "{\"key\": \"name\", \"value\": \"Ada \\\"L\\\"\\nzwei\"}\n");
    expect_round_trip(&line);
}

static void test_bytes_that_are_no_utf8_go_as_base64(void **state)
{
    (void)state;
    struct json_line line = line_of(slice_of("\x00\xff", 2), slice_of("\x80", 1));
    expect_text(&line, "{\"key64\": \"AP8=\", \"value64\": \"gA==\"}\n");
    expect_round_trip(&line);
}

static void test_nul_bytes_and_empty_values_survive(void **state)
{
    (void)state;
    struct json_line nul = line_of(slice_of("a\0b", 3), slice_of("\0", 1));
    struct json_line empty = line_of(text_of("k"), text_of(""));
    expect_round_trip(&nul);
    expect_round_trip(&empty);
}

static void test_siblings_and_tombstones_survive(void **state)
{
    (void)state;
    struct json_line line = {.key = text_of("k"), .siblings = true, .value_count = 3};
    line.values[0].value = text_of("one");
    line.values[1].value = slice_of("\xfe", 1);
    line.values[2].deleted = true;
    expect_text(&line, "{\"key\": \"k\", \"siblings\": [{\"value\": \"one\"}, {\"value64\": "
                       "\"/g==\"}, {\"deleted\": true}]}\n");
    expect_round_trip(&line);
}

static void test_random_bytes_survive(void **state)
{
    (void)state;
    struct prng prng;
    uint8_t key[40], value[300];
    prng_init(&prng, 7);
    for (int i = 0; i < 5000; i++) {
        prng_fill(&prng, key, sizeof(key));
        prng_fill(&prng, value, sizeof(value));
        if (i & 1) /* mostly text */
            for (size_t j = 0; j < sizeof(value); j++)
                value[j] = (uint8_t)(value[j] & 127);
        struct json_line line = line_of(slice_of(key, 1 + prng_below(&prng, sizeof(key))),
                                        slice_of(value, prng_below(&prng, sizeof(value) + 1)));
        expect_round_trip(&line);
    }
}

static void test_plain_strings_are_siblings_too(void **state)
{
    (void)state;
    struct json_line line;
    char why[JSON_LINE_TEXT_BYTES];
    json_line_init(&line);
    assert_int_equal(
        json_line_parse(&line, text_of("{\"key\":\"k\",\"siblings\":[\"a\",\"b\"]}"), why), 0);
    assert_int_equal(line.value_count, 2);
    assert_true(slice_equal(line.values[1].value, text_of("b")));
    json_line_close(&line);
}

static void test_bad_lines_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"", "the line is no JSON"},
        {"{\"key\":\"k\"", "the line is no JSON"},
        {"[1]", "the line is no JSON object"},
        {"{\"value\":\"v\"}", "neither key nor key64"},
        {"{\"key\":\"k\",\"key64\":\"aw==\",\"value\":\"v\"}", "both key and key64"},
        {"{\"key\":1,\"value\":\"v\"}", "key is no string"},
        {"{\"key\":\"k\"}", "neither value nor value64"},
        {"{\"key\":\"k\",\"value64\":\"a\"}", "value64 is no base64"},
        {"{\"key\":\"k\",\"value64\":\"AB==\"}", "value64 is no base64"},
        {"{\"key\":\"k\",\"siblings\":[]}", "siblings is no list, or empty"},
        {"{\"key\":\"k\",\"siblings\":{}}", "siblings is no list, or empty"},
        {"{\"key\":\"k\",\"siblings\":[1]}", "a sibling is neither"},
        {"{\"key\":\"k\",\"siblings\":[{}]}", "neither value nor value64"},
        {"{\"key\":\"k\",\"value\":\"v\",\"siblings\":[\"a\"]}", "both a value and siblings"},
    };
    struct json_line line;
    char why[JSON_LINE_TEXT_BYTES];
    json_line_init(&line);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(json_line_parse(&line, text_of(bad[i].line), why), GT_EARG);
        assert_memory_equal(why, bad[i].why, strlen(bad[i].why));
    }
    json_line_close(&line);
}

static void test_base64_takes_both_alphabets(void **state)
{
    (void)state;
    struct buf bytes;
    buf_init(&bytes, 100);
    assert_int_equal(base64_decode(text_of("-_-_"), &bytes), 0);
    assert_int_equal(base64_decode(text_of("+/+/"), &bytes), 0);
    assert_int_equal(base64_decode(text_of("gA"), &bytes), 0);
    assert_true(slice_equal(buf_slice(&bytes), slice_of("\xfb\xff\xbf\xfb\xff\xbf\x80", 7)));
    assert_int_equal(base64_decode(text_of("a b="), &bytes), GT_EARG);
    assert_int_equal(base64_decode(text_of("===="), &bytes), GT_EARG);
    assert_int_equal(base64_decode(text_of("="), &bytes), GT_EARG);
    assert_int_equal(bytes.bytes, 7);
    buf_close(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_stays_readable),
        cmocka_unit_test(test_bytes_that_are_no_utf8_go_as_base64),
        cmocka_unit_test(test_nul_bytes_and_empty_values_survive),
        cmocka_unit_test(test_siblings_and_tombstones_survive),
        cmocka_unit_test(test_random_bytes_survive),
        cmocka_unit_test(test_plain_strings_are_siblings_too),
        cmocka_unit_test(test_bad_lines_say_why),
        cmocka_unit_test(test_base64_takes_both_alphabets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
