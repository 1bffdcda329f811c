/*
 * A frame: how messages are cut from a byte stream. Little-endian.
 *
 *   0   4  body bytes, at most the receiver's limit
 *   4   1  version, 1
 *   5   1  flags, 0 (unknown flags are refused)
 *   6   2  reserved, 0
 *   8   4  CRC32C of bytes 0..7 followed by the body
 *   12     body: one msgpack array (msg.h)
 *
 * The receiver checks length, version and flags as soon as it has 12 bytes, before it waits for or
 * allocates the body.
 */
#ifndef GT_NET_FRAME_H
#define GT_NET_FRAME_H

#include "engine/base/buf.h"

#define FRAME_HEADER_BYTES 12u
#define FRAME_VERSION 1
/* Default limit of a body: a state at its bound (four values of 1 MiB) and what stands around it.
 * frame_limit gives it for another value limit. */
#define FRAME_SLACK_BYTES (1u << 20)
size_t frame_limit(uint64_t value_bytes_max);

/* Fills the 12 bytes at `frame` for the body that follows them in memory. */
void frame_seal(uint8_t *frame, size_t body_bytes);

/*
 * Cuts frames from a stream. Feed what arrived; take bodies until none is left.
 */
struct frame_cutter {
    size_t body_bytes_max;
    uint8_t header[FRAME_HEADER_BYTES];
    size_t header_bytes;
    struct blob *body; /* being filled */
    size_t body_bytes;
    int error;
};
void frame_cutter_init(struct frame_cutter *c, size_t body_bytes_max);
void frame_cutter_close(struct frame_cutter *c);
/* Of the frames whose header has not been cut yet. */
void frame_cutter_limit(struct frame_cutter *c, size_t body_bytes_max);
/*
 * Consumes from *data,*bytes. 1: one whole, checked body is given in *body (one reference); 0: all
 * is consumed and no frame is complete; GT_EPROTO (bad length, version, flags, checksum),
 * GT_EFORMAT (a newer version), GT_ENOMEM: the stream is lost, and every later call says the same.
 */
int frame_cut(struct frame_cutter *c, const uint8_t **data, size_t *bytes, struct blob **body);

#endif
