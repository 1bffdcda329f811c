#include "tests/crash/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool read_all(FILE *f, uint8_t **data, size_t *bytes)
{
    size_t capacity = 1u << 20, have = 0;
    *data = malloc(capacity);
    for (size_t n = 1; *data && n > 0; have += n) {
        if (have == capacity) {
            uint8_t *grown = realloc(*data, capacity *= 2);
            if (!grown)
                return false;
            *data = grown;
        }
        n = fread(*data + have, 1, capacity - have, f);
    }
    *bytes = have;
    return *data && !ferror(f);
}

static bool split(struct trace *t, size_t bytes)
{
    size_t capacity = 0;
    for (size_t at = 0; at < bytes;) {
        struct trace_op op;
        if (bytes - at < sizeof(op.head))
            return false;
        memcpy(&op.head, t->data + at, sizeof(op.head));
        at += sizeof(op.head);
        size_t padded = (size_t)(op.head.bytes + 7) / 8 * 8;
        if (padded < op.head.bytes || padded > bytes - at)
            return false;
        op.bytes = t->data + at;
        at += padded;
        if (t->count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            struct trace_op *grown = realloc(t->ops, capacity * sizeof(op));
            if (!grown)
                return false;
            t->ops = grown;
        }
        t->ops[t->count++] = op;
    }
    return true;
}

bool trace_read(const char *path, struct trace *out)
{
    *out = (struct trace){0};
    FILE *f = fopen(path, "re");
    size_t bytes = 0;
    bool done = f && read_all(f, &out->data, &bytes) && split(out, bytes);
    if (f)
        fclose(f);
    if (done)
        return true;
    fprintf(stderr, "cannot read the trace %s\n", path);
    trace_close(out);
    return false;
}

void trace_close(struct trace *t)
{
    free(t->data);
    free(t->ops);
    *t = (struct trace){0};
}

void trace_text(const struct trace_op *op, char *out, size_t bytes)
{
    static const char *const marks[] = {"?", "begun", "acknowledged", "seen", "the life ends"};
    const struct trace_head *h = &op->head;
    unsigned long long inode = h->inode, offset = h->offset, length = h->bytes;
    const char *path = (const char *)op->bytes;
    switch ((enum trace_kind)h->kind) {
    case TRACE_OPEN:
        snprintf(out, bytes, "open %s inode %llu%s", path, inode,
                 h->flags & TRACE_CUT ? ", cut to nothing" : "");
        return;
    case TRACE_WRITE:
        snprintf(out, bytes, "write inode %llu offset %llu bytes %llu%s", inode, offset, length,
                 h->flags & TRACE_DURABLE ? ", durable" : "");
        return;
    case TRACE_SIZE:
        snprintf(out, bytes, "size inode %llu %llu", inode, offset);
        return;
    case TRACE_RENAME:
        snprintf(out, bytes, "rename %s to %s", path, path + strlen(path) + 1);
        return;
    case TRACE_UNLINK:
        snprintf(out, bytes, "unlink %s", path);
        return;
    case TRACE_MKDIR:
        snprintf(out, bytes, "mkdir %s", path);
        return;
    case TRACE_SYNC:
        if (h->flags & TRACE_FOLDER)
            snprintf(out, bytes, "sync folder %s", path);
        else
            snprintf(out, bytes, "sync inode %llu", inode);
        return;
    case TRACE_MARK:
        snprintf(out, bytes, "%s: key %llu, put %llu", marks[h->flags <= MARK_END ? h->flags : 0],
                 inode, offset);
        return;
    }
    snprintf(out, bytes, "unknown operation %u", h->kind);
}
