#include "bench/machine_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define SECTOR_BYTES   512u
#define SETTLE_TRIES   90     /* seconds */
#define QUIET_BYTES    65536u /* a second in which no more is written is quiet */
#define FOLDER_FDS_MAX 16

uint64_t machine_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t machine_anon_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "RssAnon: %llu", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

bool machine_device_bytes(const char *folder, uint64_t *bytes)
{
    struct stat st;
    char path[64];
    unsigned long long sectors;
    if (stat(folder, &st) != 0)
        return false;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(st.st_dev), minor(st.st_dev));
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    /* The seventh number: sectors written (Documentation/block/stat.rst of the kernel). */
    bool read = fscanf(file, "%*u %*u %*u %*u %*u %*u %llu", &sectors) == 1;
    fclose(file);
    *bytes = read ? sectors * SECTOR_BYTES : 0;
    return read;
}

/* nftw gives its callback no argument, and is called by the main thread alone. */
static struct {
    uint64_t log, rest;
} found;

static int each_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    if (type != FTW_F)
        return 0;
    size_t length = strlen(path);
    bool log = strstr(path, "/wal/") || (length > 4 && strcmp(path + length - 4, ".log") == 0);
    *(log ? &found.log : &found.rest) += (uint64_t)st->st_blocks * SECTOR_BYTES;
    (void)at;
    return 0;
}

void machine_disk_bytes(const char *folder, uint64_t *log, uint64_t *rest)
{
    found.log = found.rest = 0;
    nftw(folder, each_file, FOLDER_FDS_MAX, FTW_PHYS);
    *log = found.log;
    *rest = found.rest;
}

static void file_system_sync(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    syncfs(fd);
    close(fd);
}

double machine_settle(const char *folder)
{
    const struct timespec second = {.tv_sec = 1};
    uint64_t before, now, wrote = 0;
    for (int i = 0; i < SETTLE_TRIES; i++) {
        file_system_sync(folder);
        if (!machine_device_bytes(folder, &before))
            return 0;
        nanosleep(&second, NULL); /* a second is what is measured */
        if (!machine_device_bytes(folder, &now))
            return 0;
        wrote = now - before;
        if (wrote <= QUIET_BYTES)
            break;
    }
    return (double)wrote;
}

static uint64_t time_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

uint64_t machine_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return time_us(usage.ru_utime) + time_us(usage.ru_stime);
}

static bool thread_read(const char *tid, char name[32], uint64_t *cpu_us)
{
    char path[320], line[512];
    unsigned long long user, system;
    snprintf(path, sizeof(path), "/proc/self/task/%s/stat", tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    char *open = read ? strchr(line, '(') : NULL, *close = read ? strrchr(line, ')') : NULL;
    if (!open || !close ||
        sscanf(close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &system) != 2)
        return false;
    *close = 0;
    snprintf(name, 32, "%.31s", open + 1);
    *cpu_us = (user + system) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return true;
}

void machine_threads(void (*each)(void *arg, const char *name, uint64_t cpu_us), void *arg)
{
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    char name[32];
    uint64_t cpu_us;
    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.' && thread_read(entry->d_name, name, &cpu_us))
            each(arg, name, cpu_us);
    if (folder)
        closedir(folder);
}
