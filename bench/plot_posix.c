#include "bench/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/error.h"

extern char **environ;

/* Starts gnuplot with `input` as its stdin, and waits for nothing. 0, or GT_EMISSING or GT_EIO. */
static int gnuplot_start(char *const argv[], int input, bool quiet, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (input >= 0)
        posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    if (quiet)
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(pid, "gnuplot", &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error == 0 ? 0 : error == ENOENT ? GT_EMISSING : GT_EIO;
}

static int gnuplot_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return GT_EIO;
    /* 127 is what a child reports that found no program to become. */
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return GT_EMISSING;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : GT_EIO;
}

int plot_check(void)
{
    char *argv[] = {"gnuplot", "--version", NULL};
    pid_t pid;
    int error = gnuplot_start(argv, -1, true, &pid);
    if (error == 0)
        error = gnuplot_wait(pid);
    return error == 0 ? 0 : GT_EMISSING;
}

static int write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return GT_EIO;
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int plot_run(const struct buf *script)
{
    char *argv[] = {"gnuplot", NULL};
    int ends[2];
    if (script->failed || pipe2(ends, O_CLOEXEC) != 0)
        return GT_EIO;
    pid_t pid;
    int error = gnuplot_start(argv, ends[0], false, &pid);
    close(ends[0]);
    if (error != 0) {
        close(ends[1]);
        return error;
    }
    int written = write_all(ends[1], script->data, script->bytes);
    close(ends[1]);
    error = gnuplot_wait(pid);
    return error ? error : written;
}
