#include "client/tool.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/program.h"

struct parsing {
    const struct tool *tool;
    struct options *options;
    const struct tool_verb *verb;
    int verb_at; /* in argv */
    bool quoted; /* `--` stood before the verb */
    const char **arguments;
    unsigned argument_count;
};

static error_t parse_flag(int key, char *text, struct argp_state *state)
{
    struct parsing *p = state->input;
    if (key == ARGP_KEY_INIT)
        state->err_stream = NULL; /* getopt's own line is enough */
    return p->tool->take(p->options, key, text);
}

static error_t parse_top(int key, char *text, struct argp_state *state)
{
    struct parsing *p = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = p;
        return 0;
    case ARGP_KEY_ARG:
        for (p->verb = p->tool->verbs; p->verb->name; p->verb++)
            if (strcmp(p->verb->name, text) == 0)
                break;
        if (!p->verb->name)
            program_usage("unknown verb %s", text);
        if (!p->verb->run)
            program_usage("%s is not supported in this version", text);
        p->verb_at = state->next - 1;
        p->quoted = state->quoted != 0;
        state->next = state->argc; /* the rest is the verb's */
        return 0;
    case ARGP_KEY_NO_ARGS:
        program_usage("a verb is missing");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_verb(int key, char *text, struct argp_state *state)
{
    struct parsing *p = state->input;
    const struct tool_verb *v = p->verb;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = p;
        return 0;
    case ARGP_KEY_ARG:
        if (p->argument_count == v->argument_count)
            program_usage("%s: unexpected argument %s", v->name, text);
        p->arguments[p->argument_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (p->argument_count < v->argument_count)
            program_usage("%s: %s is needed", v->name, v->arguments);
        return 0;
    default:
        return p->tool->take(p->options, key, text);
    }
}

const struct tool_verb *tool_parse(const struct tool *t, int argc, char **argv, struct options *o,
                                   const char *arguments[TOOL_ARGUMENTS_MAX])
{
    struct parsing p = {.tool = t, .options = o, .arguments = arguments};
    const struct argp flags = {.options = t->flags, .parser = parse_flag};
    const struct argp_child child[] = {{.argp = &flags, .group = 9}, {0}};
    const struct argp top = {
        .parser = parse_top, .args_doc = "VERB [ARGUMENT...]", .doc = t->text, .children = child};
    if (argp_parse(&top, argc, argv, ARGP_IN_ORDER, NULL, &p) != 0)
        exit(EXIT_USAGE); /* getopt has said why */
    char name[64];
    int from = p.verb_at;
    snprintf(name, sizeof(name), "%s %s", argv[0], p.verb->name);
    if (p.quoted) { /* the two change places, so that the verb's arguments are quoted as well */
        argv[from] = argv[from - 1];
        from--;
    }
    argv[from] = name;
    const struct argp own = {.options = p.verb->flags,
                             .parser = parse_verb,
                             .args_doc = p.verb->arguments,
                             .doc = p.verb->text,
                             .children = child};
    if (argp_parse(&own, argc - from, argv + from, 0, NULL, &p) != 0)
        exit(EXIT_USAGE);
    program_parsed();
    return p.verb;
}

const char *tool_managers(const char *flag)
{
    const char *text = flag ? flag : getenv("GTSTORE_MANAGER");
    return text && text[0] ? text : "127.0.0.1:5000";
}

void tool_json_print(json_t *object, size_t flags)
{
    char *text = json_dumps(object, flags);
    if (!text)
        program_die(1, "out of memory");
    program_print(text, strlen(text));
    program_print("\n", 1);
    free(text);
    json_decref(object);
}
