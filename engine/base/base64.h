/*
 * Base64 (RFC 4648): the standard alphabet with padding for bytes in JSON, the URL-safe one without
 * for tokens. Decoding takes either alphabet, with or without padding, and nothing else: no white
 * space, and no bits set behind the last byte.
 */
#ifndef GT_ENGINE_BASE_BASE64_H
#define GT_ENGINE_BASE_BASE64_H

#include "engine/base/buf.h"

void base64_encode(struct slice bytes, struct buf *out);
void base64url_encode(struct slice bytes, struct buf *out);
/* Appends the bytes. 0; GT_EARG for what is no base64 (nothing is appended); GT_ENOMEM, GT_ELIMIT.
 */
int base64_decode(struct slice text, struct buf *out);

#endif
