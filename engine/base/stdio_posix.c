#include "engine/base/stdio.h"

#include <fcntl.h>
#include <unistd.h>

void stdio_open(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}
