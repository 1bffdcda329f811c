#include "engine/base/stdio.h"

#include <fcntl.h>
#include <unistd.h>

void stdio_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) /* open gives the lowest that is free: this one */
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}
