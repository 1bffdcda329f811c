/* gtstore-node with a planted fault: the one that GT_MUTANT names. Linked into crash_node alone. */
#include <stdlib.h>

#include "engine/base/mutant.h"

__attribute__((constructor)) static void choose(void)
{
    mutant_chosen = getenv("GT_MUTANT");
}
