/*
 * No resurrection: what an acked delete has surely superseded is shown neither by a trusted read
 * that began after the delete ended, nor by an owner's replica in the end.
 *
 * No false alarm: only values whose dot or write is in what the delete returned are asked about
 * (superseded_back). A plain delete names there what it has taken; a value that its coordinator
 * had not seen stays beside the tombstone as a sibling, rightly, even one acked before the delete
 * began: it does not answer a get (check_realtime), but `all` shows it. Replicas that are no owners
 * of the moment may hold what they will drop.
 */
#include "tests/sim/check.h"

bool check_resurrection(const struct run *run, struct finding *out)
{
    struct story story;
    story_init(&story, run);
    bool found = superseded_back(&story, OP_DELETE, "resurrection", out);
    story_close(&story);
    return found;
}
