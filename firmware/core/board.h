/* A board: the few functions and facts that the core needs of the hardware under it.
 *
 * A board's main() sets its clock and UART up, fills one struct hz_board, calls hz_start() once and hz_poll() for ever.
 */
#ifndef HZ_BOARD_H
#define HZ_BOARD_H

#include <stdbool.h>
#include <stdint.h>

struct hz_array;

struct hz_board {
    const char *model;       /* its name, at most 24 characters */
    uint32_t serial;         /* serial number, 0 if it has none */
    uint32_t boot_id;        /* another one after every start: a counter kept in non-volatile memory, or random */
    uint16_t boots;          /* starts that it knows of, 0 if it doesn't count them */
    uint16_t receive_buffer; /* bytes that it keeps while the core computes */
    uint8_t reset_cause;     /* HZ_CAUSE_... */

    bool (*read)(uint8_t *byte);                          /* the next byte received; false if there is none */
    void (*write)(const uint8_t *bytes, uint16_t count);  /* send; may wait for room */
    void (*flush)(void);                                  /* a frame has been written; NULL if there is nothing to do */
    uint32_t (*milliseconds)(void);                       /* since the start */
    void (*feed)(void);                                   /* the watchdog */
    void (*safe)(void);                                   /* outputs of the board itself; NULL if it has none */
    uint16_t (*overruns)(void);                           /* bytes lost in reception; NULL if it can't tell */

    /* Non-volatile memory, HZ_NONVOLATILE_BYTES of it; NULL if there is none. */
    bool (*load)(uint16_t offset, uint8_t *bytes, uint16_t count);
    bool (*save)(uint16_t offset, const uint8_t *bytes, uint16_t count);
};

/* The one in use; set by hz_start(). */
extern const struct hz_board *hz_board;

/* Begin: no network, no session. Tells the host by an event that the board has started. */
void hz_start(const struct hz_board *board, const struct hz_array *array);

/* Handle what has been received; call it for ever. True if a frame was handled. */
bool hz_poll(void);

#endif
