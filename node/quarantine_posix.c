#include "node/quarantine_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/quarantine.h"

struct file {
    FILE *out;
    uint64_t count;
};

static int line_put(void *arg, struct slice line)
{
    struct file *f = arg;
    f->count++;
    return fwrite(line.data, 1, line.bytes, f->out) == line.bytes ? 0 : GT_EIO;
}

static int folder_sync(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 || fsync(fd) != 0 ? GT_EIO : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

/* What is written is durable under its name, or is not there. */
static int file_end(struct file *f, int error, const char *folder, const char *draft,
                    const char *path)
{
    if (!error && (fflush(f->out) != 0 || fsync(fileno(f->out)) != 0))
        error = GT_EIO;
    if (fclose(f->out) != 0 && !error)
        error = GT_EIO;
    if (error || f->count == 0) {
        unlink(draft);
        return error;
    }
    if (rename(draft, path) != 0)
        return GT_EIO;
    return folder_sync(folder);
}

int quarantine_write(struct engine *e, const char *folder, char path[QUARANTINE_PATH_BYTES],
                     uint64_t *count)
{
    char draft[QUARANTINE_PATH_BYTES];
    struct file f = {0};
    unsigned long long life = engine_identity(e)->incarnation;
    *count = 0;
    if (snprintf(path, QUARANTINE_PATH_BYTES, "%s/quarantine-%016llx.jsonl", folder, life) >=
            QUARANTINE_PATH_BYTES ||
        snprintf(draft, sizeof(draft), "%s/quarantine.draft", folder) >= (int)sizeof(draft))
        return GT_ELIMIT;
    f.out = fopen(draft, "we");
    if (!f.out)
        return errno == ENOSPC ? GT_ENOSPACE : GT_EIO;
    int error = engine_quarantine(e, line_put, &f);
    error = file_end(&f, error, folder, draft, path);
    *count = error ? 0 : f.count;
    return error;
}
