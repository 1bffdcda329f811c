/*
 * Memory that runs out: in a program that is linked with --wrap of malloc, calloc, realloc and free
 * (tests/CMakeLists.txt names them) one chosen allocation of the code that is linked statically
 * fails. Shared libraries have their own.
 */
#ifndef GT_TESTS_LIB_MEMFAIL_H
#define GT_TESTS_LIB_MEMFAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The nth allocation of at least so many bytes fails, counted from now; 0: none. */
void memfail_arm(uint64_t nth, size_t bytes_min);
/* None fails from now on. Whether the chosen one was made. */
bool memfail_disarm(void);
/* The chosen one was made, so it failed. */
bool memfail_failed(void);
/* As it is armed now: allocations until the one that fails; 0: none does. */
uint64_t memfail_armed(void);
/* Blocks that are allocated and not freed. */
int64_t memfail_allocated(void);

#endif
