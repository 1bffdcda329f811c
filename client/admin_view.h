/*
 * What gtstore-admin shows, as a grid of cells (for a table) and as JSON, from one status snapshot
 * and one cluster map. Pure: it prints nothing.
 */
#ifndef GT_CLIENT_ADMIN_VIEW_H
#define GT_CLIENT_ADMIN_VIEW_H

#include <jansson.h>

#include "client/verify.h"
#include "net/msg.h"

#define GRID_COLUMNS_MAX 16

struct grid {
    uint32_t column_count;
    const char *headers[GRID_COLUMNS_MAX];
    bool right[GRID_COLUMNS_MAX]; /* numbers stand to the right */
    char **cells;                 /* row after row */
    uint32_t cell_count, cell_capacity;
};
void grid_init(struct grid *g);
void grid_close(struct grid *g);
/* The headers first, then the cells, row after row. */
void grid_column(struct grid *g, const char *header, bool right);
void grid_cell(struct grid *g, const char *text);

/* All json_t are new references; all aborts when out of memory: a tool has nothing else to do. */
void view_summary_grid(const struct status *s, struct grid *g);
void view_nodes_grid(const struct status *s, struct grid *g);
json_t *view_status_json(const struct status *s);
json_t *view_nodes_json(const struct status *s);
void view_ring_grid(const struct ring *r, struct grid *g);
json_t *view_ring_json(const struct status *s, const struct ring *r);
/* Only of a formed map. The owners' states are those of the snapshot. */
void view_locate_grid(const struct status *s, const struct ring *r, struct slice key,
                      struct grid *g);
json_t *view_locate_json(const struct status *s, const struct ring *r, struct slice key);

/* Who was asked and did not answer; in JSON the field `not_answered`. */
struct view_silent {
    struct slice label;
    const char *cause;
};

/* What is kept for owners that are or were away: parcels by target, and writes of the dot logs. */
void view_hints_grid(const struct status *s, struct grid *g);
json_t *view_hints_json(const struct status *s, const struct view_silent *silent,
                        uint32_t silent_count);
/* An event, and whose it is. */
struct view_event {
    struct slice node;
    const struct msg_event *event;
    uint32_t place; /* before they were sorted */
};
/* By time, those of one time as they came. */
void view_events_sort(struct view_event *events, uint32_t count);
void view_events_grid(const struct view_event *events, uint32_t count, struct grid *g);
json_t *view_events_json(const struct view_event *events, uint32_t count,
                         const struct view_silent *silent, uint32_t silent_count);

/* What verify found: one line for each key, record and node that is not as it should be, or one
 * that says that all is equal. */
void view_verify_lines(const struct verifier *v, struct buf *out);
json_t *view_verify_json(const struct verifier *v);

#define VIEW_TEXT_BYTES 400
/* One line: why the cluster is not healthy ("" when it is). Returns text. */
const char *view_verdict_text(const struct status *s, char text[VIEW_TEXT_BYTES]);
/* The node has reported within the last waited_ms. */
bool view_report_fresh(const struct status_node *n, uint64_t waited_ms);
/* One line: what `wait` waits for, "" when for nothing more: every member is up, and every node has
 * reported since the wait began (within the last waited_ms) that it is 0 writes behind and
 * keeps nothing for one that is away, and no move is open or about to begin. Returns text. */
const char *view_wait_text(const struct status *s, uint64_t waited_ms, char text[VIEW_TEXT_BYTES]);
/* One line: what is not equal, "" when everything is. Returns text. */
const char *view_verify_text(const struct verifier *v, char text[VIEW_TEXT_BYTES]);
/* One line: why the node cannot write, "" when it can. Returns text. */
const char *view_disk_text(const struct status_node *n, char text[VIEW_TEXT_BYTES]);
/* One line: that writes may be missing at the node, "" when nothing says so. Returns text. */
const char *view_damage_text(const struct status_node *n, char text[VIEW_TEXT_BYTES]);

#endif
