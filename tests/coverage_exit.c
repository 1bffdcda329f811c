/*
 * For a build that measures coverage, and for no other: what a process reached is written down when
 * it ends by exit, and not when it ends by _exit, as children of the tests do that must not run
 * what their parents left for the end. Linked with --wrap=_exit --wrap=_Exit, these stand before
 * the two. A process that a signal ends is still not counted.
 */
#include <stdlib.h>

void __gcov_dump(void);
__attribute__((noreturn)) void __real__exit(int code);
__attribute__((noreturn)) void __real__Exit(int code);
__attribute__((noreturn)) void __wrap__exit(int code);
__attribute__((noreturn)) void __wrap__Exit(int code);

/* The run time of coverage trusts malloc, which may be what has failed. */
static void reached_write(void)
{
    void *probe = malloc(4096);
    if (probe)
        __gcov_dump();
    free(probe);
}

void __wrap__exit(int code)
{
    reached_write();
    __real__exit(code);
}

void __wrap__Exit(int code)
{
    reached_write();
    __real__Exit(code);
}
