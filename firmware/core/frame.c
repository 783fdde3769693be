#include "frame.h"

#include <stddef.h>

#include "board.h"
#include "crc32.h"
#include "hz1_messages.h"

static void append(struct hz_frame *frame, uint8_t byte)
{
    if (frame->length == sizeof frame->bytes) {
        frame->bad = true;
    } else {
        frame->bytes[frame->length++] = byte;
    }
}

static enum hz_frame_state ended(struct hz_frame *frame)
{
    if (frame->bad || frame->left != 0 || frame->length < HZ_REQUEST_HEADER + HZ_CRC_BYTES) {
        return HZ_FRAME_BAD;
    }
    frame->length = (uint16_t)(frame->length - HZ_CRC_BYTES);
    const bool right = hz_crc32(frame->bytes, frame->length) == hz_get_u32(frame->bytes + frame->length);
    return right ? HZ_FRAME_GOOD : HZ_FRAME_BAD;
}

enum hz_frame_state hz_frame_take(struct hz_frame *frame, uint8_t byte)
{
    if (byte == 0) {
        const enum hz_frame_state state = frame->begun ? ended(frame) : HZ_FRAME_OPEN; /* neighbours may share a zero */
        frame->begun = false;
        return state;
    }
    if (!frame->begun) {
        frame->begun = true;
        frame->bad = false;
        frame->zero_due = false;
        frame->left = 0;
        frame->length = 0;
    }
    if (frame->left == 0) {
        if (frame->zero_due) {
            append(frame, 0);
        }
        frame->zero_due = byte != 0xFF;
        frame->left = (uint8_t)(byte - 1);
    } else {
        append(frame, byte);
        frame->left--;
    }
    return HZ_FRAME_OPEN;
}

void hz_frame_send(struct hz_frame *frame, uint16_t length)
{
    static const uint8_t delimiter = 0;
    hz_put_u32(frame->bytes + length, hz_crc32(frame->bytes, length));
    const uint8_t *next = frame->bytes;
    const uint8_t *const end = next + length + HZ_CRC_BYTES;
    hz_board->write(&delimiter, 1);
    for (;;) {
        uint8_t run = 0;
        while (next + run < end && run < 254 && next[run] != 0) {
            run++;
        }
        const uint8_t code = (uint8_t)(run + 1);
        hz_board->write(&code, 1);
        hz_board->write(next, run);
        next += run;
        if (next == end) {
            break;
        }
        if (run < 254) {
            next++; /* the zero that the code stands for */
        }
    }
    hz_board->write(&delimiter, 1);
    if (hz_board->flush != NULL) {
        hz_board->flush();
    }
}
