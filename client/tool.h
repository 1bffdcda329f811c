/*
 * What gtstore and gtstore-admin share: a verb with arguments, flags of all verbs before or after
 * it, flags of the verb after it, `--` before or after it. `PROGRAM VERB --help` shows the verb's.
 */
#ifndef GT_CLIENT_TOOL_H
#define GT_CLIENT_TOOL_H

#include <argp.h>
#include <jansson.h>

#define TOOL_ARGUMENTS_MAX 2

struct options; /* each program's own */

struct tool_verb {
    const char *name, *arguments, *text; /* text: what --help says */
    int (*run)(const struct options *o); /* the exit code; NULL: not in this version */
    unsigned argument_count;
    const struct argp_option *flags; /* of this verb alone; may be NULL */
};

struct tool {
    const char *text;                /* what --help says; \v before what stands behind the flags */
    const struct argp_option *flags; /* of all verbs */
    const struct tool_verb *verbs;   /* the last one has no name */
    /* A flag of either kind: 0, or ARGP_ERR_UNKNOWN. What is wrong ends the program. */
    error_t (*take)(struct options *o, int key, char *text);
};

/* The verb, whose arguments are in `arguments`. Ends the program at anything wrong, and at --help
 * and --version. */
const struct tool_verb *tool_parse(const struct tool *t, int argc, char **argv, struct options *o,
                                   const char *arguments[TOOL_ARGUMENTS_MAX]);
/* -m, else GTSTORE_MANAGER, else 127.0.0.1:5000. */
const char *tool_managers(const char *flag);
/* Writes the object to stdout as one line, dumped with these flags of jansson's, and releases it.
 * What cannot be written ends the program. */
void tool_json_print(json_t *object, size_t flags);

#endif
