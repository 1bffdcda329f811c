/* What all daemons share: whose folder it is, and what a failure makes of the exit code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "net/daemon_uv.h"

#define SEGMENT_BYTES 65536
#define MAP_BYTES     (1u << 24)

static char folder[64];

static int make_folder(void **unused)
{
    (void)unused;
    strcpy(folder, "/tmp/net_daemon_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **unused)
{
    (void)unused;
    char command[100];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void begin(struct daemon *d, const char *role)
{
    char name[] = "test", *argv[] = {name, NULL};
    daemon_begin(d, role, "127.0.0.1:0", argv);
    d->options.data_dir = folder;
    d->options.log_level = LOG_ERROR;
}

static void a_folder_is_of_one_role(void **unused)
{
    (void)unused;
    struct daemon d;
    begin(&d, "manager");
    assert_int_equal(daemon_folder_open(&d, NULL, SEGMENT_BYTES, MAP_BYTES), 0);
    assert_int_equal(daemon_close(&d), 0);
    begin(&d, "node");
    assert_int_equal(daemon_folder_open(&d, NULL, SEGMENT_BYTES, MAP_BYTES), GT_EFORMAT);
    assert_int_equal(daemon_close(&d), 1);
    begin(&d, "manager");
    assert_int_equal(daemon_folder_open(&d, NULL, SEGMENT_BYTES, MAP_BYTES), 0);
    assert_int_equal(daemon_close(&d), 0);
}

static void two_daemons_do_not_share_a_folder(void **unused)
{
    (void)unused;
    struct daemon first, second;
    begin(&first, "node");
    assert_int_equal(daemon_folder_open(&first, "n1", SEGMENT_BYTES, MAP_BYTES), 0);
    begin(&second, "node");
    assert_int_equal(daemon_folder_open(&second, "n2", SEGMENT_BYTES, MAP_BYTES), GT_ELOCKED);
    assert_int_equal(daemon_close(&second), 1);
    assert_int_equal(daemon_close(&first), 0);
}

static int exit_code_of(int (*failing)(struct daemon *d, int error, const char *what), int error)
{
    struct daemon d;
    begin(&d, "node");
    failing(&d, error, "test: ");
    return daemon_close(&d);
}

static int fail_plainly(struct daemon *d, int error, const char *what)
{
    return daemon_fail(d, error, "%s%s", what, error_text(error));
}

static void a_failed_disk_ends_as_a_poisoned_log_does(void **unused)
{
    (void)unused;
    assert_int_equal(exit_code_of(daemon_fail_storage, GT_EIO), EXIT_DISK);
    assert_int_equal(exit_code_of(daemon_fail_storage, GT_EPOISONED), EXIT_DISK);
    assert_int_equal(exit_code_of(daemon_fail_storage, GT_ENOSPACE), 1);
    assert_int_equal(exit_code_of(daemon_fail_storage, GT_ECORRUPT), 1);
    /* Input and output of anything else: no disk is accused. */
    assert_int_equal(exit_code_of(fail_plainly, GT_EIO), 1);
    assert_int_equal(exit_code_of(fail_plainly, GT_EARG), 2);
    assert_int_equal(exit_code_of(fail_plainly, GT_EUNREACHABLE), 6);
}

static void the_first_failure_decides(void **unused)
{
    (void)unused;
    struct daemon d;
    begin(&d, "node");
    daemon_fail_storage(&d, GT_EIO, "");
    daemon_fail(&d, GT_EUNREACHABLE, "no manager");
    assert_int_equal(daemon_close(&d), EXIT_DISK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_is_of_one_role, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(two_daemons_do_not_share_a_folder, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_failed_disk_ends_as_a_poisoned_log_does, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_first_failure_decides, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
