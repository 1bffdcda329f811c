/*
 * What the files of the program gtstore-admin share: its options, and how it asks and shows.
 */
#ifndef GT_CLIENT_ADMIN_H
#define GT_CLIENT_ADMIN_H

#include "client/admin_view.h"
#include "client/ask.h"
#include "client/tool.h"

#define EXIT_UNREACHABLE 6
#define EXIT_NOT_WELL    7

/* What `rebalance` does; the last flag of them must be the only one. */
enum rebalance_mode {
    MODE_NONE,
    MODE_PLAN,
    MODE_APPLY,
    MODE_STATUS,
    MODE_PAUSE,
    MODE_RESUME,
    MODE_CANCEL
};

struct options {
    const char *managers; /* as typed; NULL: the environment's, or the default */
    struct address addresses[ASK_ADDRESSES_MAX];
    uint32_t address_count;
    bool json;
    bool yes;
    uint64_t timeout_us; /* 0: the verb's default */
    enum rebalance_mode mode;
    bool once;
    uint64_t epoch; /* 0: any */
    uint32_t write_quorum, read_quorum;
    uint64_t value_bytes_max; /* 0, of these three: as it is */
    const char *arguments[TOOL_ARGUMENTS_MAX];
};

/* ---- admin_main.c ---------------------------------------------------------------------------- */

uint64_t timeout_of(const struct options *o);
const struct status *status_or_die(const struct options *o, struct ask_reply *reply);
/* Both release what they show. */
void json_show(json_t *answer);
void grid_show(struct grid *g, bool headings);

/* ---- admin_moves_main.c ---------------------------------------------------------------------- */

extern const struct argp_option rebalance_flags[], remove_flags[], set_flags[];
int run_rebalance(const struct options *o);
int run_drain(const struct options *o);
int run_remove(const struct options *o);
int run_replace(const struct options *o);
int run_weight(const struct options *o);
int run_set(const struct options *o);
/* A flag of these verbs: 0, or ARGP_ERR_UNKNOWN. */
error_t moves_flag_take(struct options *o, int key, char *text);

enum { KEY_TIMEOUT = 256, KEY_YES, KEY_MOVES /* and those behind it: of admin_moves_main.c */ };

#endif
