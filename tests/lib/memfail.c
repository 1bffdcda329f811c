#include "tests/lib/memfail.h"

static struct {
    uint64_t fail_in; /* allocations until the failing one; 0: none fails */
    size_t bytes_min; /* smaller ones do not count */
    bool failed;      /* one did */
    int64_t allocated;
} memory;

void memfail_arm(uint64_t nth, size_t bytes_min)
{
    memory.fail_in = nth;
    memory.bytes_min = bytes_min;
    memory.failed = false;
}

bool memfail_disarm(void)
{
    memory.fail_in = 0;
    return memory.failed;
}

bool memfail_failed(void)
{
    return memory.failed;
}

uint64_t memfail_armed(void)
{
    return memory.fail_in;
}

int64_t memfail_allocated(void)
{
    return memory.allocated;
}

static bool refuses(size_t bytes)
{
    if (memory.fail_in == 0 || bytes < memory.bytes_min || --memory.fail_in > 0)
        return false;
    memory.failed = true;
    return true;
}

/* The linker sends the calls of the program here, and calls of __real_* to the C library. A program
 * that is not linked so has none of the four. */
__attribute__((weak)) void *__real_malloc(size_t bytes);
__attribute__((weak)) void *__real_calloc(size_t count, size_t bytes);
__attribute__((weak)) void *__real_realloc(void *old, size_t bytes);
__attribute__((weak)) void __real_free(void *old);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void __wrap_free(void *old);

static void *counted(void *made)
{
    memory.allocated += made != NULL;
    return made;
}

void *__wrap_malloc(size_t bytes)
{
    return refuses(bytes) ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return refuses(count * bytes) ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *old, size_t bytes)
{
    if (refuses(bytes))
        return NULL;
    void *moved = __real_realloc(old, bytes);
    return old ? moved : counted(moved);
}

void __wrap_free(void *old)
{
    memory.allocated -= old != NULL;
    __real_free(old);
}
