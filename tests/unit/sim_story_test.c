/*
 * Stories: what is no story is refused with the line and the reason; what is one is played, and the
 * same each time.
 */
#include "tests/sim/story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/sim/script.h"

#define CLUSTER "cluster of 3 nodes, 3 copies, R=2, W=2\n"

static char *played(const char *text, int expected)
{
    char *transcript;
    assert_int_equal(story_play(slice_text(text), NULL, &transcript), expected);
    return transcript;
}

/* Refused, with this. */
static void refused(const char *text, const char *why)
{
    char *transcript = played(text, 2);
    assert_string_equal(transcript, why);
    free(transcript);
}

static void plays_as(const char *text, const char *expected)
{
    char *transcript = played(text, 0);
    assert_string_equal(transcript, expected);
    free(transcript);
}

/* Is what happened as well. */
static void plays(const char *text)
{
    plays_as(text, text);
}

static void test_a_line_that_is_no_command(void **state)
{
    (void)state;
    refused(CLUSTER "\nanna pust apple = green\n",
            "3: this is no command: anna pust apple = green\n");
    refused(CLUSTER "anna puts apple\n", "2: this is no command: anna puts apple\n");
    refused(CLUSTER "anna puts apple = \n", "2: this is no command: anna puts apple = \n");
    refused(CLUSTER "status \n", "2: this is no command: status \n");
    refused(CLUSTER "wait 1234567890 s\n", "2: this is no command: wait 1234567890 s\n");
    refused(CLUSTER "Anna gets apple\n", "2: this is no command: Anna gets apple\n");
}

static void test_where_lines_begin(void **state)
{
    (void)state;
    const char *why = "a command begins in the first column, what happened behind two spaces";
    char expected[120];
    snprintf(expected, sizeof(expected), "2: %s\n", why);
    refused(CLUSTER " status\n", expected);
    refused(CLUSTER "   done\n", expected);
    refused(CLUSTER "\tdone\n", expected);
    refused("  done\n", "1: what happened stands below a command\n");
}

static void test_the_cluster_comes_first_and_once(void **state)
{
    (void)state;
    refused("", "1: the story has no cluster\n");
    refused("# nothing\nseed 4\n", "2: the story has no cluster\n");
    refused("node1 is killed\n",
            "1: a story begins with its cluster: \"cluster of 3 nodes, 3 copies, R=2, W=2\"\n");
    refused(CLUSTER CLUSTER, "2: the cluster is there already\n");
    refused(CLUSTER "seed 4\n", "2: the seed comes before the cluster\n");
}

static void test_clusters_that_cannot_be(void **state)
{
    (void)state;
    refused("cluster of 0 nodes, 1 copy, R=1, W=1\n", "1: a cluster has 1 to 9 nodes\n");
    refused("cluster of 10 nodes, 3 copies, R=2, W=2\n", "1: a cluster has 1 to 9 nodes\n");
    refused("cluster of 2 nodes, 3 copies, R=2, W=2\n", "1: 3 copies need as many nodes\n");
    refused("cluster of 3 nodes, 3 copies, R=1, W=2\n", "1: W + R > N does not hold: 2 + 1 > 3\n");
    refused("cluster of 3 nodes, 3 copies, R=2, W=2, 0 partitions\n",
            "1: a cluster has 1 to 65536 partitions\n");
}

static void test_names(void **state)
{
    (void)state;
    refused(CLUSTER "node4 is killed\n", "2: there is no node4: the cluster has node1 to node3\n");
    refused(CLUSTER "node0 starts\n", "2: there is no node0: the cluster has node1 to node3\n");
    refused(CLUSTER "anna is killed\n", "2: \"anna\" is neither the manager nor a node\n");
    refused(CLUSTER "manager gets apple\n", "2: \"manager\" is no name for a client\n");
    refused(CLUSTER "node1 gets apple\n",
            "2: \"node1\" is no name for a client: up to 15 small letters\n");
    refused(CLUSTER "a gets k\nb gets k\nc gets k\nd gets k\ne gets k\nf gets k\ng gets k\n",
            "8: g is one client too many: 6 are possible\n");
    refused(CLUSTER "node1 does not hear node1\n", "2: one and the same\n");
}

