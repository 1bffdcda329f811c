/*
 * The quarantine: what a folder holds that others have not confirmed, as lines of text, written
 * before its partitions fill because a life of the node was seen that the folder does not know of
 * (RULES 8b): it was away for too long, or was rolled back. Of lives that the others have closed
 * meanwhile nothing more is taken, so what was with this node alone goes when it fills: a write
 * in doubt, one with a W below the cluster's, a parcel.
 *
 * A line is one live sibling, as `gtstore import` reads it, with whence it is. Bytes are in base64.
 *
 *   {"key64": "aw==", "value64": "dg==", "dot": "NODE.LIFE.SEQ", "stamp": N}
 *   {"key64": "aw==", "siblings": [{"deleted": true}], "dot": "NODE.LIFE.SEQ", "stamp": N}
 *
 * There may be more than was not confirmed: of what is confirmed a process that was killed forgets
 * the last, and what was deleted elsewhere meanwhile is of that kind. So a person looks first.
 *
 * NODE and LIFE in hex; a parcel's also has "for": "NODE", whom it was kept for. What the dot log
 * has forgotten (its floor was raised) is not known to be unconfirmed and is not written; a bad
 * record cannot be.
 */
#ifndef GT_ENGINE_QUARANTINE_H
#define GT_ENGINE_QUARANTINE_H

#include "engine/engine.h"

/* Takes one line, which ends with a newline. 0, or an error that ends the walk. */
typedef int quarantine_line_fn(void *arg, struct slice line);

/* Every sibling, once. 0; what the function returned; or GT_ENOMEM. */
int engine_quarantine(struct engine *e, quarantine_line_fn *line, void *arg);

#endif
