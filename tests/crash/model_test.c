/*
 * The model of the file system, on domains so small that every state can be told by heart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/crash/states.h"

#define OPS_MAX    16u
#define STATES_MAX 64u

/* A trace as it grows; inode 1 is the file "a", 2 is "b". */
struct script {
    struct model *m;
    struct trace_op ops[OPS_MAX];
    char paths[OPS_MAX][64];
    size_t count;
};

static struct trace_op *next_op(struct script *s, enum trace_kind kind)
{
    assert_true(s->count < OPS_MAX);
    struct trace_op *op = &s->ops[s->count];
    *op = (struct trace_op){.head.kind = kind, .bytes = (const uint8_t *)s->paths[s->count]};
    s->count++;
    return op;
}

static struct trace_op *begin(struct script *s, struct trace_op *op)
{
    assert_true(model_begin(s->m, op));
    return op;
}

static void done(struct script *s, struct trace_op *op)
{
    model_end(s->m, begin(s, op));
}

static struct trace_op *named(struct script *s, enum trace_kind kind, const char *path,
                              uint64_t inode)
{
    struct trace_op *op = next_op(s, kind);
    snprintf(s->paths[s->count - 1], sizeof(s->paths[0]), "%s", path);
    op->head.inode = inode;
    op->head.bytes = strlen(path) + 1;
    return op;
}

static struct trace_op *moved(struct script *s, const char *from, const char *to)
{
    struct trace_op *op = named(s, TRACE_RENAME, from, 0);
    snprintf(s->paths[s->count - 1] + strlen(from) + 1, 32, "%s", to);
    op->head.bytes += strlen(to) + 1;
    return op;
}

static struct trace_op *wrote(struct script *s, uint64_t inode, uint64_t offset, const char *text)
{
    struct trace_op *op = next_op(s, TRACE_WRITE);
    op->head.inode = inode;
    op->head.offset = offset;
    op->head.bytes = strlen(text);
    op->bytes = (const uint8_t *)text;
    return op;
}

static struct trace_op *synced(struct script *s, uint64_t inode)
{
    struct trace_op *op = next_op(s, TRACE_SYNC);
    op->head.inode = inode;
    return op;
}

static struct trace_op *folder_synced(struct script *s, const char *path)
{
    struct trace_op *op = named(s, TRACE_SYNC, path, 0);
    op->head.flags = TRACE_FOLDER;
    return op;
}

/* "a" is there, durably, and holds the text. */
static void script_begin(struct script *s, const char *text)
{
    *s = (struct script){.m = model_new(NULL)};
    done(s, named(s, TRACE_OPEN, "a", 1));
    done(s, folder_synced(s, ""));
    done(s, wrote(s, 1, 0, text));
    done(s, synced(s, 1));
    assert_int_equal(model_pending(s->m), 0);
}

/* ---- all states, as text --------------------------------------------------------------------- */

struct texts {
    char items[STATES_MAX][96];
    size_t count;
};

static void texts_add(struct texts *t, const char *text)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->items[i], text) == 0)
            return;
    assert_true(t->count < STATES_MAX);
    snprintf(t->items[t->count++], sizeof(t->items[0]), "%s", text);
}

/* "a=text b=text": a zero byte is shown as a dot. */
static void image_text(const struct image *image, char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < image->count; i++) {
        const struct image_file *f = &image->files[i];
        at += (size_t)snprintf(out + at, bytes - at, "%s%s%s", i ? " " : "", f->path,
                               f->data ? "=" : "/");
        for (size_t k = 0; f->data && k < f->bytes && at + 1 < bytes; k++)
            out[at++] = (char)(f->data[k] ? f->data[k] : '.');
        out[at] = 0;
    }
}

/* Every combination of lost and kept, under one rule of sizes. */
static void all_states(const struct script *s, enum size_rule rule, struct texts *out)
{
    size_t n = model_pending(s->m);
    for (size_t mask = 0; mask < (size_t)1 << n; mask++) {
        struct choice choices[OPS_MAX] = {{0}};
        for (size_t i = 0; i < n; i++)
            choices[i].fate = mask >> i & 1 ? FATE_KEPT : FATE_LOST;
        struct cut cut = {.seed = 1, .sector_bytes = 512, .size = rule, .choices = choices};
        struct image image;
        char text[96];
        model_cut(s->m, &cut, &image);
        image_text(&image, text, sizeof(text));
        texts_add(out, text);
        image_close(&image);
    }
}

static int text_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The states are exactly these, in the order of the alphabet. */
static void assert_states(const struct script *s, enum size_rule rule, const char *const expected[])
{
    struct texts t = {.count = 0};
    all_states(s, rule, &t);
    qsort(t.items, t.count, sizeof(t.items[0]), text_order);
    for (size_t i = 0; i < t.count; i++) {
        assert_non_null(expected[i]);
        assert_string_equal(t.items[i], expected[i]);
    }
    assert_null(expected[t.count]);
}

#define ASSERT_STATES(s, rule, ...) assert_states(s, rule, (const char *const[]){__VA_ARGS__, NULL})

