#include "engine/base/descriptors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

unsigned descriptors_free(unsigned most)
{
    unsigned count = 0;
    int *opened = calloc(most, sizeof(*opened));
    while (opened && count < most && (opened[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    for (unsigned i = 0; i < count; i++)
        close(opened[i]);
    free(opened);
    return count;
}

void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* a refusal leaves the limit as it was */
}
