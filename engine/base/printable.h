/*
 * Bytes that somebody else chose, for a line that people read: a terminal obeys control bytes.
 */
#ifndef GT_ENGINE_BASE_PRINTABLE_H
#define GT_ENGINE_BASE_PRINTABLE_H

#include "engine/base/buf.h"

/* Appends the text with each byte of a control character (C0, DEL, C1) and each that is no UTF-8
 * as \xNN. All other characters stay as they are, also the backslash. A failure marks out. */
void printable(struct slice text, struct buf *out);

#endif
