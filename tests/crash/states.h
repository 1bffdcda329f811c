/*
 * The states that a cut can leave, numbered: first those that are tried one by one, then drawn
 * ones without end. A number means the same state whenever the same trace is cut at the same place.
 *
 *   nothing of what is pending; all of it; for each operation: all but it, it alone, those before
 *   it; for each write, the others kept: its first sector, half, all but the last, some sectors
 *   (two draws), each sector old, new or garbage (512 and 4096 bytes), all garbage (the same), the
 *   first sector garbage (the same); when files grow: sizes ahead with zeros, with garbage, and
 *   behind, over nothing, all, and draws of the data
 */
#ifndef GT_TESTS_CRASH_STATES_H
#define GT_TESTS_CRASH_STATES_H

#include "tests/crash/model.h"

/* How many are tried one by one. Those up to `*plain` tear nothing. */
uint64_t states_count(const struct model *m, uint64_t *plain);
/* Fills the cut of this number; its choices are those of the caller, model_pending many. */
void states_cut(const struct model *m, uint64_t number, uint64_t seed, struct cut *cut);

#endif
