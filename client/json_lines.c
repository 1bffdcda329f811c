#include "client/json_lines.h"

#include <jansson.h>
#include <stdio.h>

#include "engine/base/base64.h"
#include "engine/base/error.h"

#define LINE_BYTES_MAX (1u << 30)

void json_line_init(struct json_line *l)
{
    memset(l, 0, sizeof(*l));
    buf_init(&l->bytes, LINE_BYTES_MAX);
}

void json_line_close(struct json_line *l)
{
    buf_close(&l->bytes);
    memset(l, 0, sizeof(*l));
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Where a slice lies in bytes while that may still move. */
struct span {
    size_t at, bytes;
};

static int complain(char why[JSON_LINE_TEXT_BYTES], const char *what)
{
    snprintf(why, JSON_LINE_TEXT_BYTES, "%s", what);
    return GT_EARG;
}

static int take_text(struct buf *bytes, const json_t *text, struct span *out)
{
    *out = (struct span){bytes->bytes, json_string_length(text)};
    buf_put(bytes, json_string_value(text), out->bytes);
    return bytes->failed ? GT_ENOMEM : 0;
}

static int take_base64(struct buf *bytes, const json_t *text, struct span *out)
{
    out->at = bytes->bytes;
    int error = base64_decode(slice_of(json_string_value(text), json_string_length(text)), bytes);
    out->bytes = bytes->bytes - out->at;
    return error == GT_ELIMIT ? GT_ENOMEM : error;
}

/* The member `name` or `name64` of the object: exactly one, a string. */
static int take_member(struct buf *bytes, const json_t *object, const char *name,
                       const char *name64, struct span *out, char why[JSON_LINE_TEXT_BYTES])
{
    const json_t *text = json_object_get(object, name), *coded = json_object_get(object, name64);
    if (!text == !coded) {
        snprintf(why, JSON_LINE_TEXT_BYTES, text ? "both %s and %s" : "neither %s nor %s", name,
                 name64);
        return GT_EARG;
    }
    if (!json_is_string(text ? text : coded)) {
        snprintf(why, JSON_LINE_TEXT_BYTES, "%s is no string", text ? name : name64);
        return GT_EARG;
    }
    int error = text ? take_text(bytes, text, out) : take_base64(bytes, coded, out);
    if (error == GT_EARG)
        snprintf(why, JSON_LINE_TEXT_BYTES, "%s is no base64", name64);
    return error;
}

static int take_sibling(struct json_line *l, const json_t *item, struct span *out,
                        struct json_value *value, char why[JSON_LINE_TEXT_BYTES])
{
    value->deleted = false;
    if (json_is_string(item))
        return take_text(&l->bytes, item, out);
    if (!json_is_object(item))
        return complain(why, "a sibling is neither a string nor an object");
    if (json_is_true(json_object_get(item, "deleted"))) {
        value->deleted = true;
        *out = (struct span){l->bytes.bytes, 0};
        return 0;
    }
    return take_member(&l->bytes, item, "value", "value64", out, why);
}

static int take_siblings(struct json_line *l, const json_t *list, struct span *spans,
                         char why[JSON_LINE_TEXT_BYTES])
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0)
        return complain(why, "siblings is no list, or empty");
    if (count > JSON_LINE_SIBLINGS_MAX)
        return complain(why, "more than 64 siblings");
    for (size_t i = 0; i < count; i++) {
        int error = take_sibling(l, json_array_get(list, i), &spans[i], &l->values[i], why);
        if (error)
            return error;
    }
    l->value_count = (uint32_t)count;
    l->siblings = true;
    return 0;
}

static int take_line(struct json_line *l, const json_t *object, char why[JSON_LINE_TEXT_BYTES])
{
    struct span key, spans[JSON_LINE_SIBLINGS_MAX];
    if (!json_is_object(object))
        return complain(why, "the line is no JSON object");
    int error = take_member(&l->bytes, object, "key", "key64", &key, why);
    if (error)
        return error;
    const json_t *siblings = json_object_get(object, "siblings");
    if (!siblings) {
        l->value_count = 1;
        error = take_member(&l->bytes, object, "value", "value64", &spans[0], why);
    } else if (json_object_get(object, "value") || json_object_get(object, "value64")) {
        error = complain(why, "both a value and siblings");
    } else {
        error = take_siblings(l, siblings, spans, why);
    }
    if (error)
        return error;
    l->key = slice_of(l->bytes.data + key.at, key.bytes);
    for (uint32_t i = 0; i < l->value_count; i++)
        l->values[i].value = slice_of(l->bytes.data + spans[i].at, spans[i].bytes);
    return 0;
}

int json_line_parse(struct json_line *l, struct slice text, char why[JSON_LINE_TEXT_BYTES])
{
    json_error_t where;
    buf_clear(&l->bytes);
    l->key = (struct slice){NULL, 0};
    l->value_count = 0;
    l->siblings = false;
    l->values[0].deleted = false;
    why[0] = '\0';
    buf_reserve(&l->bytes, 1); /* empty values too point somewhere */
    json_t *object = json_loadb(text.bytes ? (const char *)text.data : "", text.bytes,
                                JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &where);
    if (!object) {
        snprintf(why, JSON_LINE_TEXT_BYTES, "the line is no JSON: %.80s", where.text);
        return GT_EARG;
    }
    int error = take_line(l, object, why);
    json_decref(object);
    if (error == GT_ENOMEM)
        snprintf(why, JSON_LINE_TEXT_BYTES, "%s", error_text(error));
    return error;
}

/* ---- formatting ------------------------------------------------------------------------------ */

int json_bytes_set(json_t *object, const char *name, const char *name64, struct slice s)
{
    json_t *text = json_stringn(s.bytes ? (const char *)s.data : "", s.bytes);
    if (text)
        return json_object_set_new(object, name, text);
    struct buf coded;
    buf_init(&coded, LINE_BYTES_MAX);
    base64_encode(s, &coded);
    int failed =
        coded.failed ||
        json_object_set_new(object, name64, json_stringn((const char *)coded.data, coded.bytes));
    buf_close(&coded);
    return failed;
}

static json_t *value_object(const struct json_value *v)
{
    json_t *object = json_object();
    int failed = !object || (v->deleted ? json_object_set_new(object, "deleted", json_true())
                                        : json_bytes_set(object, "value", "value64", v->value));
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static int dump(const json_t *object, struct buf *out)
{
    char *text = json_dumps(object, 0);
    if (!text)
        return GT_ENOMEM;
    buf_put(out, text, strlen(text));
    buf_u8(out, '\n');
    free(text);
    return out->failed ? GT_ENOMEM : 0;
}

int json_value_format(const struct json_value *v, const char *context, struct buf *out)
{
    json_t *object = value_object(v);
    int failed =
        !object || (context && json_object_set_new(object, "context", json_string(context)));
    int error = failed ? GT_ENOMEM : dump(object, out);
    json_decref(object);
    return error;
}

int json_line_format(const struct json_line *l, struct buf *out)
{
    json_t *object = json_object();
    int failed = !object || json_bytes_set(object, "key", "key64", l->key);
    if (!failed && !l->siblings)
        failed = json_bytes_set(object, "value", "value64", l->values[0].value);
    if (!failed && l->siblings) {
        json_t *list = json_array();
        failed = json_object_set_new(object, "siblings", list);
        for (uint32_t i = 0; i < l->value_count && !failed; i++)
            failed = json_array_append_new(list, value_object(&l->values[i]));
    }
    int error = failed ? GT_ENOMEM : dump(object, out);
    json_decref(object);
    return error;
}
