/* ARM MPS2 AN385 (Cortex-M3): UART 0, SysTick and watchdog of the Cortex-M System Design Kit (ARM DDI 0479). */
#include "board.h"

#include <stddef.h>

#include "array.h"
#include "board_interrupts.h"
#include "hz1_messages.h"

#define CLOCK_HZ 25000000UL
#define WATCHDOG_MS 2000UL /* long: an emulated clock runs on while its host is busy with something else */
#ifndef HZ_BAUD
#define HZ_BAUD 115200UL
#endif
#define RECEIVE_RING 1024U /* a power of two */

struct uart {
    volatile uint32_t data, state, control, interrupt, divisor;
};
static struct uart *const uart = (struct uart *)0x40004000UL;
enum { SEND_FULL = 1, OVERRUN = 8 };                   /* state */
enum { SEND = 1, RECEIVE = 2, RECEIVE_INTERRUPT = 8 }; /* control */
enum { RECEIVE_CLEAR = 2, OVERRUN_CLEAR = 8 };         /* interrupt */

struct watchdog {
    // cppcheck-suppress unusedStructMember
    volatile uint32_t load, value, control, clear;
};
static struct watchdog *const watchdog = (struct watchdog *)0x40008000UL;
enum { INTERRUPT = 1, RESET = 2 }; /* control */

#define SYSTICK ((volatile uint32_t *)0xE000E010UL) /* control, reload, value */
#define INTERRUPT_ENABLE (*(volatile uint32_t *)0xE000E100UL)
#define RESET_CONTROL (*(volatile uint32_t *)0xE000ED0CUL)
#define RESET_REQUEST 0x05FA0004UL

/* Start numbers begin at what memory held at power-on, which QEMU is told by its loader and a chip leaves to chance. */
extern const volatile uint32_t boot_seed;

/* Kept through a reset, not without power. */
static struct {
    uint32_t valid; /* KEPT if the rest is */
    uint32_t boots;
    uint32_t barked; /* KEPT if the watchdog is why */
} kept __attribute__((section(".noinit")));
#define KEPT 0x6B657074UL

static volatile uint32_t ticks;
static volatile uint8_t received[RECEIVE_RING];
static volatile uint16_t received_first, received_end, overruns;

/* The watchdog's first alarm is the non-maskable interrupt; did nobody hear it, the second one would reset. */
void on_watchdog(void)
{
    kept.barked = KEPT;
    RESET_CONTROL = RESET_REQUEST;
    for (;;) {
    }
}

void on_tick(void)
{
    ticks++;
}

void on_uart_receive(void)
{
    if (uart->state & OVERRUN) {
        uart->state = OVERRUN;
        uart->interrupt = OVERRUN_CLEAR;
        overruns++;
    }
    uart->interrupt = RECEIVE_CLEAR; /* before the read: the next byte may come right after it */
    const uint8_t byte = (uint8_t)uart->data;
    const uint16_t next = (uint16_t)((received_end + 1U) % RECEIVE_RING);
    if (next == received_first) {
        overruns++;
    } else {
        received[received_end] = byte;
        received_end = next;
    }
}

static bool uart_read(uint8_t *byte)
{
    if (received_first == received_end) {
        return false;
    }
    *byte = received[received_first];
    received_first = (uint16_t)((received_first + 1U) % RECEIVE_RING);
    return true;
}

static void uart_write(const uint8_t *bytes, uint16_t count)
{
    for (; count != 0; count--) {
        while (uart->state & SEND_FULL) {
        }
        uart->data = *bytes++;
    }
}

static uint16_t uart_overruns(void)
{
    return overruns;
}

static uint32_t milliseconds(void)
{
    return ticks;
}

static void feed(void)
{
    watchdog->clear = 1;
}

static struct hz_board board = {
    .model = HZ_MODEL,
    .receive_buffer = RECEIVE_RING - 1U,
    .read = uart_read,
    .write = uart_write,
    .milliseconds = milliseconds,
    .feed = feed,
    .overruns = uart_overruns,
};

static void count_boot(void)
{
    if (kept.valid != KEPT) {
        kept.valid = KEPT;
        kept.boots = 0;
        board.reset_cause = HZ_CAUSE_POWER_ON;
    } else {
        board.reset_cause = kept.barked == KEPT ? HZ_CAUSE_WATCHDOG : HZ_CAUSE_RESET_PIN;
    }
    kept.barked = 0;
    kept.boots++;
    board.boots = (uint16_t)kept.boots;
    board.boot_id = boot_seed + kept.boots;
}

/* Until the next interrupt: a byte, or a tick. With interrupts held back, none slips in before the wait. */
static void rest(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
    if (received_first == received_end) {
        __asm__ volatile("wfi" ::: "memory");
    }
    __asm__ volatile("cpsie i" ::: "memory");
}

int main(void)
{
    count_boot();
    watchdog->load = CLOCK_HZ / 1000UL * WATCHDOG_MS;
    watchdog->control = INTERRUPT | RESET;
    SYSTICK[1] = CLOCK_HZ / 1000UL - 1UL;
    SYSTICK[2] = 0;
    SYSTICK[0] = 7; /* processor clock, interrupt, on */
    uart->divisor = CLOCK_HZ / HZ_BAUD;
    uart->control = SEND | RECEIVE | RECEIVE_INTERRUPT;
    INTERRUPT_ENABLE = 1; /* number 0: UART 0 has received */
    hz_start(&board, &HZ_ARRAY);
    for (;;) {
        feed();
        if (!hz_poll()) {
            rest();
        }
    }
}
