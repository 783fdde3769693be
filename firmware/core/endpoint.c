/* The board's end of the line: sessions, the window of requests, replies kept for a resend, the safe state. */
#include <stddef.h>

#include "array.h"
#include "board.h"
#include "boot_weights.h"
#include "commands.h"
#include "frame.h"
#include "hz1_messages.h"

#define FIRMWARE_MAJOR 0
#define FIRMWARE_MINOR 1

#if (HZ_WINDOW & (HZ_WINDOW - 1)) != 0 || HZ_WINDOW > 128
#error "HZ_WINDOW must be a power of 2, at most 128"
#endif

/* Offsets in a header. */
enum { TYPE, SESSION, SEQ, OP = 4, STATUS };

struct reply {
    uint8_t op;
    uint8_t status;
    uint8_t length;
    uint8_t payload[HZ_CACHED_REPLY];
};

static struct {
    bool open;
    uint8_t session;
    uint32_t nonce;
    bool agreed; /* both sides were built from the same schema */
    uint16_t expected;     /* seq of the next request */
    uint16_t run;          /* requests of this session that are kept in `replies` */
    bool asked;            /* a NAK has been sent for this gap */
    uint32_t heard;        /* when the last frame came, milliseconds */
    struct reply replies[HZ_WINDOW];
} host;

static struct hz_frame frame;
const struct hz_board *hz_board;
#ifndef HZ_ARRAY
const struct hz_array *hz_array;
#endif

static void send(uint8_t type, uint8_t session, uint16_t seq, uint8_t op, uint16_t length)
{
    frame.bytes[TYPE] = (uint8_t)(HZ_PROTOCOL << 4 | type);
    frame.bytes[SESSION] = session;
    hz_put_u16(frame.bytes + SEQ, seq);
    frame.bytes[OP] = op;
    hz_frame_send(&frame, length);
}

/* Reply to the request whose header is still in the frame; the payload lies behind the reply's header. */
static void reply(uint8_t op, uint8_t status, uint16_t length)
{
    const uint8_t session = frame.bytes[SESSION];
    frame.bytes[STATUS] = status;
    send(HZ_FRAME_TYPE_REPLY, session, hz_get_u16(frame.bytes + SEQ), op, (uint16_t)(HZ_REPLY_HEADER + length));
}

static void reply_kept(const struct reply *kept)
{
    for (uint8_t n = 0; n < kept->length; n++) {
        frame.bytes[HZ_REPLY_HEADER + n] = kept->payload[n];
    }
    reply(kept->op, kept->status, kept->length);
}

HZ_APART static void hello(uint16_t length)
{
    struct hz_hello_request request;
    if (hz_hello_request_unpack(frame.bytes + HZ_REQUEST_HEADER, length, &request) != HZ_STATUS_OK) {
        reply(HZ_OP_HELLO, HZ_STATUS_E_LEN, 0);
        return;
    }
    if (!host.open || host.nonce != request.nonce) {
        host.open = true;
        host.nonce = request.nonce;
        host.session = host.session == UINT8_MAX ? 1 : (uint8_t)(host.session + 1);
        host.agreed = request.protocol == HZ_PROTOCOL && request.schema == HZ_SCHEMA;
        host.expected = 0;
        host.run = 0;
        host.asked = false;
    }
    const struct hz_hello_reply answer = {
        .nonce = request.nonce,
        .protocol = HZ_PROTOCOL,
        .firmware_major = FIRMWARE_MAJOR,
        .firmware_minor = FIRMWARE_MINOR,
        .schema = HZ_SCHEMA,
        .session = host.session,
        .window = HZ_WINDOW,
        .max_payload = HZ_MAX_PAYLOAD,
        .max_parameters = (HZ_POOL_BYTES - 4 * HZ_SUMS) / 2,
        .boot_id = hz_board->boot_id,
        .reset_cause = hz_board->reset_cause,
        .next_seq = host.expected,
        .step = hz_model.step,
    };
    hz_hello_reply_pack(frame.bytes + HZ_REPLY_HEADER, &answer);
    reply(HZ_OP_HELLO, HZ_STATUS_OK, HZ_HELLO_REPLY_SIZE);
}

static bool may_run_again(uint8_t op) { return op < 32 && (HZ_FETCH_OPS >> op & 1); }

