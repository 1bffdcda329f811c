/* How a process ends that must not go on: by a line that says where and why, and a code. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/assert.h"
#include "engine/base/descriptors.h"
#include "engine/base/stdio.h"

#define ABORTED 42 /* what the child ends with when it aborts */

static void on_abort(int number)
{
    (void)number;
    _exit(ABORTED);
}

static char said[512];

/* The exit code of a child that does this; what it says on stderr is in `said`. */
static int child_run(void (*act)(void))
{
    int ends[2], status;
    fflush(NULL);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        signal(SIGABRT, on_abort);
        act();
        _exit(0);
    }
    close(ends[1]);
    size_t bytes = 0;
    for (ssize_t n; (n = read(ends[0], said + bytes, sizeof(said) - 1 - bytes)) > 0;)
        bytes += (size_t)n;
    said[bytes] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_what_holds(void)
{
    int two = 2, *pointer = &two;
    gt_assert(two == 2);
    gt_memory(pointer);
}

static void assert_what_does_not(void)
{
    int two = 2;
    gt_assert(two == 3);
}

static void come_where_nobody_comes(void)
{
    gt_unreachable("kind %d", 7);
}

static void have_no_memory(void)
{
    void *none = NULL;
    gt_memory(none);
}

static void an_assertion_that_fails_aborts_by_a_line(void **unused)
{
    (void)unused;
    assert_int_equal(child_run(assert_what_holds), 0);
    assert_string_equal(said, "");
    assert_int_equal(child_run(assert_what_does_not), ABORTED);
    assert_non_null(strstr(said, "base_assert_test.c:"));
    assert_non_null(strstr(said, ": assertion failed: two == 3"));
    assert_int_equal(child_run(come_where_nobody_comes), ABORTED);
    assert_non_null(strstr(said, ": assertion failed: unreachable kind 7\n"));
}

static void without_memory_for_an_answer_it_ends_by_a_code_of_its_own(void **unused)
{
    (void)unused;
    assert_int_equal(child_run(have_no_memory), EXIT_MEMORY);
    assert_non_null(strstr(said, "out of memory ("));
    assert_non_null(strstr(said, "what was acknowledged is safe; start again\n"));
}

/* ---- what the programs do before all else ---------------------------------------------------- */

/* Who reads from a closed stdin, or writes to a closed stdout, is told so. */
static void open_what_is_closed(void)
{
    char byte = 0;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    stdio_open();
    bool taken = fcntl(STDIN_FILENO, F_GETFD) >= 0 && fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    bool told = read(STDIN_FILENO, &byte, 1) < 0 && write(STDOUT_FILENO, &byte, 1) < 0;
    _exit(taken && told && open("/dev/null", O_RDONLY) > STDERR_FILENO ? 0 : 1);
}

static void closed_descriptors_are_taken(void **unused)
{
    (void)unused;
    assert_int_equal(child_run(open_what_is_closed), 0);
}

static void raise_the_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 20;
    setrlimit(RLIMIT_NOFILE, &limit);
    unsigned few = descriptors_free(100), most = descriptors_free(3);
    descriptors_raise();
    getrlimit(RLIMIT_NOFILE, &limit);
    bool raised = limit.rlim_cur == limit.rlim_max;
    descriptors_raise(); /* there is nothing to raise */
    _exit(few < 20 && few > 0 && most == 3 && raised && descriptors_free(few + 1) == few + 1 ? 0
                                                                                             : 1);
}

static void the_limit_of_open_files_is_raised(void **unused)
{
    (void)unused;
    assert_int_equal(child_run(raise_the_limit), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assertion_that_fails_aborts_by_a_line),
        cmocka_unit_test(without_memory_for_an_answer_it_ends_by_a_code_of_its_own),
        cmocka_unit_test(closed_descriptors_are_taken),
        cmocka_unit_test(the_limit_of_open_files_is_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
