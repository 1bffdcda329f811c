/*
 * Assertions that stay on in every build. They are for programmer errors only: bytes from disk,
 * wire or user are operating errors and return a GT_E*.
 */
#ifndef GT_ENGINE_BASE_ASSERT_H
#define GT_ENGINE_BASE_ASSERT_H

__attribute__((noreturn, format(printf, 4, 5))) void assert_fail(const char *file, int line,
                                                                 const char *condition,
                                                                 const char *format, ...);

#define gt_assert(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            assert_fail(__FILE__, __LINE__, #condition, " ");                                      \
    } while (0)

/*
 * Memory where nothing can be refused any more: for an answer that is due. Without it the process
 * ends, by one line on stderr and EXIT_MEMORY; what it has acknowledged is in its log, as after a
 * kill, and the next start finds it.
 */
#define EXIT_MEMORY 71

__attribute__((noreturn)) void memory_fail(const char *file, int line);

#define gt_memory(pointer)                                                                         \
    do {                                                                                           \
        if (__builtin_expect(!(pointer), 0))                                                       \
            memory_fail(__FILE__, __LINE__);                                                       \
    } while (0)

/* For a state that cannot be: gt_unreachable("kind %d", kind). */
#define gt_unreachable(...) assert_fail(__FILE__, __LINE__, "unreachable", __VA_ARGS__)

#endif
