/* The core on a bench: a board in memory, a host that speaks frames to it, a crossbar at the pins of array_spi. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "array.h"
#include "board.h"
#include "config.h"

struct bench {
    uint32_t now; /* milliseconds */
    bool memory_fails;
    uint32_t boots;
    uint8_t nonvolatile[HZ_NONVOLATILE_BYTES];
    int16_t cell[256][256];   /* the crossbar's weights, row and column */
    int8_t drive[256];        /* and rows */
    uint8_t column;           /* connected one */
    uint32_t frames, resting; /* that came over SPI, and of these those that asked for rest */
};
extern struct bench bench;

/* A frame that the board sent. */
struct frame_seen {
    uint8_t type, session, op, status;
    uint16_t seq;
    uint8_t payload[1100];
    size_t length; /* of the payload */
};

/* Start the board anew; its non-volatile memory and its crossbar stay. Forgets what it has sent. */
void bench_start(const struct hz_array *array);

/* Give the board bytes, and let it run until it has handled all. */
void bench_feed(const uint8_t *bytes, size_t count);

/* Encode a request as it goes over the wire, delimiters included; its length. */
size_t bench_request(uint8_t *bytes, uint8_t version, uint8_t session, uint16_t seq, uint8_t op, const void *payload,
                     size_t length);

/* Feed that request. */
void bench_send(uint8_t session, uint16_t seq, uint8_t op, const void *payload, size_t length);

/* The next frame that the board has sent; false if there is none. Ends the program if what it sent is no frame. */
bool bench_receive(struct frame_seen *frame);

/* Let time pass. */
void bench_wait(uint32_t milliseconds);

#endif
