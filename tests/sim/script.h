/*
 * A story as text, read into commands before anything runs. tests/scenario/README.md has the
 * grammar for those who write one; the table of sentences in script.c is its source.
 *
 *     # comment                        copied as it is, like an empty line
 *     anna puts fruit = apples         command: one sentence of the table, from the first column
 *       done, coordinated by node1     what happened: indented by two spaces, below its command
 */
#ifndef GT_TESTS_SIM_SCRIPT_H
#define GT_TESTS_SIM_SCRIPT_H

#include "engine/base/blob.h"
#include "net/ring.h"

#define SCRIPT_CLIENTS_MAX 6
#define SCRIPT_NODES_MAX   9
#define SCRIPT_BYTES_MAX   (1u << 20)
#define SCRIPT_WAIT_S_MAX  100000

enum verb {
    VERB_SEED,
    VERB_PIECES,
    VERB_MANAGERS,
    VERB_CLUSTER,
    VERB_KILL,
    VERB_POWER,
    VERB_STOP,
    VERB_START,
    VERB_STAND_STILL,
    VERB_GO_ON,
    VERB_KILL_AFTER_SYNC,
    VERB_POWER_ALL,
    VERB_START_ALL,
    VERB_NOBODY_REACHES,
    VERB_DEAF,
    VERB_CUT,
    VERB_ALONE,
    VERB_HEAL,
    VERB_MAP_DEAF,
    VERB_MAP_HEARS,
    VERB_DRAIN,
    VERB_CAPACITY,
    VERB_REBALANCE,
    VERB_REBALANCE_END,
    VERB_COPIES_KEEP,
    VERB_COPIES_END,
    VERB_COPIES_ARRIVE,
    VERB_DISK_FULL,
    VERB_DISK_ROOM,
    VERB_SYNC_FAILS,
    VERB_DISK_COPIED,
    VERB_DISK_PUT_BACK,
    VERB_DISK_LOST,
    VERB_LOG_END_BAD,
    VERB_FLIP,
    VERB_RECORD_GONE,
    VERB_CLOCK_BEHIND,
    VERB_CLOCK_AHEAD,
    VERB_CLOCK_RIGHT,
    VERB_PUT,
    VERB_PUT_TIMES,
    VERB_DELETE,
    VERB_GET,
    VERB_GET_ALL,
    VERB_GET_AVAILABLE,
    VERB_GET_ONE,
    VERB_BEGIN_PUT,
    VERB_BEGIN_DELETE,
    VERB_BEGIN_GET,
    VERB_HEAR,
    VERB_WAIT_S,
    VERB_WAIT_MS,
    VERB_WAIT_QUIET,
    VERB_WHERE,
    VERB_OWNERS,
    VERB_EQUAL,
    VERB_PARCELS,
    VERB_MAP,
    VERB_LEADER,
    VERB_STATUS,
    VERB_QUARANTINE,
    VERB_VERIFY
};

/* Who is meant: the manager, a node (from 1), or a client (from 0, by first mention). */
struct who {
    enum { WHO_MANAGER, WHO_NODE, WHO_CLIENT } kind;
    uint32_t number;
};

struct command {
    enum verb verb;
    struct who who[2];
    struct slice key, value; /* borrowed from the text */
    uint64_t number;         /* seconds, times, the seed */
    struct settings settings;
    uint32_t nodes; /* CLUSTER */
    bool seen;      /* "having seen what she read" */
    bool guests;    /* "with guests": a sloppy write */
};

enum line_kind { LINE_PLAIN, LINE_COMMAND, LINE_EXPECTED };

struct line {
    enum line_kind kind;
    struct slice text; /* without its newline; borrowed */
    struct command command;
};

struct script {
    struct line *lines; /* lines[i] is line i + 1 of the text */
    uint32_t line_count;
    char clients[SCRIPT_CLIENTS_MAX][16];
    uint32_t client_count;
};

struct script_error {
    uint32_t line; /* from 1 */
    char text[200];
};

/* The text outlives the script. 0, or GT_EARG with the first line that is wrong, and why; then
 * there is nothing to close. */
int script_read(struct script *s, struct slice text, struct script_error *error);
void script_close(struct script *s);

#endif
