/*
 * Planted faults, so that tests can show that they would be caught. In a build with GT_MUTANTS each
 * MUTANT(name) is a place where one deliberate fault can be switched on, by name, at run time;
 * tests/sim/mutants and tests/crash/planted list them. In every other build it is the constant
 * false and leaves no trace.
 */
#ifndef GT_ENGINE_BASE_MUTANT_H
#define GT_ENGINE_BASE_MUTANT_H

#include <stdbool.h>

#ifdef GT_MUTANTS
/* Set once, before anything runs; NULL: all is well. */
extern const char *mutant_chosen;
bool mutant_is_chosen(const char *name);
/* Asked once at each place, since the question stands on hot paths. */
#define MUTANT(name)                                                                               \
    ({                                                                                             \
        static signed char chosen_;                                                                \
        if (chosen_ == 0)                                                                          \
            chosen_ = mutant_is_chosen(#name) ? 1 : -1;                                            \
        chosen_ > 0;                                                                               \
    })
#else
#define MUTANT(name) false
#endif

#endif
