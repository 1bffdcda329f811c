#include "tests/sim/pending.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *kind, *name, *capability;
} rows[] = {
#include "pending_rows.h"
    {NULL, NULL, NULL}};

const char *pending(const char *kind, const char *name)
{
    for (size_t i = 0; rows[i].kind; i++)
        if (strcmp(rows[i].kind, kind) == 0 && strcmp(rows[i].name, name) == 0)
            return rows[i].capability;
    return NULL;
}