static void test_calls_in_order(void **state)
{
    (void)state;
    refused(CLUSTER "anna hears\n", "2: anna has begun nothing to hear of\n");
    refused(CLUSTER "anna begins to put k = v\nanna gets k\n",
            "3: anna waits for an answer: \"anna hears\" comes first\n");
    refused(CLUSTER "anna begins to delete k\nanna hears\nanna hears\n",
            "4: anna has begun nothing to hear of\n");
    refused(CLUSTER "anna gets k\nanna puts k = v, having seen what she read\n",
            "3: anna has not read all of k before\n");
    refused(CLUSTER "anna gets all of k\nben deletes k, having seen what he read\n",
            "3: ben has not read all of k before\n");
}

static void test_numbers(void **state)
{
    (void)state;
    refused(CLUSTER "wait 200000000 s\n", "2: so long a time is not possible\n");
    refused(CLUSTER "anna puts k = v, 0 times\n", "2: 1 to 1000 times are possible\n");
}

static void test_text_that_is_none(void **state)
{
    (void)state;
    char *transcript;
    assert_int_equal(story_play(slice_of("cluster\0of", 10), NULL, &transcript), 2);
    assert_string_equal(transcript, "1: this is no story: too long, or no text\n");
    free(transcript);
}

/* What a command says happened is not read, only compared: the transcript has what did happen. */
static void test_a_story_is_its_own_expectation(void **state)
{
    (void)state;
    plays(CLUSTER "# a comment, and an empty line\n\n"
                  "anna puts k = a, b = c\n"
                  "  done, coordinated by node2, 2 owners\n"
                  "anna gets k\n"
                  "  a, b = c\n");
    plays_as(CLUSTER "anna gets k\n  something\n", CLUSTER "anna gets k\n  not found\n");
    plays_as(CLUSTER "anna gets k", CLUSTER "anna gets k\n  not found\n");
}

/* The words behind a value belong to the sentence, if they make one. */
static void test_values_end_where_the_sentence_goes_on(void **state)
{
    (void)state;
    plays(CLUSTER "anna gets all of k\n"
                  "  not found\n"
                  "anna puts k = v, having seen what she read\n"
                  "  done, coordinated by node2, 2 owners\n"
                  "ben puts k = v, having seen what is there\n"
                  "  done, coordinated by node2, 2 owners\n"
                  "ben gets all of k\n"
                  "  v, having seen what is there\n"
                  "ben puts k = 3 times, 2 times\n"
                  "  2 times: done, coordinated by node2, 2 owners\n"
                  "ben gets k\n"
                  "  3 times\n");
}

/* Another seed is another run, and the same one each time. */
static void test_seeds(void **state)
{
    (void)state;
    static const char *const text = "seed 7\n" CLUSTER "anna puts k = v\nwhat is where: k\n";
    char *first = played(text, 0), *again = played(text, 0);
    assert_string_equal(first, again);
    free(first);
    free(again);
}

/* What stood still goes on with what came meanwhile, in order. */
static void test_standing_still(void **state)
{
    (void)state;
    plays("cluster of 1 node, 1 copy, R=1, W=1\n"
          "anna gets k\n"
          "  not found\n"
          "node1 stands still\n"
          "anna begins to put k = v\n"
          "wait 100 ms\n"
          "what is where: k\n"
          "  node1: nothing\n"
          "node1 goes on\n"
          "anna hears\n"
          "  done, coordinated by node1, 1 owner\n");
}

/* A commit is on disk and nobody was told. */
static void test_killed_after_the_sync(void **state)
{
    (void)state;
    plays("cluster of 1 node, 1 copy, R=1, W=1\n"
          "anna gets k\n"
          "  not found\n"
          "node1 is killed when its next write is synced, before it says so\n"
          "anna begins to put k = v\n"
          "wait 1 s\n"
          "  node1 has ended: killed when its write was synced, before it said so\n"
          "node1 starts\n"
          "  node1 is ready\n"
          "what is where: k\n"
          "  node1: v\n"
          "anna hears\n"
          "  done, coordinated by node1, 1 owner, known from an attempt before\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_that_is_no_command),
        cmocka_unit_test(test_where_lines_begin),
        cmocka_unit_test(test_the_cluster_comes_first_and_once),
        cmocka_unit_test(test_clusters_that_cannot_be),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_calls_in_order),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_text_that_is_none),
        cmocka_unit_test(test_a_story_is_its_own_expectation),
        cmocka_unit_test(test_values_end_where_the_sentence_goes_on),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_standing_still),
        cmocka_unit_test(test_killed_after_the_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
