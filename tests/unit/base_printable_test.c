/* Control bytes and bytes that are no text never reach a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/printable.h"

#define SHOWS(text, wanted) shows(text, sizeof(text) - 1, wanted)

static void shows(const char *text, size_t bytes, const char *wanted)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    printable(slice_of(text, bytes), &out);
    buf_u8(&out, 0);
    assert_false(out.failed);
    assert_string_equal((const char *)out.data, wanted);
    buf_close(&out);
}

static void text_stays_as_it_is(void **unused)
{
    (void)unused;
    SHOWS("", "");
    SHOWS("not found: a \\ key", "not found: a \\ key");
    SHOWS("ключ € 🙂", "ключ € 🙂");
    SHOWS("\xc2\xa0", "\xc2\xa0");
}

static void control_characters_are_shown(void **unused)
{
    (void)unused;
    SHOWS("\033[2J", "\\x1b[2J");
    SHOWS("a\0b\tc\nd\x7f", "a\\x00b\\x09c\\x0ad\\x7f");
    SHOWS("\xc2\x9b;31m", "\\xc2\\x9b;31m"); /* CSI as one character */
}

static void bytes_that_are_no_text_are_shown(void **unused)
{
    (void)unused;
    SHOWS("\x9b", "\\x9b");
    SHOWS("\xff\xfe", "\\xff\\xfe");
    SHOWS("\xc0\x9b", "\\xc0\\x9b");
    SHOWS("\xe2\x82", "\\xe2\\x82"); /* cut short */
    SHOWS("\xe2(\xa1", "\\xe2(\\xa1");
}

/* Of every byte alone, and of every pair. */
static void nothing_shown_is_a_control_byte(void **unused)
{
    (void)unused;
    for (unsigned pair = 0; pair < 65536; pair++) {
        uint8_t in[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        struct buf out;
        buf_init(&out, 64);
        printable(slice_of(in, 2), &out);
        for (size_t i = 0; i < out.bytes; i++) {
            assert_true(out.data[i] >= 0x20 && out.data[i] != 0x7f);
            if (out.data[i] == 0xc2)
                assert_true(out.data[i + 1] >= 0xa0);
        }
        buf_close(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays_as_it_is),
        cmocka_unit_test(control_characters_are_shown),
        cmocka_unit_test(bytes_that_are_no_text_are_shown),
        cmocka_unit_test(nothing_shown_is_a_control_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
