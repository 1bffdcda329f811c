/*
 * What gtstore-admin shows of moves: the plan of a rebalance, and how far one is. Pure.
 */
#ifndef GT_CLIENT_MOVES_VIEW_H
#define GT_CLIENT_MOVES_VIEW_H

#include "client/admin_view.h"

const char *view_rebalance_name(uint8_t rebalance); /* "idle", "running", "paused" */

/* Nothing is moved, dropped or about to begin. */
bool view_moves_ended(const struct status *s);
/* One line: what is being moved, how far it is, how long it will take. Returns text. */
const char *view_moves_text(const struct status *s, char text[VIEW_TEXT_BYTES]);
/* The same as a bar of this many columns. moves_a_second: of late; 0 = not known. Returns text. */
const char *view_moves_bar(const struct status *s, double moves_a_second, uint32_t columns,
                           char text[VIEW_TEXT_BYTES]);

/* Of a PLAN_REPLY without error. A row for each pair of from and to. */
void view_plan_grid(const struct msg *plan, struct grid *g);
/* One line: how much it is in all, the balance before and after, the epoch. Returns text. */
const char *view_plan_text(const struct msg *plan, char text[VIEW_TEXT_BYTES]);
/* Names every move. */
json_t *view_plan_json(const struct msg *plan);
/* The most tokens of one member to the mean of all who take part, each by its weight; 1 = even. */
double view_plan_balance(const struct msg *plan, bool after);

#endif
