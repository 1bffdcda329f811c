/* The real disk, on files in a folder of its own. */
#include "engine/disk.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/wal.h"

struct place {
    char root[64];   /* removed at the end */
    char folder[96]; /* the data folder, two levels below, at first absent */
    char holder[DISK_HOLDER_BYTES];
};

static int place_make(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    strcpy(p->root, "/tmp/gtstore-disk-XXXXXX");
    if (!mkdtemp(p->root))
        return -1;
    snprintf(p->folder, sizeof(p->folder), "%s/a/data", p->root);
    *state = p;
    return 0;
}

static int place_remove(void **state)
{
    struct place *p = *state;
    char command[256];
    snprintf(command, sizeof(command), "chmod -R u+rwX %s && rm -r %s", p->root, p->root);
    int result = system(command);
    free(p);
    return result;
}

static struct disk *place_open(struct place *p)
{
    struct disk *d = NULL;
    assert_int_equal(disk_posix_new(p->folder, "gtstore-node node1", NULL, &d, p->holder), 0);
    return d;
}

/* In the place of libc's: fails when it is told to. */
static unsigned fsync_fails_at; /* this call from now on, 1 is the next; 0: none */

int fsync(int fd)
{
    if (fsync_fails_at > 0 && --fsync_fails_at == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void a_folder_that_may_not_be_durable_is_refused(void **state)
{
    struct place *p = *state;
    struct disk *d;
    for (unsigned nth = 1; nth <= 2; nth++) { /* two folders are made */
        fsync_fails_at = nth;
        assert_int_equal(disk_posix_new(p->folder, "x", NULL, &d, p->holder), GT_EPOISONED);
        assert_non_null(strstr(p->holder, "cannot sync the folder above"));
        assert_int_equal(fsync_fails_at, 0);
        assert_int_not_equal(access(p->folder, F_OK), 0); /* the next start makes it anew */
    }
    d = place_open(p);
    d->destroy(d);
}

static void too_many_open_files_are_no_failed_disk(void **state)
{
    struct place *p = *state;
    struct disk *d = place_open(p);
    struct disk_file *f;
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = d->open(d, "f", true, &f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(error, GT_EDESCRIPTORS);
    d->destroy(d);
}

static void the_folder_is_made_for_the_owner_alone(void **state)
{
    struct place *p = *state;
    struct stat facts;
    struct disk *d = place_open(p);
    assert_int_equal(stat(p->folder, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    d->destroy(d);
    d = place_open(p); /* and used again when it exists */
    d->destroy(d);
}

static void a_second_user_is_told_who_holds_the_folder(void **state)
{
    struct place *p = *state;
    struct disk *first = place_open(p), *second;
    char want[64];
    snprintf(want, sizeof(want), "pid %ld gtstore-node node1", (long)getpid());
    assert_int_equal(disk_posix_new(p->folder, "gtstore-node node2", NULL, &second, p->holder),
                     GT_ELOCKED);
    assert_string_equal(p->holder, want);
    first->destroy(first);
    /* The lock ends with its holder; a longer line of an earlier one leaves nothing behind. */
    assert_int_equal(disk_posix_new(p->folder, "x", NULL, &second, p->holder), 0);
    assert_int_equal(disk_posix_new(p->folder, "y", NULL, &first, p->holder), GT_ELOCKED);
    snprintf(want, sizeof(want), "pid %ld x", (long)getpid());
    assert_string_equal(p->holder, want);
    second->destroy(second);
}

/* The lines of a holder are for people: when they are gone it still holds the folder. */
static void a_holder_without_lines_holds_it_too(void **state)
{
    struct place *p = *state;
    struct disk *first = place_open(p), *second;
    char path[160];
    snprintf(path, sizeof(path), "%s/node.lock", p->folder);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(disk_posix_new(p->folder, "x", NULL, &second, p->holder), GT_ELOCKED);
    assert_string_equal(p->holder, "another process");
    first->destroy(first);
}

/* A holder that is dead, of which something is left that has the lock still, as of a process with
 * many threads that was killed: here a child of it. Who comes waits for that. */
static void a_holder_that_is_ending_is_waited_for(void **state)
{
    struct place *p = *state;
    struct disk *d;
    int status;
    pid_t holder = fork();
    assert_true(holder >= 0);
    if (holder == 0) {
        struct disk *held;
        if (disk_posix_new(p->folder, "x", NULL, &held, p->holder) != 0)
            _exit(1);
        pid_t rest = fork();
        if (rest == 0)
            poll(NULL, 0, 300); /* keeps the lock, and ends by itself */
        _exit(rest < 0);
    }
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(disk_posix_new(p->folder, "y", NULL, &d, p->holder), 0);
    d->destroy(d);
}

/* However its name is written. */
static void a_folder_may_end_in_slashes(void **state)
{
    struct place *p = *state;
    struct disk *d;
    char path[160];
    snprintf(path, sizeof(path), "%s///", p->folder);
    assert_int_equal(disk_posix_new(path, "x", NULL, &d, p->holder), 0);
    struct disk_file *f;
    assert_int_equal(d->open(d, "file", true, &f), 0);
    d->close(d, f);
    d->destroy(d);
    snprintf(path, sizeof(path), "%s/file", p->folder);
    assert_int_equal(access(path, F_OK), 0);
}

static void lock_read(const struct place *p, char text[256])
{
    char path[160];
    snprintf(path, sizeof(path), "%s/node.lock", p->folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, 255, f)] = 0;
    fclose(f);
}

/* Another file of the same bytes, as a copy of the folder has it. */
static void lock_replace(const struct place *p, const char *text)
{
    char path[160], other[160];
    snprintf(path, sizeof(path), "%s/node.lock", p->folder);
    snprintf(other, sizeof(other), "%s/other", p->folder);
    FILE *f = fopen(other, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
    assert_int_equal(rename(other, path), 0);
}

static void a_copy_of_a_folder_in_use_is_known_until_that_is_durable(void **state)
{
    struct place *p = *state;
    char working[256], text[256];
    struct disk *d = place_open(p);
    assert_false(d->copied);
    lock_read(p, working);
    d->destroy(d);
    lock_read(p, text);
    assert_string_equal(text, ""); /* an orderly end */
    lock_replace(p, working);
    for (int start = 0; start < 2; start++) { /* also when the first one ends too early */
        d = place_open(p);
        assert_true(d->copied);
        d->destroy(d);
    }
    d = place_open(p);
    assert_int_equal(d->copy_known(d), 0);
    assert_false(d->copied);
    lock_read(p, text);
    d->destroy(d);
    /* The lock of a process that was killed is no copy; nor is that of an earlier version. */
    char path[160];
    snprintf(path, sizeof(path), "%s/node.lock", p->folder);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
    d = place_open(p);
    assert_false(d->copied);
    d->destroy(d);
    lock_replace(p, "pid 12 gtstore-node node1\n");
    d = place_open(p);
    assert_false(d->copied);
    d->destroy(d);
}

static void a_folder_that_cannot_be_made_is_named_with_the_cause(void **state)
{
    struct place *p = *state;
    struct disk *d;
    char file[80], folder[160], want[256];
    snprintf(file, sizeof(file), "%s/file", p->root);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    snprintf(folder, sizeof(folder), "%s/data", file);
    assert_int_equal(disk_posix_new(folder, "x", NULL, &d, p->holder), GT_EIO);
    snprintf(want, sizeof(want), "cannot create %s: Not a directory", folder);
    assert_string_equal(p->holder, want);
    assert_int_equal(disk_posix_new(file, "x", NULL, &d, p->holder), GT_EIO);
    snprintf(want, sizeof(want), "cannot open folder %s: Not a directory", file);
    assert_string_equal(p->holder, want);
    assert_int_equal(disk_posix_new("", "x", NULL, &d, p->holder), GT_EIO);
}

static void an_unwritable_folder_is_refused_with_the_cause(void **state)
{
    struct place *p = *state;
    struct disk *d = place_open(p);
    d->destroy(d);
    char lock[128], want[256];
    snprintf(lock, sizeof(lock), "%s/node.lock", p->folder);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(chmod(p->folder, 0500), 0);
    if (access(p->folder, W_OK) == 0)
        skip(); /* root may write anywhere */
    assert_int_equal(disk_posix_new(p->folder, "x", NULL, &d, p->holder), GT_EIO);
    snprintf(want, sizeof(want), "cannot create %s: Permission denied", lock);
    assert_string_equal(p->holder, want);
}

static void bytes_are_read_back_up_to_the_end(void **state)
{
    struct place *p = *state;
    struct disk *d = place_open(p);
    struct disk_file *f;
    char data[16] = {0};
    size_t got;
    uint64_t bytes;
    assert_int_equal(d->open(d, "f", false, &f), GT_ENOTFOUND);
    assert_int_equal(d->open(d, "f", true, &f), 0);
    assert_int_equal(d->write(d, f, 5, "hello", 5), 0);
    assert_int_equal(d->sync(d, f), 0);
    assert_int_equal(d->drop_cache(d, f), 0);
    assert_int_equal(d->size(d, f, &bytes), 0);
    assert_int_equal(bytes, 10);
    assert_int_equal(d->read(d, f, 4, data, sizeof(data), &got), 0);
    assert_int_equal(got, 6);
    assert_memory_equal(data, "\0hello", 6);
    assert_int_equal(d->read(d, f, 10, data, sizeof(data), &got), 0);
    assert_int_equal(got, 0);
    d->close(d, f);
    assert_int_equal(d->open(d, "f", true, &f), 0); /* truncates */
    assert_int_equal(d->size(d, f, &bytes), 0);
    assert_int_equal(bytes, 0);
    d->close(d, f);
    d->destroy(d);
}

struct names {
    char text[256];
    unsigned count, stop_at;
};

static int names_add(void *arg, const char *name)
{
    struct names *n = arg;
    strcat(strcat(n->text, name), " ");
    return ++n->count == n->stop_at ? 7 : 0;
}

static void a_folder_lists_its_plain_files(void **state)
{
    struct place *p = *state;
    struct disk *d = place_open(p);
    struct disk_file *f;
    struct names names = {.stop_at = 99};
    assert_int_equal(d->list(d, "wal", names_add, &names), GT_ENOTFOUND);
    assert_int_equal(d->make_folder(d, "wal"), 0);
    assert_int_equal(d->make_folder(d, "wal"), 0);
    assert_int_equal(d->make_folder(d, "wal/deeper"), 0);
    assert_int_equal(d->open(d, "wal/one", true, &f), 0);
    d->close(d, f);
    assert_int_equal(d->sync_folder(d, "wal"), 0);
    assert_int_equal(d->sync_folder(d, ""), 0);
    assert_int_equal(d->sync_folder(d, "none"), GT_ENOTFOUND);
    assert_int_equal(d->list(d, "wal", names_add, &names), 0);
    assert_string_equal(names.text, "one ");
    assert_int_equal(d->rename(d, "wal/one", "wal/two"), 0);
    assert_int_equal(d->rename(d, "wal/one", "wal/two"), GT_ENOTFOUND);
    names = (struct names){.stop_at = 1};
    assert_int_equal(d->list(d, "wal", names_add, &names), 7);
    assert_string_equal(names.text, "two ");
    assert_int_equal(d->remove(d, "wal/two"), 0);
    assert_int_equal(d->remove(d, "wal/two"), GT_ENOTFOUND);
    names = (struct names){.stop_at = 99};
    assert_int_equal(d->list(d, "", names_add, &names), 0);
    assert_string_equal(names.text, "node.lock ");
    assert_int_equal(d->make_folder(d, "node.lock"), GT_EIO); /* a file has that name */
    d->destroy(d);
}

static void there_is_space_and_a_boot(void **state)
{
    struct place *p = *state;
    struct disk *d = place_open(p);
    uint64_t bytes = 0;
    uint8_t one[16], two[16];
    assert_int_equal(d->space(d, &bytes), 0);
    assert_true(bytes > 0);
    disk_posix_boot_id(one);
    disk_posix_boot_id(two);
    assert_memory_equal(one, two, 16);
    d->destroy(d);
}

static int count_record(void *arg, const struct wal_record *r)
{
    (void)r;
    ++*(unsigned *)arg;
    return 0;
}

static void a_log_lives_on_the_real_disk(void **state)
{
    struct place *p = *state;
    struct disk *d = place_open(p);
    struct wal_report report;
    struct wal_segment segment;
    struct buf body;
    uint32_t chain = 0;
    unsigned count = 0;
    assert_int_equal(wal_recover(d, NULL, 0, 0, false, count_record, &count, &report), 0);
    assert_int_equal(wal_segment_make(d, 1, WAL_SEGMENT_BYTES_MIN, 99, 0, &segment), 0);
    wal_body_init(&body, 100);
    wal_record_begin(&body, 1, 5);
    buf_put(&body, "hello", 5);
    assert_int_equal(wal_batch_seal(&body, 0, 1, 1, &segment, WAL_BLOCK, &chain), 0);
    assert_int_equal(d->write(d, segment.file, WAL_BLOCK, body.data, body.bytes), 0);
    assert_int_equal(d->sync(d, segment.file), 0);
    buf_close(&body);
    wal_segment_close(d, &segment);
    d->destroy(d);
    d = place_open(p);
    assert_int_equal(wal_recover(d, NULL, 1, 0, false, count_record, &count, &report), 0);
    assert_int_equal(count, 1);
    assert_int_equal(report.chain, chain);
    assert_false(report.tail || report.middle);
    d->destroy(d);
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_DISK(the_folder_is_made_for_the_owner_alone),
        ON_DISK(a_folder_that_may_not_be_durable_is_refused),
        ON_DISK(too_many_open_files_are_no_failed_disk),
        ON_DISK(a_second_user_is_told_who_holds_the_folder),
        ON_DISK(a_holder_without_lines_holds_it_too),
        ON_DISK(a_holder_that_is_ending_is_waited_for),
        ON_DISK(a_folder_may_end_in_slashes),
        ON_DISK(a_copy_of_a_folder_in_use_is_known_until_that_is_durable),
        ON_DISK(a_folder_that_cannot_be_made_is_named_with_the_cause),
        ON_DISK(an_unwritable_folder_is_refused_with_the_cause),
        ON_DISK(bytes_are_read_back_up_to_the_end),
        ON_DISK(a_folder_lists_its_plain_files),
        ON_DISK(there_is_space_and_a_boot),
        ON_DISK(a_log_lives_on_the_real_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
