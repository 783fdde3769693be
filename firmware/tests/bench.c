#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array_spi.h"
#include "hz1_messages.h"

struct bench bench;

static uint8_t to_board[65536], from_board[1 << 20];
static size_t to_count, to_next, from_count, from_next;

static bool board_read(uint8_t *byte)
{
    if (to_next == to_count) {
        return false;
    }
    *byte = to_board[to_next++];
    return true;
}

static void board_write(const uint8_t *bytes, uint16_t count)
{
    if (from_count + count > sizeof from_board) {
        from_count = from_next = 0; /* nobody listens */
    }
    memcpy(from_board + from_count, bytes, count);
    from_count += count;
}

static uint32_t board_milliseconds(void) { return bench.now; }

static void board_feed(void) {}

static bool board_load(uint16_t offset, uint8_t *bytes, uint16_t count)
{
    if (bench.memory_fails || (size_t)offset + count > sizeof bench.nonvolatile) {
        return false;
    }
    memcpy(bytes, bench.nonvolatile + offset, count);
    return true;
}

static bool board_save(uint16_t offset, const uint8_t *bytes, uint16_t count)
{
    if (bench.memory_fails || (size_t)offset + count > sizeof bench.nonvolatile) {
        return false;
    }
    memcpy(bench.nonvolatile + offset, bytes, count);
    return true;
}

static struct hz_board board = {
    .model = "bench, with a name that is too long for the reply to describe",
    .serial = 4711,
    .receive_buffer = 64,
    .reset_cause = HZ_CAUSE_POWER_ON,
    .read = board_read,
    .write = board_write,
    .milliseconds = board_milliseconds,
    .feed = board_feed,
    .load = board_load,
    .save = board_save,
};

void hz_spi_transfer(const uint8_t *bytes, uint8_t count)
{
    static const uint8_t lengths[] = {1, 5, 3, 2};
    bench.frames++;
    if (bytes[0] > 3 || count != lengths[bytes[0]]) {
        fprintf(stderr, "SPI: frame %u of %u bytes\n", bytes[0], count);
        abort();
    }
    switch (bytes[0]) {
    case HZ_SPI_REST:
        memset(bench.drive, 0, sizeof bench.drive);
        bench.resting++;
        break;
    case HZ_SPI_CELL:
        bench.cell[bytes[1]][bytes[2]] = (int16_t)(bytes[3] << 8 | bytes[4]);
        break;
    case HZ_SPI_DRIVE:
        bench.drive[bytes[1]] = (int8_t)bytes[2];
        break;
    default:
        bench.column = bytes[1];
    }
}

uint16_t hz_adc_read(void)
{
    double sum = 0; /* in weight units */
    for (int row = 0; row < 256; row++) {
        sum += bench.drive[row] / 127.0 * bench.cell[row][bench.column] / (1 << HZ_WEIGHT_BITS);
    }
    const double reading = sum * (1 << HZ_NODE_BITS) / (1 << HZ_ADC_SHIFT) + (1 << (HZ_ADC_BITS - 1));
    const int most = (1 << HZ_ADC_BITS) - 1;
    return (uint16_t)(reading < 0 ? 0 : reading > most ? most : (int)(reading + 0.5));
}

void bench_start(const struct hz_array *array)
{
    to_count = to_next = 0;
    board.boot_id = ++bench.boots;
    hz_start(&board, array);
    from_count = from_next = 0;
}

void bench_feed(const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        const size_t part = count < sizeof to_board ? count : sizeof to_board;
        memcpy(to_board, bytes, part);
        to_count = part;
        to_next = 0;
        bytes += part;
        count -= part;
        while (hz_poll()) {
        }
    }
}

/* CRC-32 bit by bit: an implementation of its own. */
static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = UINT32_MAX;
    for (size_t n = 0; n < 8 * count; n++) {
        const uint32_t bit = (crc ^ (uint32_t)(bytes[n / 8] >> (n % 8))) & 1;
        crc = (crc >> 1) ^ (bit ? 0xEDB88320U : 0);
    }
    return ~crc;
}

size_t bench_request(uint8_t *bytes, uint8_t version, uint8_t session, uint16_t seq, uint8_t op, const void *payload,
                     size_t length)
{
    uint8_t body[70000];
    body[0] = (uint8_t)(version << 4);
    body[1] = session;
    hz_put_u16(body + 2, seq);
    body[4] = op;
    memcpy(body + 5, payload, length);
    hz_put_u32(body + 5 + length, crc32(body, 5 + length));
    const size_t count = length + 9;
    size_t out = 0, code = 1;
    bytes[out++] = 0;
    out++;
    for (size_t n = 0; n < count; n++) {
        if (body[n] != 0) {
            bytes[out++] = body[n];
        }
        if (body[n] == 0 || out - code == 255) {
            bytes[code] = (uint8_t)(out - code);
            code = out++;
        }
    }
    bytes[code] = (uint8_t)(out - code);
    bytes[out++] = 0;
    return out;
}

void bench_send(uint8_t session, uint16_t seq, uint8_t op, const void *payload, size_t length)
{
    uint8_t bytes[71000];
    bench_feed(bytes, bench_request(bytes, 1, session, seq, op, payload, length));
}

static void refuse(const char *what)
{
    fprintf(stderr, "the board sent what is no frame: %s\n", what);
    abort();
}

bool bench_receive(struct frame_seen *frame)
{
    while (from_next < from_count && from_board[from_next] == 0) {
        from_next++;
    }
    if (from_next == from_count) {
        from_next = from_count = 0;
        return false;
    }
    uint8_t body[1200];
    size_t count = 0;
    while (from_next < from_count && from_board[from_next] != 0) {
        const uint8_t code = from_board[from_next++];
        for (uint8_t n = 1; n < code; n++) {
            if (from_next == from_count || from_board[from_next] == 0 || count == sizeof body) {
                refuse("coding");
            }
            body[count++] = from_board[from_next++];
        }
        if (code != 255 && from_next < from_count && from_board[from_next] != 0) {
            body[count++] = 0;
        }
    }
    const bool reply = count > 0 && (body[0] & 15) == HZ_FRAME_TYPE_REPLY;
    const size_t header = reply ? 6 : 5;
    if (from_next == from_count || count < header + 4 || count > HZ_MAX_PAYLOAD + header + 4) {
        refuse("length");
    }
    if (body[0] >> 4 != 1 || crc32(body, count - 4) != hz_get_u32(body + count - 4)) {
        refuse("version or CRC");
    }
    frame->type = body[0] & 15;
    frame->session = body[1];
    frame->seq = hz_get_u16(body + 2);
    frame->op = body[4];
    frame->status = reply ? body[5] : 0;
    frame->length = count - header - 4;
    memcpy(frame->payload, body + header, frame->length);
    return true;
}

void bench_wait(uint32_t milliseconds)
{
    bench.now += milliseconds;
    while (hz_poll()) {
    }
}
