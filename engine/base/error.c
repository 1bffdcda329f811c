#include "engine/base/error.h"

#include <stddef.h>

struct error_row {
    int number, exit_code;
    const char *name, *text;
};

static const struct error_row error_rows[] = {
#define ERROR_ROW(name, number, exit_code, text) {number, exit_code, #name, text},
    GT_ERROR_TABLE(ERROR_ROW)
#undef ERROR_ROW
};

static const struct error_row *error_find(int error)
{
    for (size_t i = 0; i < sizeof(error_rows) / sizeof(error_rows[0]); i++)
        if (error_rows[i].number == error)
            return &error_rows[i];
    return NULL;
}

const char *error_text(int error)
{
    if (error == 0)
        return "ok";
    const struct error_row *row = error_find(error);
    return row ? row->text : "unknown error";
}

const char *error_name(int error)
{
    if (error == 0)
        return "GT_OK";
    const struct error_row *row = error_find(error);
    return row ? row->name : "GT_E?";
}

int error_exit_code(int error)
{
    if (error == 0)
        return 0;
    const struct error_row *row = error_find(error);
    return row ? row->exit_code : 1;
}
