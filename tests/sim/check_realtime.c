/*
 * Real-time order of plain puts (RULES 12): of two, one begun after the other was acked, the later
 * wins.
 *
 * Looked at: keys on which every write that may exist is plain. Writes u and v are acked, u was
 * over before v began, and v before a trusted read began: the read does not answer u. It answers
 * the sibling with the highest (stamp, dot) among those shown.
 *
 * No false alarm: since 2W>N some owner acknowledges both, and v's coordinator either covered u or
 * was told of its stamp and stored v above it. Whoever superseded v since is plain as well, so it
 * was stored above v and with it above u. Contexts are left out because one that includes v alone
 * may take it away and leave u.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/check.h"

static const struct shown *winner_of(const struct op *read)
{
    const struct shown *winner = NULL;
    for (uint32_t i = 0; i < read->shown_count; i++) {
        const struct shown *s = &read->shown[i];
        if (!winner || s->stamp > winner->stamp ||
            (s->stamp == winner->stamp && dot_compare(s->dot, winner->dot) > 0))
            winner = s;
    }
    return winner;
}

static bool all_plain(const struct key_ops *k)
{
    for (uint32_t i = 0; i < k->write_count; i++)
        if (!k->writes[i]->plain)
            return false;
    return true;
}

static bool earlier_wins(const struct run *run, const struct key_ops *k, struct finding *out)
{
    const struct op *latest = NULL; /* the latest begun of those over before the read began */
    uint32_t next = 0;
    for (uint32_t i = 0; i < k->read_count; i++) {
        const struct op *read = k->reads[i];
        for (; next < k->acked_count && op_over_before(k->acked[next], read); next++)
            if (!latest || k->acked[next]->begin_us > latest->begin_us)
                latest = k->acked[next];
        const struct shown *winner = winner_of(read);
        const struct op *u = winner ? shown_write(run, read->key, winner) : NULL;
        if (u && latest && op_acked(u) && op_over_before(u, latest))
            return finding_set(out, "realtime", "%s answers %s, although %s came after it",
                               op_text(read).text, op_text(u).text, op_text(latest).text);
    }
    return false;
}

bool check_realtime(const struct run *run, struct finding *out)
{
    struct story story;
    bool found = false;
    story_init(&story, run);
    for (uint32_t key = 0; key < run->key_count && !found; key++)
        found = all_plain(&story.keys[key]) && earlier_wins(run, &story.keys[key], out);
    story_close(&story);
    return found;
}
