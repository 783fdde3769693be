/* What runs before main, and the few functions that a compiler calls unasked; there is no C library. */
#include <stddef.h>
#include <stdint.h>

#include "board_interrupts.h"

extern uint32_t data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
extern const uint32_t data_image[];

int main(void);
void start(void);

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *one, const void *other, size_t count);

static void halt(void)
{
    for (;;) { /* the watchdog ends this */
    }
}

void start(void)
{
    const uint32_t *from = data_image;
    for (uint32_t *to = data_begin; to != data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = bss_begin; to != bss_end; to++) {
        *to = 0;
    }
    (void)main();
    halt();
}

union vector {
    const void *address;   // cppcheck-suppress unusedStructMember
    void (*handler)(void); // cppcheck-suppress unusedStructMember
};

/* ARMv7-M: initial stack pointer, 15 exceptions, then the board's interrupts. */
__attribute__((section(".vectors"), used)) static const union vector vectors[16 + 2] = {
    [0] = {.address = stack_top}, [1] = {.handler = start},       [2] = {.handler = on_watchdog},
    [3] = {.handler = halt},      [4] = {.handler = halt},        [5] = {.handler = halt},
    [6] = {.handler = halt},      [11] = {.handler = halt},       [12] = {.handler = halt},
    [14] = {.handler = halt},     [15] = {.handler = on_tick},    [16] = {.handler = on_uart_receive},
    [17] = {.handler = halt},
};

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    while (count-- != 0) {
        *t++ = *f++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if (t < f) {
        return memcpy(to, from, count);
    }
    while (count-- != 0) {
        t[count] = f[count];
    }
    return to;
}

void *memset(void *to, int value, size_t count)
{
    uint8_t *t = to;
    while (count-- != 0) {
        *t++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *one, const void *other, size_t count)
{
    const uint8_t *a = one, *b = other;
    for (; count != 0; count--, a++, b++) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }
    return 0;
}
