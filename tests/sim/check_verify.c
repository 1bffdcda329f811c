/*
 * Verify: gtstore-admin verify says that the replicas agree if and only if they do.
 *
 * No false alarm: nothing was written any more, and the replicas were looked at from outside before
 * and after it ran; where those two differ, something was still on its way, and nothing is said.
 */
#include "tests/sim/check.h"

bool check_verify(const struct run *run, struct finding *out)
{
    if (!run->verified || run->verify_equal == run->alike)
        return false;
    if (run->verify_equal)
        return finding_set(out, "verify", "all replicas are called equal, and they are not");
    return finding_set(out, "verify", "the replicas are equal, and verify says: %s",
                       run->verify_text);
}