static void a_sync_keeps_what_was_written_before_it(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "....");
    done(&s, wrote(&s, 1, 0, "x"));
    done(&s, synced(&s, 1));
    done(&s, wrote(&s, 1, 2, "y"));
    begin(&s, wrote(&s, 1, 3, "z"));
    ASSERT_STATES(&s, SIZE_KEPT, "a=x...", "a=x..z", "a=x.y.", "a=x.yz");
    /* A sync that the power cut came into keeps nothing. */
    begin(&s, synced(&s, 1));
    ASSERT_STATES(&s, SIZE_KEPT, "a=x...", "a=x..z", "a=x.y.", "a=x.yz");
    model_end(s.m, &s.ops[s.count - 1]);
    ASSERT_STATES(&s, SIZE_KEPT, "a=x.yz");
    model_free(s.m);
}

static void a_durable_write_keeps_its_bytes_alone(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "....");
    done(&s, wrote(&s, 1, 0, "x"));
    struct trace_op *durable = wrote(&s, 1, 2, "y");
    durable->head.flags = TRACE_DURABLE;
    begin(&s, durable);
    ASSERT_STATES(&s, SIZE_KEPT, "a=....", "a=..y.", "a=x...", "a=x.y.");
    model_end(s.m, durable);
    ASSERT_STATES(&s, SIZE_KEPT, "a=..y.", "a=x.y.");
    model_free(s.m);
}

static void sizes_run_ahead_and_behind(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "12");
    done(&s, wrote(&s, 1, 2, "34"));
    begin(&s, wrote(&s, 1, 4, "56"));
    ASSERT_STATES(&s, SIZE_KEPT, "a=12", "a=12..56", "a=1234", "a=123456");
    ASSERT_STATES(&s, SIZE_AHEAD, "a=12....", "a=12..56", "a=1234..", "a=123456");
    ASSERT_STATES(&s, SIZE_BEHIND, "a=12");
    model_free(s.m);
}

static void a_file_that_was_cut_is_whole_or_empty_or_new(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "12");
    struct trace_op *cut = named(&s, TRACE_OPEN, "a", 1);
    cut->head.flags = TRACE_CUT;
    done(&s, cut);
    begin(&s, wrote(&s, 1, 0, "x"));
    ASSERT_STATES(&s, SIZE_KEPT, "a=", "a=12", "a=x", "a=x2");
    model_free(s.m);
}

static void a_name_is_durable_with_its_folder(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "1");
    done(&s, named(&s, TRACE_OPEN, "b", 2));
    done(&s, wrote(&s, 2, 0, "2"));
    done(&s, synced(&s, 2));
    ASSERT_STATES(&s, SIZE_KEPT, "a=1", "a=1 b=2"); /* the file alone is not enough */
    done(&s, folder_synced(&s, ""));
    ASSERT_STATES(&s, SIZE_KEPT, "a=1 b=2");
    done(&s, named(&s, TRACE_UNLINK, "a", 0));
    begin(&s, moved(&s, "b", "c"));
    ASSERT_STATES(&s, SIZE_KEPT, "a=1 b=2", "a=1 c=2", "b=2", "c=2");
    model_end(s.m, &s.ops[s.count - 1]);
    done(&s, folder_synced(&s, ""));
    ASSERT_STATES(&s, SIZE_KEPT, "c=2");
    model_free(s.m);
}

static void a_name_may_survive_without_its_content(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "1");
    done(&s, named(&s, TRACE_OPEN, "b", 2));
    begin(&s, wrote(&s, 2, 0, "2"));
    ASSERT_STATES(&s, SIZE_KEPT, "a=1", "a=1 b=", "a=1 b=2");
    model_free(s.m);
}

static void a_file_over_another_takes_its_place_or_not(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "1");
    done(&s, named(&s, TRACE_OPEN, "b", 2));
    done(&s, wrote(&s, 2, 0, "2"));
    done(&s, synced(&s, 2));
    done(&s, folder_synced(&s, ""));
    begin(&s, moved(&s, "b", "a"));
    ASSERT_STATES(&s, SIZE_KEPT, "a=1 b=2", "a=2");
    model_free(s.m);
}

static void nothing_is_reached_in_a_folder_that_is_gone(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "1");
    done(&s, named(&s, TRACE_MKDIR, "d", 0));
    done(&s, named(&s, TRACE_OPEN, "d/b", 2));
    done(&s, folder_synced(&s, "d"));
    ASSERT_STATES(&s, SIZE_KEPT, "a=1", "a=1 d/ d/b=");
    done(&s, folder_synced(&s, ""));
    ASSERT_STATES(&s, SIZE_KEPT, "a=1 d/ d/b=");
    model_free(s.m);
}

/* ---- torn writes ----------------------------------------------------------------------------- */

#define FILE_BYTES (4u * SECTOR_BYTES_MAX)

/* How a sector of a torn write may look: 'o' old, 'n' new, 'g' neither. */
static char sector_look(const uint8_t *at, uint32_t bytes)
{
    bool old = true, new = true;
    for (uint32_t i = 0; i < bytes; i++) {
        old = old && at[i] == 'o';
        new = new &&at[i] == 'n';
    }
    return (char)(old ? 'o' : new ? 'n' : 'g');
}

