/* Checks that go on after a failure, and a count of them. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int checks, failures;

#define CHECK(condition)                                                                                              \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
        }                                                                                                              \
    } while (0)

static inline int checked(void)
{
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}

#endif
