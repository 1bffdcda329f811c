/*
 * What stands in the file `pending`: things that the simulator knows and the product cannot stand
 * yet.
 */
#ifndef GT_TESTS_SIM_PENDING_H
#define GT_TESTS_SIM_PENDING_H

#include <stdbool.h>

/* The capability that switches it on, NULL when nothing is missing. kind: "checker", "fault",
 * "mutant", "rule". */
const char *pending(const char *kind, const char *name);

#endif
