#include "engine/base/mutant.h"

#ifdef GT_MUTANTS
#include <stddef.h>
#include <string.h>

const char *mutant_chosen;

bool mutant_is_chosen(const char *name)
{
    return mutant_chosen != NULL && strcmp(mutant_chosen, name) == 0;
}
#endif
