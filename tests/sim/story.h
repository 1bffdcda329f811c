/*
 * A story: a scenario that a person can read, played by the simulator. The commands of its text are
 * carried out in a cluster without random faults, and what the product then does is written below
 * each of them, in words. That whole transcript is compared with the text: a story is its own
 * expectation.
 *
 *     anna puts fruit = apples
 *       done, coordinated by node2, 2 owners
 *     node2 loses power
 *     anna gets fruit
 *       apples
 *
 * Everything follows from the text: the same story gives the same transcript, always. A command
 * that waits (a call, a start) waits in virtual time and for a minute at most.
 */
#ifndef GT_TESTS_SIM_STORY_H
#define GT_TESTS_SIM_STORY_H

#include "engine/base/blob.h"

/* 0, also when the transcript is not what the text says; 1 when the simulator found something that
 * may never be (the transcript ends with it); 2 when the text is no story: `transcript` is then one
 * line, "LINE: what is wrong". The transcript is from malloc. */
int story_play(struct slice text, void (*trace)(void *arg, const char *line), char **transcript);

/* The program's --story: plays the file. 0 when all is as it says, or with print, which writes the
 * transcript; 1 with the first line that differs; 2 with what is wrong with the file. */
int story_run(const char *path, bool print, bool trace);

#endif