/* Run the request in the frame and reply; its payload lies behind the request's header. */
static void run(struct reply *kept, uint16_t length)
{
    const uint8_t op = frame.bytes[OP];
    const bool again = may_run_again(op);
    struct hz_answer answer = {again ? frame.bytes + HZ_REPLY_HEADER : kept->payload, 0};
    const uint8_t status =
        host.agreed ? hz_command(op, frame.bytes + HZ_REQUEST_HEADER, length, &answer) : HZ_STATUS_E_VERSION;
    kept->op = op;
    kept->status = status;
    kept->length = (uint8_t)(again ? 0 : answer.length);
    if (again) {
        reply(op, status, answer.length);
    } else {
        reply_kept(kept);
    }
}

static void request(uint16_t length)
{
    const uint8_t op = frame.bytes[OP];
    const uint16_t seq = hz_get_u16(frame.bytes + SEQ);
    if (frame.bytes[TYPE] >> 4 != HZ_PROTOCOL) {
        reply(op, HZ_STATUS_E_VERSION, 0);
        return;
    }
    if (op == HZ_OP_HELLO && frame.bytes[SESSION] == 0) {
        hello(length);
        return;
    }
    if (!host.open || frame.bytes[SESSION] != host.session) {
        hz_put_u32(frame.bytes + HZ_REPLY_HEADER, hz_board->boot_id);
        reply(op, HZ_STATUS_E_NOSESS, 4);
        return;
    }
    struct reply *kept = &host.replies[seq & (HZ_WINDOW - 1)];
    const uint16_t behind = (uint16_t)(host.expected - seq);
    if (behind == 0) {
        host.expected++;
        host.run = host.run < HZ_WINDOW ? (uint16_t)(host.run + 1) : HZ_WINDOW;
        host.asked = false;
        run(kept, length);
    } else if (behind <= host.run) {
        hz_link.duplicates++;
        if (may_run_again(kept->op) && kept->op == op) {
            run(kept, length);
        } else {
            reply_kept(kept);
        }
    } else if (!host.asked) {
        host.asked = true;
        hz_link.gaps++;
        hz_put_u16(frame.bytes + HZ_REQUEST_HEADER, host.expected);
        send(HZ_FRAME_TYPE_NAK, host.session, seq, op, HZ_REQUEST_HEADER + 2);
    }
}

void hz_start(const struct hz_board *board, const struct hz_array *array)
{
    hz_board = board;
#ifdef HZ_ARRAY
    (void)array;
#else
    hz_array = array;
#endif
    frame.begun = false;
    host.open = false;
    host.session = (uint8_t)(board->boot_id * 37); /* unlikely to be the one that a host had before the start */
    host.heard = board->milliseconds();
    hz_link = (struct hz_link){0};
    hz_model.layers = 0;
    hz_model.parameters = 0;
    hz_model.samples = 0;
    hz_model.step = 0;
    hz_model.nodes = 0;
    hz_model.latch = HZ_LATCHED_NOTHING;
    hz_model.reads = 0;
    hz_model.writes = 0;
    hz_boot_weights();
    hz_put_u32(frame.bytes + HZ_REQUEST_HEADER, board->boot_id);
    frame.bytes[HZ_REQUEST_HEADER + 4] = board->reset_cause;
    send(HZ_FRAME_TYPE_EVENT, 0, 0, HZ_EVENT_BOOTED, HZ_REQUEST_HEADER + 5);
}

bool hz_poll(void)
{
    uint8_t byte;
    hz_board->feed();
    while (hz_board->read(&byte)) {
        const enum hz_frame_state state = hz_frame_take(&frame, byte);
        if (state == HZ_FRAME_BAD) {
            hz_link.bad++;
        } else if (state == HZ_FRAME_GOOD) {
            hz_link.frames++;
            if ((frame.bytes[TYPE] & 15) == HZ_FRAME_TYPE_REQUEST) {
                request((uint16_t)(frame.length - HZ_REQUEST_HEADER));
            }
            host.heard = hz_board->milliseconds();
            return true;
        }
    }
    if (hz_link.timeout != 0 && !hz_link.safe && hz_board->milliseconds() - host.heard >= hz_link.timeout) {
        hz_make_safe();
        frame.bad = true; /* if one is half received: the event goes where it lay */
        send(HZ_FRAME_TYPE_EVENT, host.session, 0, HZ_EVENT_MADE_SAFE, HZ_REQUEST_HEADER);
    }
    return false;
}
