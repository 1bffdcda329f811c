/*
 * Any bytes as a line of an import: refused with a reason, or a record that goes out and comes back
 * the same.
 */
#include "client/json_lines.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct json_line line, back;
    struct buf text;
    char why[JSON_LINE_TEXT_BYTES];
    json_line_init(&line);
    json_line_init(&back);
    buf_init(&text, 64u << 20);
    int error = json_line_parse(&line, slice_of(data, bytes), why);
    gt_assert(error == 0 || (error == GT_EARG && why[0]));
    if (error == 0) {
        gt_assert(json_line_format(&line, &text) == 0);
        gt_assert(json_line_parse(&back, buf_slice(&text), why) == 0);
        gt_assert(slice_equal(line.key, back.key) && line.value_count == back.value_count &&
                  line.siblings == back.siblings);
        for (uint32_t i = 0; i < line.value_count; i++)
            gt_assert(slice_equal(line.values[i].value, back.values[i].value) &&
                      line.values[i].deleted == back.values[i].deleted);
    }
    buf_close(&text);
    json_line_close(&back);
    json_line_close(&line);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    static const char *const seeds[] = {
        "{\"key\": \"name\", \"value\": \"Ada\"}",
        "{\"key64\": \"AP8=\", \"value64\": \"gA==\"}",
        "{\"key\": \"k\", \"siblings\": [{\"value\": \"a\"}, \"b\", {\"value64\": \"/g==\"}, "
        "{\"deleted\": true}]}",
        "{\"key\": \"\\u0000\\ud83d\\ude00\", \"value\": \"\"}",
    };
    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    size_t bytes = strlen(seeds[index]);
    gt_assert(bytes <= capacity);
    memcpy(out, seeds[index], bytes);
    return bytes;
}
