#include "engine/meta_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define META_BYTES   152u
#define META_FLAG    8u
#define META_MAGIC   0xBEEFC0DEu
#define META_VERSION 1u

struct meta {
    uint8_t bytes[META_BYTES];
};

static bool is_sound(const struct meta *m, uint64_t page, uint32_t page_bytes)
{
    uint64_t number;
    uint16_t flags;
    uint32_t magic, version, bytes;
    memcpy(&number, m->bytes, sizeof(number));
    memcpy(&flags, m->bytes + 10, sizeof(flags));
    memcpy(&magic, m->bytes + 16, sizeof(magic));
    memcpy(&version, m->bytes + 20, sizeof(version));
    memcpy(&bytes, m->bytes + 40, sizeof(bytes));
    return number == page && flags & META_FLAG && magic == META_MAGIC && version == META_VERSION &&
           bytes == page_bytes;
}

static int mend(int fd, const struct meta *sound, uint64_t page, uint32_t page_bytes)
{
    struct meta copy = *sound;
    memcpy(copy.bytes, &page, sizeof(page));
    ssize_t n = pwrite(fd, copy.bytes, META_BYTES, (off_t)(page * page_bytes));
    if (n != META_BYTES)
        return n < 0 ? errno : EIO;
    return fdatasync(fd) == 0 ? 0 : errno;
}

int meta_lmdb_mend(const char *path, bool *mended)
{
    *mended = false;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    struct meta pages[2];
    bool sound[2];
    uint32_t page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    bool whole = true;
    int cause = 0;
    for (uint64_t i = 0; i < 2; i++) {
        whole =
            whole && pread(fd, pages[i].bytes, META_BYTES, (off_t)(i * page_bytes)) == META_BYTES;
        sound[i] = whole && is_sound(&pages[i], i, page_bytes);
    }
    if (whole && sound[0] != sound[1]) {
        uint64_t bad = sound[0] ? 1 : 0;
        cause = mend(fd, &pages[1 - bad], bad, page_bytes);
        *mended = cause == 0;
    }
    close(fd);
    return cause;
}
