/* Bytes as text that any line of JSON holds: RFC 4648, sections 4, 5 and 10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/base64.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"

static void assert_encodes(void (*encode)(struct slice bytes, struct buf *out), struct slice bytes,
                           const char *text)
{
    struct buf out;
    buf_init(&out, 64);
    encode(bytes, &out);
    if (!slice_equal(buf_slice(&out), slice_text(text)))
        fail_msg("%.*s is not %s", (int)out.bytes, (const char *)out.data, text);
    buf_close(&out);
}

static void assert_decodes(const char *text, struct slice bytes)
{
    struct buf out;
    buf_init(&out, 64);
    int error = base64_decode(slice_text(text), &out);
    if (error || !slice_equal(buf_slice(&out), bytes))
        fail_msg("%s: %s", text, error_text(error));
    buf_close(&out);
}

static void assert_refused(const char *text)
{
    struct buf out;
    buf_init(&out, 64);
    if (base64_decode(slice_text(text), &out) != GT_EARG)
        fail_msg("%s is not refused", text);
    assert_int_equal(out.bytes, 0);
    buf_close(&out);
}

static void the_examples_of_the_standard(void **unused)
{
    (void)unused;
    static const char *const pairs[][3] = {{"", "", ""},
                                           {"f", "Zg==", "Zg"},
                                           {"fo", "Zm8=", "Zm8"},
                                           {"foo", "Zm9v", "Zm9v"},
                                           {"foob", "Zm9vYg==", "Zm9vYg"},
                                           {"fooba", "Zm9vYmE=", "Zm9vYmE"},
                                           {"foobar", "Zm9vYmFy", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct slice bytes = slice_text(pairs[i][0]);
        assert_encodes(base64_encode, bytes, pairs[i][1]);
        assert_encodes(base64url_encode, bytes, pairs[i][2]);
        assert_decodes(pairs[i][1], bytes);
        assert_decodes(pairs[i][2], bytes);
    }
}

/* Each alphabet writes its own last two letters, and both are read. */
static void both_alphabets_are_read(void **unused)
{
    (void)unused;
    static const uint8_t bytes[] = {0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff};
    struct slice all = slice_of(bytes, sizeof(bytes));
    assert_encodes(base64_encode, all, "++++////");
    assert_encodes(base64url_encode, all, "----____");
    assert_decodes("++++////", all);
    assert_decodes("----____", all);
    assert_decodes("+-+-/_/_", all);
}

static void every_byte_comes_back(void **unused)
{
    (void)unused;
    struct prng prng;
    prng_init(&prng, 64);
    for (size_t bytes = 0; bytes <= 600; bytes++) {
        uint8_t wanted[600];
        struct buf text, back;
        buf_init(&text, 1000);
        buf_init(&back, 1000);
        prng_fill(&prng, wanted, bytes);
        void (*encode)(struct slice, struct buf *) = bytes % 2 ? base64_encode : base64url_encode;
        encode(slice_of(wanted, bytes), &text);
        assert_int_equal(base64_decode(buf_slice(&text), &back), 0);
        assert_true(slice_equal(buf_slice(&back), slice_of(wanted, bytes)));
        buf_close(&text);
        buf_close(&back);
    }
}

/* One text for each run of bytes: what a second writer could have written otherwise is none. */
static void what_nobody_writes_is_refused(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "Z",     /* six bits are no byte */
        "Zm9vZ", /* likewise, behind others */
        "Zh==",  /* bits behind the last byte, */
        "Zm9=",  /* which must be zero */
        "Zh",      "Zm9",  "Zm9v Zg", "Zm9v\n", "Z===", "====", "Zg=a", "Z=g=", "Zm9v!A==",
        "Zm\x80v", "@@@@", "[[[[",    "````",   "{{{{", "::::", "....", ",,,,",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_refused(texts[i]);
}

/* The bound of whoever gives the room holds; what was there before stays. */
static void it_ends_at_the_bound_of_its_buffer(void **unused)
{
    (void)unused;
    struct buf out;
    buf_init(&out, 8);
    buf_put(&out, "before", 6);
    assert_int_equal(base64_decode(slice_text("Zm9vYmFy"), &out), GT_ELIMIT);
    assert_true(slice_equal(buf_slice(&out), slice_text("before")));
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard),
        cmocka_unit_test(both_alphabets_are_read),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(what_nobody_writes_is_refused),
        cmocka_unit_test(it_ends_at_the_bound_of_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
