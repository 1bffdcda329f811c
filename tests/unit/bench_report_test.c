/*
 * What the benchmark says: the CSV, text for text, and totals that are the sum of the seconds.
 */
#include "bench/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/plot.h"

struct story {
    struct report report;
    struct buf text;
};

static int setup(void **state)
{
    struct story *s = calloc(1, sizeof(*s));
    report_init(&s->report, WORKLOAD_MIXED);
    buf_init(&s->text, 65536);
    *state = s;
    return s ? 0 : -1;
}

static int teardown(void **state)
{
    struct story *s = *state;
    buf_close(&s->text);
    free(s);
    return 0;
}

/* Operations that took low, low+1, ... high microseconds. */
static void answered(struct story *s, enum workload_verb verb, uint64_t low, uint64_t high)
{
    for (uint64_t us = low; us <= high; us++)
        hist_add(&s->report.second[verb].latency_us, us);
}

static void assert_text(struct story *s, const char *want)
{
    buf_u8(&s->text, 0);
    assert_false(s->text.failed);
    assert_string_equal((const char *)s->text.data, want);
    buf_clear(&s->text);
}

static void the_header_is_the_contract(void **state)
{
    struct story *s = *state;
    report_header(&s->text);
    assert_text(s, "time_s,op,count,ops_per_s,mean_us,p50_us,p90_us,p99_us,p999_us,max_us,"
                   "errors\n");
}

static void a_second_has_one_row_for_each_operation(void **state)
{
    struct story *s = *state;
    answered(s, WORKLOAD_VERB_GET, 1, 50);
    answered(s, WORKLOAD_VERB_PUT, 60, 61);
    s->report.second[WORKLOAD_VERB_PUT].errors = 3;
    report_second(&s->report, 1, 0.5, &s->text);
    assert_text(s, "1,get,50,100.0,25.5,25,45,50,50,50,0\n"
                   "1,put,2,4.0,60.5,60,61,61,61,61,3\n");
}

static void an_idle_second_still_has_its_rows(void **state)
{
    struct story *s = *state;
    answered(s, WORKLOAD_VERB_GET, 1, 50);
    report_second(&s->report, 1, 1, &s->text);
    buf_clear(&s->text);
    report_second(&s->report, 2, 1, &s->text);
    assert_text(s, "2,get,0,0.0,0.0,0,0,0,0,0,0\n"
                   "2,put,0,0.0,0.0,0,0,0,0,0,0\n");
}

static void totals_are_the_sum_of_the_seconds(void **state)
{
    struct story *s = *state;
    answered(s, WORKLOAD_VERB_GET, 1, 25);
    s->report.second[WORKLOAD_VERB_GET].errors = 1;
    report_second(&s->report, 1, 1, &s->text);
    answered(s, WORKLOAD_VERB_GET, 26, 50);
    answered(s, WORKLOAD_VERB_PUT, 7, 7);
    s->report.second[WORKLOAD_VERB_GET].errors = 2;
    report_second(&s->report, 2, 1, &s->text);
    buf_clear(&s->text);
    report_totals(&s->report, 2, &s->text);
    assert_text(s, "total,get,50,25.0,25.5,25,45,50,50,50,3\n"
                   "total,put,1,0.5,7.0,7,7,7,7,7,0\n");
}

static void errors_are_counted_before_and_after_a_second_ends(void **state)
{
    struct story *s = *state;
    s->report.second[WORKLOAD_VERB_PUT].errors = 2;
    assert_int_equal(report_errors(&s->report), 2);
    report_second(&s->report, 1, 1, &s->text);
    assert_int_equal(report_errors(&s->report), 2);
}

static void a_workload_shows_its_own_operations_only(void **state)
{
    struct story *s = *state;
    report_init(&s->report, WORKLOAD_F);
    report_totals(&s->report, 1, &s->text);
    assert_text(s, "total,get,0,0.0,0.0,0,0,0,0,0,0\n"
                   "total,rmw,0,0.0,0.0,0,0,0,0,0,0\n");
}

static void a_run_of_no_time_has_no_rate(void **state)
{
    struct story *s = *state;
    report_init(&s->report, WORKLOAD_GET);
    answered(s, WORKLOAD_VERB_GET, 5, 5);
    report_second(&s->report, 1, 0, &s->text);
    assert_text(s, "1,get,1,0.0,5.0,5,5,5,5,5,0\n");
}

static void the_table_and_the_progress_line_show_the_figures(void **state)
{
    struct story *s = *state;
    report_init(&s->report, WORKLOAD_GET);
    answered(s, WORKLOAD_VERB_GET, 1, 50);
    report_progress(&s->report, 3, 1, &s->text);
    assert_text(s, "     3 s         50 ops/s   p99 50 us   errors 0");
    report_second(&s->report, 3, 1, &s->text);
    buf_clear(&s->text);
    report_table(&s->report, 1, &s->text);
    assert_text(s, "op          count        ops/s    mean us    p50 us    p90 us    p99 us "
                   " p99.9 us     max us   errors\n"
                   "get            50         50.0       25.5        25        45        50 "
                   "       50         50        0\n");
}

static void the_plot_quotes_its_file_names(void **state)
{
    struct story *s = *state;
    plot_script(s->report.shown, "it's.csv", "out.png", "t", &s->text);
    buf_u8(&s->text, 0);
    assert_non_null(strstr((const char *)s->text.data, "csv = 'it''s.csv'\n"));
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(the_header_is_the_contract),
        STORY(a_second_has_one_row_for_each_operation),
        STORY(an_idle_second_still_has_its_rows),
        STORY(totals_are_the_sum_of_the_seconds),
        STORY(errors_are_counted_before_and_after_a_second_ends),
        STORY(a_workload_shows_its_own_operations_only),
        STORY(a_run_of_no_time_has_no_rate),
        STORY(the_table_and_the_progress_line_show_the_figures),
        STORY(the_plot_quotes_its_file_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
