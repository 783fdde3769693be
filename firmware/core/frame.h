/* Frames: 0x00, COBS(header, payload, CRC-32), 0x00, taken in byte by byte into the one buffer that they are sent from.
 *
 * Header: version << 4 | type, session u8, seq u16, op u8, and in replies a status u8. COBS: Cheshire and Baker,
 * IEEE/ACM Trans. Networking 7, 159 (1999).
 */
#ifndef HZ_FRAME_H
#define HZ_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define HZ_REQUEST_HEADER 5
#define HZ_REPLY_HEADER 6
#define HZ_CRC_BYTES 4

struct hz_frame {
    uint8_t bytes[HZ_MAX_PAYLOAD + HZ_REPLY_HEADER + HZ_CRC_BYTES];
    uint16_t length;
    uint8_t left;   /* bytes until the next COBS code */
    bool zero_due;  /* that code stands for a zero */
    bool begun;
    bool bad;
};

enum hz_frame_state { HZ_FRAME_OPEN, HZ_FRAME_GOOD, HZ_FRAME_BAD };

/* Take in one byte. HZ_FRAME_GOOD: bytes[0 .. length) hold header and payload of a frame with a right CRC, until the
 * next byte is taken in. */
enum hz_frame_state hz_frame_take(struct hz_frame *frame, uint8_t byte);

/* Append the CRC to bytes[0 .. length) and send them as a frame. */
void hz_frame_send(struct hz_frame *frame, uint16_t length);

#endif