/* One write over the second 4 KiB, and 512 bytes of the third, of a file of old bytes. */
static void tear_look(enum fate fate, uint32_t sectors, uint32_t sector_bytes, uint64_t seed,
                      char look[FILE_BYTES / SECTOR_BYTES + 1])
{
    static char old[FILE_BYTES + 1], new[SECTOR_BYTES_MAX + SECTOR_BYTES + 1];
    memset(old, 'o', FILE_BYTES);
    memset(new, 'n', sizeof(new) - 1);
    struct script s;
    script_begin(&s, old);
    begin(&s, wrote(&s, 1, SECTOR_BYTES_MAX, new));
    struct choice choice = {fate, sectors};
    struct cut cut = {.seed = seed, .sector_bytes = sector_bytes, .choices = &choice};
    struct image image;
    model_cut(s.m, &cut, &image);
    assert_int_equal(image.files[0].bytes, FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES / SECTOR_BYTES; i++)
        look[i] = sector_look(image.files[0].data + (size_t)i * SECTOR_BYTES, SECTOR_BYTES);
    look[FILE_BYTES / SECTOR_BYTES] = 0;
    image_close(&image);
    model_free(s.m);
}

static void a_write_is_torn_at_its_sectors(void **unused)
{
    (void)unused;
    char look[FILE_BYTES / SECTOR_BYTES + 1];
    tear_look(FATE_FIRST, 3, 512, 1, look);
    assert_string_equal(look, "oooooooonnnooooooooooooooooooooo");
    tear_look(FATE_FIRST, 100, 512, 1, look);
    assert_string_equal(look, "oooooooonnnnnnnnnooooooooooooooo");
    tear_look(FATE_SHREDDED, 0, 512, 1, look);
    assert_string_equal(look, "oooooooogggggggggooooooooooooooo");
    /* The third 4 KiB hold seven synced sectors beside the one that was being written. */
    tear_look(FATE_SHREDDED, 0, 4096, 1, look);
    assert_string_equal(look, "ooooooooggggggggggggggggoooooooo");
}

static void what_no_write_was_in_is_never_harmed(void **unused)
{
    (void)unused;
    char look[FILE_BYTES / SECTOR_BYTES + 1];
    unsigned seen[128] = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        tear_look(seed % 2 ? FATE_GARBLED : FATE_SOME, 0, 512, seed, look);
        assert_memory_equal(look, "oooooooo", 8);
        assert_string_equal(look + 17, "ooooooooooooooo");
        for (int i = 8; i < 17; i++)
            seen[(unsigned char)look[i]]++;
    }
    assert_true(seen['o'] > 0 && seen['n'] > 0 && seen['g'] > 0);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void the_numbered_states_are_those_that_are_promised(void **unused)
{
    (void)unused;
    struct script s;
    script_begin(&s, "....");
    done(&s, wrote(&s, 1, 0, "x"));
    done(&s, wrote(&s, 1, 1, "y"));
    begin(&s, wrote(&s, 1, 2, "z"));
    uint64_t plain, all = states_count(s.m, &plain);
    assert_int_equal(plain, 2 + 3 * 3);
    assert_true(all > plain);
    static const char *const expected[] = {
        "a=....", "a=xyz.",           /* nothing, all */
        "a=.yz.", "a=x...", "a=....", /* without the first, it alone, what is before it */
        "a=x.z.", "a=.y..", "a=x...", "a=xy..", "a=..z.", "a=xy.."};
    for (uint64_t number = 0; number < all + 20; number++) {
        struct choice choices[3];
        struct cut cut = {.choices = choices};
        struct image image, again;
        char text[96];
        states_cut(s.m, number, 7, &cut);
        model_cut(s.m, &cut, &image);
        states_cut(s.m, number, 7, &cut);
        model_cut(s.m, &cut, &again);
        assert_true(image_hash(&image) == image_hash(&again));
        image_text(&image, text, sizeof(text));
        if (number < plain)
            assert_string_equal(text, expected[number]);
        image_close(&image);
        image_close(&again);
    }
    model_free(s.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sync_keeps_what_was_written_before_it),
        cmocka_unit_test(a_durable_write_keeps_its_bytes_alone),
        cmocka_unit_test(sizes_run_ahead_and_behind),
        cmocka_unit_test(a_file_that_was_cut_is_whole_or_empty_or_new),
        cmocka_unit_test(a_name_is_durable_with_its_folder),
        cmocka_unit_test(a_name_may_survive_without_its_content),
        cmocka_unit_test(a_file_over_another_takes_its_place_or_not),
        cmocka_unit_test(nothing_is_reached_in_a_folder_that_is_gone),
        cmocka_unit_test(a_write_is_torn_at_its_sectors),
        cmocka_unit_test(what_no_write_was_in_is_never_harmed),
        cmocka_unit_test(the_numbered_states_are_those_that_are_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
