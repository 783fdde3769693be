/* A new board: copy this folder to firmware/boards/NAME, and fill in what is marked.
 *
 * Compile with -std=c99 -I. -I../../core -DHZ_CONFIG='"board_config.h"' -DHZ_ARRAY=hz_array_sim, with all of core/ and
 * this folder; no library is needed. Begin with hz_array_sim: it needs no hardware, so that what doesn't work is this
 * file. What the board computes is in docs/firmware-arithmetic.md, what it says in docs/hz1.md.
 */
#include <stddef.h>

#include "array.h"
#include "board.h"
#include "config.h"
#include "hz1_messages.h"

/* TODO: the next byte that the UART received, from a ring that its interrupt fills. Not to wait: false if there is none.
 * The ring's size less one goes into .receive_buffer; the host never has more than that on its way while the core
 * computes. */
static bool board_read(uint8_t *byte)
{
    (void)byte;
    return false;
}

/* TODO: send; waiting for room is fine, as long as reception goes on. */
static void board_write(const uint8_t *bytes, uint16_t count)
{
    (void)bytes;
    (void)count;
}

/* TODO: milliseconds since the start, from a timer's interrupt; may wrap. On a chip of 8 bits, read it with interrupts
 * off: they may come between two of its bytes. */
static uint32_t board_milliseconds(void)
{
    return 0;
}

/* TODO: reset the watchdog. The core calls this from its main loop and inside long passes, at least every row of a layer;
 * nothing else should, so that the watchdog fires when the core hangs. A quarter of a second is a good time. */
static void board_feed(void)
{
}

/* TODO, if the board switches something itself, a driver's supply or a relay: off. Otherwise NULL below. */
static void board_safe(void)
{
}

int main(void)
{
    static struct hz_board board = {
        .model = "my board",
        .receive_buffer = 0,
        .read = board_read,
        .write = board_write,
        .milliseconds = board_milliseconds,
        .feed = board_feed,
        .safe = board_safe,
        .load = NULL, /* non-volatile memory: see board.h, and HZ_NONVOLATILE_BYTES */
        .save = NULL,
    };
    /* TODO: clock, timer, UART, watchdog. */
    board.reset_cause = HZ_CAUSE_UNKNOWN; /* TODO: from the chip's reset flags; clear them */
    board.boot_id = 1; /* TODO: another number after every start, or a reset passes unnoticed: a counter in EEPROM or
                        * flash, or true random bits; not a clock that starts at 0 */
    hz_start(&board, &HZ_ARRAY);
    for (;;) {
        hz_poll();
        /* Here the chip may sleep until the next interrupt if hz_poll() gave false. */
    }
}
