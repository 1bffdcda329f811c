/*
 * Any bytes as a cart: refused with a reason, or a cart that goes out as the very same bytes and to
 * which merging with itself adds nothing.
 */
#include "client/examples/cart.h"

#include <gtstore.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct cart c;
    char why[CART_WHY_BYTES] = "", *text;
    size_t text_bytes;
    cart_init(&c);
    int error = cart_parse(&c, data, bytes, why);
    gt_assert(error == 0 || (error == GT_EFORMAT && why[0]));
    if (error == 0) {
        gt_assert(cart_merge(&c, &c) == 0);
        gt_assert(cart_format(&c, &text, &text_bytes) == 0);
        gt_assert(text_bytes == bytes && memcmp(text, data, bytes) == 0);
        free(text);
        text = cart_text(&c);
        gt_assert(text);
        free(text);
    }
    cart_close(&c);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    static const char *const seeds[] = {
        "cart 1\n",
        "cart 1\nseen a 1\nitem a 1 1 x\n",
        "cart 1\nseen anna-5f3a91c2d0e4b7a6 18446744073709551615\nseen ben 12\n"
        "item ben 9 1000000 green apples\nitem ben 10 1 eggs\n",
    };
    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    size_t bytes = strlen(seeds[index]);
    gt_assert(bytes <= capacity);
    memcpy(out, seeds[index], bytes);
    return bytes;
}
