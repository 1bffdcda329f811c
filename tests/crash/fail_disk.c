/*
 * The pages that a failed sync would lose: of each page that was written since the last good sync
 * of its file, what the disk holds.
 *
 *   absent --written--> DIRTY --sync, 0-----> absent
 *                         ^ '--sync, error--> LOST --fail_lose: the disk's bytes are written back
 *                         '------written--------'
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/fail_private.h"

#define PAGE_BYTES 4096u
#define PAGES_MAX  8192u

enum page_state { PAGE_FREE, PAGE_DIRTY, PAGE_LOST };

struct page {
    dev_t device;
    ino_t file;
    uint64_t number;
    enum page_state state;
    uint8_t bytes[PAGE_BYTES]; /* what the disk holds; zeros behind the end of the file */
};

static struct page pages[PAGES_MAX]; /* the first page_count may be in use */
static uint32_t page_count;

void pages_forget_all(void)
{
    page_count = 0;
}

static bool page_is_of(const struct page *p, const struct stat *file)
{
    return p->state != PAGE_FREE && p->device == file->st_dev && p->file == file->st_ino;
}

static struct page *page_find(const struct stat *file, uint64_t number)
{
    for (uint32_t i = 0; i < page_count; i++)
        if (page_is_of(&pages[i], file) && pages[i].number == number)
            return &pages[i];
    return NULL;
}

static struct page *page_free(void)
{
    for (uint32_t i = 0; i < page_count; i++)
        if (pages[i].state == PAGE_FREE)
            return &pages[i];
    if (page_count == PAGES_MAX) {
        static const char line[] = "fail: more pages between two syncs than are kept\n";
        (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
        _exit(2);
    }
    return &pages[page_count++];
}

static void page_keep(int fd, const struct stat *file, uint64_t number)
{
    struct page *p = page_free();
    p->device = file->st_dev;
    p->file = file->st_ino;
    p->number = number;
    p->state = PAGE_DIRTY;
    ssize_t n = REAL(pread)(fd, p->bytes, PAGE_BYTES, (off_t)(number * PAGE_BYTES));
    memset(p->bytes + (n > 0 ? n : 0), 0, PAGE_BYTES - (size_t)(n > 0 ? n : 0));
}

void pages_written(int fd, off_t offset, size_t bytes, bool durable)
{
    struct stat file;
    if (bytes == 0 || REAL(fstat)(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return;
    uint64_t first = (uint64_t)offset / PAGE_BYTES,
             last = ((uint64_t)offset + bytes - 1) / PAGE_BYTES;
    for (uint64_t number = first; number <= last; number++) {
        struct page *p = page_find(&file, number);
        if (durable && p)
            p->state = PAGE_FREE;
        else if (p)
            p->state = PAGE_DIRTY;
        else if (!durable)
            page_keep(fd, &file, number);
    }
}

/* Those of the file that are dirty become so; with all those that are lost as well. */
static void pages_turn(int fd, enum page_state to, bool all)
{
    struct stat file;
    if (REAL(fstat)(fd, &file) != 0)
        return;
    for (uint32_t i = 0; i < page_count; i++)
        if (page_is_of(&pages[i], &file) && (all || pages[i].state == PAGE_DIRTY))
            pages[i].state = to;
}

void pages_synced(int fd)
{
    pages_turn(fd, PAGE_FREE, false);
}

void pages_lost(int fd)
{
    pages_turn(fd, PAGE_LOST, false);
}

void pages_forget(int fd)
{
    pages_turn(fd, PAGE_FREE, true);
}

static uint32_t pages_undone;

static int file_lose(const char *path, const struct stat *facts, int type, struct FTW *at)
{
    (void)at;
    if (type != FTW_F || !S_ISREG(facts->st_mode))
        return 0;
    int fd = REAL(open)(path, O_WRONLY);
    if (fd < 0)
        return -1;
    for (uint32_t i = 0; i < page_count; i++) {
        struct page *p = &pages[i];
        off_t offset = (off_t)(p->number * PAGE_BYTES);
        if (!page_is_of(p, facts) || p->state != PAGE_LOST || offset >= facts->st_size)
            continue;
        size_t bytes = (size_t)(facts->st_size - offset);
        bytes = bytes < PAGE_BYTES ? bytes : PAGE_BYTES;
        pages_undone += REAL(pwrite)(fd, p->bytes, bytes, offset) == (ssize_t)bytes;
    }
    close(fd);
    return 0;
}

uint32_t fail_lose(const char *folder)
{
    pages_undone = names_lose();
    if (nftw(folder, file_lose, 8, FTW_PHYS) != 0) {
        perror(folder);
        exit(2);
    }
    page_count = 0;
    return pages_undone;
}
