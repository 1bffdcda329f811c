/*
 * The lines of import and export: one JSON object a line, in one of these forms.
 *
 *   {"key": "name", "value": "Ada"}          text
 *   {"key64": "AP8=", "value64": "gA=="}     bytes that are no UTF-8, as standard base64
 *   {"key": "name", "siblings": [{"value": "Ada"}, {"value64": "gA=="}, {"deleted": true}]}
 *
 * A key is given by exactly one of key and key64, and what it holds by exactly one of value,
 * value64 and siblings. A sibling may also be written as a plain string. Other members are ignored.
 */
#ifndef GT_CLIENT_JSON_LINES_H
#define GT_CLIENT_JSON_LINES_H

#include "engine/base/buf.h"

#define JSON_LINE_SIBLINGS_MAX 64
#define JSON_LINE_TEXT_BYTES   120

struct json_value {
    struct slice value;
    bool deleted;
};

struct json_line {
    struct slice key;
    struct json_value values[JSON_LINE_SIBLINGS_MAX];
    uint32_t value_count; /* at least 1 */
    bool siblings;        /* the siblings form */
    struct buf bytes;     /* what the slices point to */
};

void json_line_init(struct json_line *l);
void json_line_close(struct json_line *l);
/* Parses one line, without or with its newline. 0; GT_EARG with `why` filled ("no key", "line is no
 * JSON: ..."); GT_ENOMEM. The slices live until the next parse or close. */
int json_line_parse(struct json_line *l, struct slice text, char why[JSON_LINE_TEXT_BYTES]);
/* Appends the line of l->key and l->values (bytes is not used), with a newline. GT_ENOMEM. */
int json_line_format(const struct json_line *l, struct buf *out);
/* Appends one sibling as `get --all` prints it: the object of the siblings form, one line, with the
 * read's context as another member unless it is NULL. */
int json_value_format(const struct json_value *v, const char *context, struct buf *out);
/* Sets member `name` of a JSON object to the bytes as text, or `name64` when they are no UTF-8. 0,
 * or not 0 when out of memory. */
struct json_t;
int json_bytes_set(struct json_t *object, const char *name, const char *name64, struct slice s);

#endif
