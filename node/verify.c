/*
 * Reading again what this node holds, for gtstore-admin verify (RULES 16): a run of keys of one
 * partition, every record against its checksum, answered with their count and the sum of their
 * digests, or key by key. Whoever asks goes on behind the last key, and compares what all owners
 * answered.
 *
 *   VERIFY --owned--> paced --the rate--> read --STORED--> VERIFY_REPLY
 *
 * A run is VERIFY_BYTES at most, so that no read transaction is long, and all of them together read
 * VERIFY_BYTES_PER_S, so that reads and writes go on. Waiting ends by the rate, reading by the
 * answer of storage.
 */
#include "node/node_private.h"

#define VERIFY_BYTES       (256u << 10)
#define VERIFY_BYTES_PER_S (64u << 20)
#define VERIFY_COST_MIN    1024u /* of a run of nothing */

static void read_again(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    slots_set_deadline(n->slots, id, UINT64_MAX);
    struct store_request r = {.kind = STORE_VERIFY,
                              .tag = id,
                              .hold = blob_ref(s->body),
                              .partition = s->partition,
                              .from_start = s->scan.from_start,
                              .from_hash = s->scan.from_hash,
                              .from_key = s->scan.from_key,
                              .bytes_max = s->scan.bytes_max};
    effects_store(fx, &r);
}

void verify_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (n->verify_free_us > n->now_us) /* others came before */
        slots_set_deadline(n->slots, id, n->verify_free_us);
    else
        read_again(n, id, s, fx);
}

void replica_verify(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id;
    struct slot *s = replica_begin(n, ev, m->scan.partition, ACCESS_LOOK, false, &id, fx);
    if (!s)
        return;
    uint32_t bytes = m->scan.bytes_max;
    s->kind = SLOT_VERIFY;
    s->body = blob_ref(ev->message.body);
    s->head = m->scan.head;
    s->scan.from_start = m->scan.from_start;
    s->scan.from_hash = m->scan.from_hash;
    s->scan.from_key = m->scan.from_key;
    s->scan.bytes_max = bytes > 0 && bytes < VERIFY_BYTES ? bytes : VERIFY_BYTES;
    verify_timeout(n, id, s, fx);
}

/* Counts and sums what was read. The last key is where the next run goes on. */
static void run_sum(const struct store_result *r, struct msg *m)
{
    struct reader entries = reader_of(slice_blob(r->entries));
    while (reader_left(&entries) > 0) {
        struct slice key = read_bytes(&entries);
        uint64_t digest = read_u64(&entries);
        m->verify_reply.last_key = key;
        if (digest == 0) {
            m->verify_reply.bad++;
            continue;
        }
        m->verify_reply.records++;
        m->verify_reply.digest_sum += digest;
    }
}

void verify_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                   struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_VERIFY_REPLY, s->origin.id);
    uint64_t cost = r->bytes_read > VERIFY_COST_MIN ? r->bytes_read : VERIFY_COST_MIN;
    if (n->verify_free_us < n->now_us)
        n->verify_free_us = n->now_us;
    n->verify_free_us += cost * 1000000 / VERIFY_BYTES_PER_S;
    m.verify_reply.head.error = r->result;
    if (!r->result) {
        m.verify_reply.head.flags = r->more ? REPLY_MORE : 0;
        run_sum(r, &m);
        m.verify_reply.row = slice_blob(r->clock);
        if (s->head.flags & REQUEST_KEYS_ONLY)
            m.verify_reply.keys = slice_blob(r->entries);
    }
    if (r->unknown || m.verify_reply.bad > 0)
        fill_rot(n, s->partition, "a bad record was found", fx);
    effects_reply(fx, s->origin.link, &m);
    coord_end(n, id, s);
}
