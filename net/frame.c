#include "net/frame.h"

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"

#define CHECKED_HEADER_BYTES 8u /* of the header, those that the checksum covers */

size_t frame_limit(uint64_t value_bytes_max)
{
    uint64_t limit = 4 * value_bytes_max + FRAME_SLACK_BYTES;
    return limit < BLOB_BYTES_MAX ? (size_t)limit : BLOB_BYTES_MAX;
}

void frame_seal(uint8_t *frame, size_t body_bytes)
{
    gt_assert(body_bytes > 0 && body_bytes <= UINT32_MAX);
    le32_put(frame, (uint32_t)body_bytes);
    frame[4] = FRAME_VERSION;
    frame[5] = 0;
    le16_put(frame + 6, 0);
    uint32_t crc = crc_update(0, frame, CHECKED_HEADER_BYTES);
    le32_put(frame + 8, crc_update(crc, frame + FRAME_HEADER_BYTES, body_bytes));
}

void frame_cutter_init(struct frame_cutter *c, size_t body_bytes_max)
{
    memset(c, 0, sizeof(*c));
    c->body_bytes_max = body_bytes_max;
}

void frame_cutter_close(struct frame_cutter *c)
{
    blob_unref(c->body);
    c->body = NULL;
}

void frame_cutter_limit(struct frame_cutter *c, size_t body_bytes_max)
{
    c->body_bytes_max = body_bytes_max;
}

/* The length is looked at before the version: random bytes are nearly always over the limit, and
 * are not to be called a newer version. */
static int header_check(const uint8_t *header, size_t body_bytes_max)
{
    uint32_t body_bytes = le32_get(header);
    if (body_bytes == 0 || body_bytes > body_bytes_max)
        return GT_EPROTO;
    if (header[4] > FRAME_VERSION)
        return GT_EFORMAT;
    if (header[4] != FRAME_VERSION || header[5] != 0 || le16_get(header + 6) != 0)
        return GT_EPROTO;
    return 0;
}

static void take(uint8_t *to, size_t *have, size_t want, const uint8_t **data, size_t *bytes)
{
    size_t more = want - *have < *bytes ? want - *have : *bytes;
    if (more == 0)
        return;
    memcpy(to + *have, *data, more);
    *have += more;
    *data += more;
    *bytes -= more;
}

static bool body_sound(const struct frame_cutter *c)
{
    uint32_t crc = crc_update(0, c->header, CHECKED_HEADER_BYTES);
    return crc_update(crc, c->body->data, c->body->bytes) == le32_get(c->header + 8);
}

int frame_cut(struct frame_cutter *c, const uint8_t **data, size_t *bytes, struct blob **body)
{
    if (c->error)
        return c->error;
    if (!c->body) {
        take(c->header, &c->header_bytes, FRAME_HEADER_BYTES, data, bytes);
        if (c->header_bytes < FRAME_HEADER_BYTES)
            return 0;
        c->error = header_check(c->header, c->body_bytes_max);
        if (c->error)
            return c->error;
        c->body = blob_new(le32_get(c->header));
        if (!c->body)
            return c->error = GT_ENOMEM;
        c->body_bytes = 0;
    }
    take(c->body->data, &c->body_bytes, c->body->bytes, data, bytes);
    if (c->body_bytes < c->body->bytes)
        return 0;
    if (!body_sound(c))
        return c->error = GT_EPROTO;
    *body = c->body;
    c->body = NULL;
    c->header_bytes = 0;
    return 1;
}
