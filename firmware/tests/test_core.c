/* The core against published vectors, and its end of the line against what the protocol promises. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "check.h"
#include "crc32.h"
#include "frame.h"
#include "hz1_messages.h"
#include "philox.h"

static uint8_t session;
static uint16_t seq;
static struct frame_seen seen;

/* Known answers of Philox4x32-10: Random123, https://github.com/DEShawResearch/random123, kat_vectors. */
static void philox(void)
{
    static const uint32_t vectors[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (int n = 0; n < 3; n++) {
        uint32_t block[4];
        memcpy(block, vectors[n], sizeof block);
        hz_philox(block, vectors[n] + 4);
        CHECK(memcmp(block, vectors[n] + 6, sizeof block) == 0);
    }
}

static void crc(void)
{
    CHECK(hz_crc32((const uint8_t *)"123456789", 9) == 0xCBF43926); /* the check value of CRC-32 */
    CHECK(hz_crc32((const uint8_t *)"", 0) == 0);
}

static bool next(void)
{
    memset(&seen, 0, sizeof seen);
    return bench_receive(&seen);
}

/* Send a request and take its one reply; its status. */
static uint8_t ask(uint8_t op, const void *payload, size_t length)
{
    bench_send(session, seq, op, payload, length);
    CHECK(next() && seen.type == HZ_FRAME_TYPE_REPLY && seen.session == session && seen.seq == seq && seen.op == op);
    seq++;
    const uint8_t status = seen.status;
    struct frame_seen other;
    CHECK(!bench_receive(&other));
    return status;
}

static uint8_t greet(uint32_t nonce, uint32_t schema)
{
    uint8_t payload[9];
    hz_put_u32(payload, nonce);
    hz_put_u8(payload + 4, HZ_PROTOCOL);
    hz_put_u32(payload + 5, schema);
    bench_send(0, 0, HZ_OP_HELLO, payload, sizeof payload);
    CHECK(next() && seen.op == HZ_OP_HELLO && seen.status == HZ_STATUS_OK && seen.length == HZ_HELLO_REPLY_SIZE);
    CHECK(hz_get_u32(seen.payload) == nonce && hz_get_u32(seen.payload + 7) == HZ_SCHEMA);
    session = seen.payload[11];
    seq = hz_get_u16(seen.payload + 24);
    return session;
}

static void begin(const struct hz_array *array)
{
    bench_start(array);
    greet(12345, HZ_SCHEMA);
}

static uint8_t set_network(int16_t bound, const uint16_t *widths, size_t count)
{
    uint8_t payload[64];
    payload[0] = HZ_ACTIVATION_CODE_TANH;
    hz_put_i16(payload + 1, (int16_t)-bound);
    hz_put_i16(payload + 3, bound);
    for (size_t n = 0; n < count; n++) {
        hz_put_u16(payload + 5 + 2 * n, widths[n]);
    }
    return ask(HZ_OP_NETWORK, payload, 5 + 2 * count);
}

static uint8_t set_key(uint32_t step)
{
    uint8_t payload[13] = {1, 2, 3, 4, 5, 6, 7, 8, HZ_LAW_CODE_RADEMACHER};
    hz_put_u32(payload + 9, step);
    return ask(HZ_OP_KEY, payload, sizeof payload);
}

static uint8_t set_batch(uint16_t samples, uint8_t loss)
{
    uint8_t payload[3];
    hz_put_u16(payload, samples);
    payload[2] = loss;
    return ask(HZ_OP_BATCH, payload, sizeof payload);
}

static void put_evaluate(uint8_t *payload, uint32_t t, uint16_t k, int16_t scale, uint8_t latch)
{
    hz_put_u32(payload, t);
    hz_put_u16(payload + 4, k);
    hz_put_i16(payload + 6, scale);
    payload[8] = latch;
}

static uint8_t evaluate(uint32_t t, uint16_t k, int16_t scale, uint8_t latch)
{
    uint8_t payload[9];
    put_evaluate(payload, t, k, scale, latch);
    return ask(HZ_OP_EVALUATE, payload, sizeof payload);
}

static uint8_t update(uint32_t t, uint16_t k, int16_t coefficient)
{
    uint8_t payload[8];
    hz_put_u32(payload, t);
    hz_put_u16(payload + 4, k);
    hz_put_i16(payload + 6, coefficient);
    return ask(HZ_OP_UPDATE, payload, sizeof payload);
}

static uint8_t chunk(uint8_t op, uint32_t offset, uint16_t count)
{
    uint8_t payload[6];
    hz_put_u32(payload, offset);
    hz_put_u16(payload + 4, count);
    return ask(op, payload, sizeof payload);
}

static uint8_t latch(uint32_t offset, uint32_t count, uint16_t repeat)
{
    uint8_t payload[10];
    hz_put_u32(payload, offset);
    hz_put_u32(payload + 4, count);
    hz_put_u16(payload + 8, repeat);
    return ask(HZ_OP_LATCH, payload, sizeof payload);
}

static uint32_t hash(void)
{
    CHECK(ask(HZ_OP_HASH, "", 0) == HZ_STATUS_OK);
    return hz_get_u32(seen.payload);
}

static void train_ready(const struct hz_array *array)
{
    static const uint16_t widths[] = {9, 4, 3};
    begin(array);
    CHECK(set_network(8192, widths, 3) == HZ_STATUS_OK && hz_get_u32(seen.payload) == 55);
    CHECK(set_key(0) == HZ_STATUS_OK);
    CHECK(set_batch(5, HZ_LOSS_CODE_CROSS_ENTROPY) == HZ_STATUS_OK && hz_get_u16(seen.payload) == 10);
}

/* Every length of payload up to the largest comes back whole, and zeros or none in it change nothing. */
static void frames(void)
{
    struct hz_frame frame = {0};
    uint8_t payload[HZ_MAX_PAYLOAD], bytes[200];
    for (int kind = 0; kind < 4; kind++) {
        for (size_t length = 0; length <= HZ_MAX_PAYLOAD; length++) {
            for (size_t n = 0; n < length; n++) {
                payload[n] = kind == 0 ? 0 : kind == 1 ? 255 : (uint8_t)(kind == 2 ? n : (size_t)rand());
            }
            const size_t count = bench_request(bytes, 1, 7, 300, 9, payload, length);
            enum hz_frame_state state = HZ_FRAME_OPEN;
            for (size_t n = 0; n < count; n++) {
                CHECK(state == HZ_FRAME_OPEN);
                state = hz_frame_take(&frame, bytes[n]);
            }
            CHECK(state == HZ_FRAME_GOOD && frame.length == length + 5 && frame.bytes[1] == 7);
            CHECK(memcmp(frame.bytes + 5, payload, length) == 0);
        }
    }
}

/* A frame with any one bit flipped, any byte left out or put twice, or cut anywhere, is no frame. */
static void damage(void)
{
    uint8_t payload[30], bytes[64], hurt[64];
    struct hz_frame frame = {0};
    for (size_t n = 0; n < sizeof payload; n++) {
        payload[n] = (uint8_t)(n % 5 == 0 ? 0 : 37 * n);
    }
    const size_t count = bench_request(bytes, 1, 7, 300, 9, payload, sizeof payload);
    for (size_t place = 1; place + 1 < count; place++) {
        for (int kind = 0; kind < 11; kind++) {
            size_t length = 0;
            for (size_t n = 0; n < count; n++) {
                const uint8_t byte = (uint8_t)(n == place && kind < 8 ? bytes[n] ^ 1 << kind : bytes[n]);
                if (n == place && kind == 8) {
                    continue;
                }
                if (n >= place && n + 1 < count && kind == 10) {
                    continue;
                }
                hurt[length++] = byte;
                if (n == place && kind == 9) {
                    hurt[length++] = byte;
                }
            }
            bool good = false;
            for (size_t n = 0; n < length; n++) {
                good = hz_frame_take(&frame, hurt[n]) == HZ_FRAME_GOOD || good;
            }
            /* Doubling a byte leaves the frame alone where that is what cutting one out of the double gives back: never. */
            CHECK(!good);
        }
    }
}

static void sessions(void)
{
    bench_start(&hz_array_sim);
    const uint8_t nothing = 0;
    bench_send(1, 0, HZ_OP_HASH, &nothing, 0);
    CHECK(next() && seen.status == HZ_STATUS_E_NOSESS && seen.length == 4);
    CHECK(hz_get_u32(seen.payload) == bench.boots);
    const uint8_t first = greet(1, HZ_SCHEMA);
    CHECK(hash() == 0);
    CHECK(greet(1, HZ_SCHEMA) == first && seq == 1); /* asked again */
    CHECK(hash() == 0);
    const uint8_t second = greet(2, HZ_SCHEMA);
    CHECK(second != first && second != 0 && seq == 0);
    bench_send(first, 2, HZ_OP_HASH, &nothing, 0);
    CHECK(next() && seen.status == HZ_STATUS_E_NOSESS && seen.session == first);
    bench_start(&hz_array_sim); /* a reset does not pass unnoticed */
    bench_send(second, 0, HZ_OP_HASH, &nothing, 0);
    CHECK(next() && seen.status == HZ_STATUS_E_NOSESS && hz_get_u32(seen.payload) == bench.boots);
    greet(3, HZ_SCHEMA + 1); /* of another schema: greeted, but nothing is done */
    CHECK(ask(HZ_OP_HASH, "", 0) == HZ_STATUS_E_VERSION);
    greet(4, HZ_SCHEMA);
    CHECK(ask(HZ_OP_HASH, "", 0) == HZ_STATUS_OK);
    CHECK(ask(0x33, "abc", 3) == HZ_STATUS_E_OP);
    CHECK(ask(0xFF, "", 0) == HZ_STATUS_E_OP);
    bench_send(0, 0, HZ_OP_HELLO, "abc", 3);
    CHECK(next() && seen.status == HZ_STATUS_E_LEN);
    uint8_t bytes[100];
    bench_feed(bytes, bench_request(bytes, 2, session, seq, HZ_OP_HASH, "", 0));
    CHECK(next() && seen.status == HZ_STATUS_E_VERSION);
}

/* A command takes effect once; its reply comes as often as it is asked for. */
static void once(void)
{
    train_ready(&hz_array_sim);
    uint8_t noise[14] = {1};
    hz_put_u16(noise + 8, 100);
    CHECK(ask(HZ_OP_NOISE, noise, sizeof noise) == HZ_STATUS_OK);
    CHECK(evaluate(0, 3, 200, 0) == HZ_STATUS_OK);
    const uint32_t loss = hz_get_u32(seen.payload);
    uint8_t payload[9];
    put_evaluate(payload, 0, 3, 200, 0);
    for (int n = 0; n < 3; n++) { /* a resent measurement is not made again, or it would have other noise */
        bench_send(session, (uint16_t)(seq - 1), HZ_OP_EVALUATE, payload, sizeof payload);
        CHECK(next() && seen.status == HZ_STATUS_OK && hz_get_u32(seen.payload) == loss);
    }
    CHECK(evaluate(0, 3, 200, 0) == HZ_STATUS_OK && hz_get_u32(seen.payload) != loss);
    CHECK(update(0, 1, 50) == HZ_STATUS_OK && hz_get_u32(seen.payload) == 1);
    const uint32_t before = hash();
    uint8_t pairs[8] = {0, 0, 0, 0, 1, 0, 50, 0};
    bench_send(session, (uint16_t)(seq - 2), HZ_OP_UPDATE, pairs, sizeof pairs);
    CHECK(next() && seen.status == HZ_STATUS_OK && hz_get_u32(seen.payload) == 1);
    CHECK(hash() == before);

    /* What lies HZ_WINDOW back is known, what lies further back or ahead is not: one NAK a gap. */
    const uint16_t expected = seq;
    bench_send(session, (uint16_t)(expected - HZ_WINDOW), HZ_OP_HASH, "", 0);
    CHECK(next() && seen.type == HZ_FRAME_TYPE_REPLY);
    for (int n = 0; n < 5; n++) {
        bench_send(session, (uint16_t)(expected + 1 + n), HZ_OP_UPDATE, pairs, sizeof pairs);
        CHECK(next() == (n == 0));
        CHECK(n > 0 || (seen.type == HZ_FRAME_TYPE_NAK && seen.session == session && seen.length == 2 &&
                        hz_get_u16(seen.payload) == expected));
    }
    CHECK(hash() == before);
    bench_send(session, (uint16_t)(seq - HZ_WINDOW - 1), HZ_OP_HASH, "", 0);
    CHECK(next() && seen.type == HZ_FRAME_TYPE_NAK && hz_get_u16(seen.payload) == seq);

    /* Through the wrap of seq. */
    while (seq != 5) {
        const uint32_t now = hash();
        if (now != before) {
            CHECK(now == before);
            break;
        }
    }
    bench_send(session, (uint16_t)(seq - HZ_WINDOW), HZ_OP_HASH, "", 0);
    CHECK(next() && seen.type == HZ_FRAME_TYPE_REPLY && hz_get_u32(seen.payload) == before);
    CHECK(ask(HZ_OP_STATISTICS, "", 0) == HZ_STATUS_OK && seen.length == HZ_STATISTICS_REPLY_SIZE);
    CHECK(hz_get_u16(seen.payload + 8) == 6 && hz_get_u16(seen.payload + 10) == 2);
}

static void safety(void)
{
    train_ready(&hz_array_sim);
    uint8_t timeout[4];
    hz_put_u32(timeout, 500);
    CHECK(ask(HZ_OP_SAFE_TIMEOUT, timeout, 4) == HZ_STATUS_OK);
    bench_wait(499);
    CHECK(!next());
    bench_feed((const uint8_t *)"\0garbage", 8); /* no frame: it does not count as one */
    bench_wait(1);
    CHECK(next() && seen.type == HZ_FRAME_TYPE_EVENT && seen.op == HZ_EVENT_MADE_SAFE);
    bench_wait(5000);
    CHECK(!next()); /* said once */
    bench_feed((const uint8_t *)"", 1);
    const uint32_t before = hash();
    CHECK(update(0, 1, 50) == HZ_STATUS_E_SAFE && evaluate(0, 0, 0, 0) == HZ_STATUS_E_SAFE);
    CHECK(set_key(5) == HZ_STATUS_E_SAFE && chunk(HZ_OP_WRITE, 0, 7) == HZ_STATUS_E_SAFE);
    CHECK(latch(0, 1, 0) == HZ_STATUS_E_SAFE && set_batch(1, 0) == HZ_STATUS_E_SAFE);
    CHECK(hash() == before);
    CHECK(ask(HZ_OP_SAFE_CLEAR, "", 0) == HZ_STATUS_OK && update(0, 1, 50) == HZ_STATUS_OK && hash() != before);
    CHECK(ask(HZ_OP_SAFE_ENTER, "", 0) == HZ_STATUS_OK && update(1, 1, 50) == HZ_STATUS_E_SAFE);
    CHECK(ask(HZ_OP_STATISTICS, "", 0) == HZ_STATUS_OK && hz_get_u16(seen.payload + 12) == 2);
    CHECK(hz_get_u16(seen.payload + 4) == 1); /* the garbage */
}

/* What a host gets wrong is refused by the field's number, and changes nothing. */
static void refusals(void)
{
    static const uint16_t small[] = {9, 4, 3}, large[] = {40, 40, 3}, single[] = {9}, hollow[] = {9, 0, 3};
    static const uint16_t wide[] = {301, 2}, many[] = {2, 2, 2, 2, 2};
    begin(&hz_array_sim);
    CHECK(set_key(0) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_ANY_FIELD && seen.length == 1);
    CHECK(set_batch(1, 0) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_ANY_FIELD);
    CHECK(evaluate(0, 0, 0, 0) == HZ_STATUS_E_RANGE && update(0, 0, 0) == HZ_STATUS_E_RANGE);
    CHECK(chunk(HZ_OP_READ, 0, 0) == HZ_STATUS_E_RANGE && chunk(HZ_OP_FETCH, 0, 0) == HZ_STATUS_E_RANGE);
    CHECK(latch(0, 0, 0) == HZ_STATUS_E_RANGE && ask(HZ_OP_CHECKPOINT, "", 1) == HZ_STATUS_E_RANGE);
    CHECK(set_network(8192, large, 3) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_NETWORK_FIELD_WIDTHS);
    CHECK(set_network(8192, single, 1) == HZ_STATUS_E_RANGE && set_network(8192, hollow, 3) == HZ_STATUS_E_RANGE);
    CHECK(set_network(8192, wide, 2) == HZ_STATUS_E_RANGE && set_network(8192, many, 5) == HZ_STATUS_E_RANGE);
    CHECK(set_network(0, small, 3) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_NETWORK_FIELD_UPPER);
    CHECK(set_network(-5, small, 3) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_NETWORK_FIELD_LOWER);
    CHECK(ask(HZ_OP_NETWORK, "\x01\0\0\0", 4) == HZ_STATUS_E_LEN && ask(HZ_OP_NETWORK, "\1\0\0\0\0\2", 6) == HZ_STATUS_E_LEN);

    train_ready(&hz_array_sim);
    const uint32_t before = hash();
    uint8_t write[8] = {0};
    hz_put_i16(write + 4, 8192);
    hz_put_i16(write + 6, 8193);
    CHECK(ask(HZ_OP_WRITE, write, 8) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_WRITE_FIELD_VALUES);
    hz_put_i16(write + 6, -8193);
    CHECK(ask(HZ_OP_WRITE, write, 8) == HZ_STATUS_E_RANGE);
    hz_put_u32(write, 54);
    hz_put_i16(write + 6, 1);
    CHECK(ask(HZ_OP_WRITE, write, 8) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_WRITE_FIELD_VALUES);
    hz_put_u32(write, UINT32_MAX);
    CHECK(ask(HZ_OP_WRITE, write, 8) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_WRITE_FIELD_OFFSET);
    CHECK(ask(HZ_OP_WRITE, write, 7) == HZ_STATUS_E_LEN && ask(HZ_OP_WRITE, write, 3) == HZ_STATUS_E_LEN);
    CHECK(chunk(HZ_OP_READ, 0, 56) == HZ_STATUS_E_RANGE && chunk(HZ_OP_READ, 0, 33) == HZ_STATUS_E_RANGE);
    CHECK(chunk(HZ_OP_READ, 56, 0) == HZ_STATUS_E_RANGE && chunk(HZ_OP_READ, UINT32_MAX, 2) == HZ_STATUS_E_RANGE);
    CHECK(chunk(HZ_OP_READ, 23, 32) == HZ_STATUS_OK && seen.length == 64);
    CHECK(chunk(HZ_OP_FETCH, 0, 1) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_ANY_FIELD);
    CHECK(latch(0, 56, 0) == HZ_STATUS_E_RANGE && latch(56, 0, 0) == HZ_STATUS_E_RANGE);
    CHECK(latch(3, UINT32_MAX - 1, 0) == HZ_STATUS_E_RANGE);
    CHECK(set_batch(0, 0) == HZ_STATUS_E_RANGE && set_batch(UINT16_MAX, 0) == HZ_STATUS_E_RANGE);
    CHECK(set_batch(1, 2) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_BATCH_FIELD_LOSS);
    uint8_t sample[14] = {0};
    sample[13] = 3; /* classes are 0, 1, 2 */
    CHECK(ask(HZ_OP_SAMPLE, sample, 14) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_SAMPLE_FIELD_VALUES);
    sample[13] = 2;
    CHECK(ask(HZ_OP_SAMPLE, sample, 14) == HZ_STATUS_OK);
    sample[2] = 1;
    CHECK(ask(HZ_OP_SAMPLE, sample, 14) == HZ_STATUS_E_RANGE);
    sample[2] = 11;
    CHECK(ask(HZ_OP_SAMPLE, sample, 4) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_SAMPLE_FIELD_OFFSET);
    sample[0] = 5;
    CHECK(ask(HZ_OP_SAMPLE, sample, 4) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_SAMPLE_FIELD_INDEX);
    CHECK(evaluate(1, 0, 0, 0) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_EVALUATE_FIELD_T);
    CHECK(evaluate(0, 0, 0, 4) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_EVALUATE_FIELD_LATCH);
    CHECK(update(1, 0, 5) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_UPDATE_FIELD_T);
    uint8_t step[25] = {0};
    CHECK(ask(HZ_OP_STEP, step, 25) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_STEP_FIELD_EVALUATIONS);
    step[4] = 6;
    CHECK(ask(HZ_OP_STEP, step, 25) == HZ_STATUS_E_LEN);
    uint8_t noise[14] = {0};
    hz_put_u16(noise + 12, HZ_MAX_SD + 1);
    CHECK(ask(HZ_OP_NOISE, noise, 14) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_NOISE_FIELD_NODE_SD);
    CHECK(hash() == before);
    CHECK(set_key(UINT32_MAX) == HZ_STATUS_OK && update(UINT32_MAX, 0, 5) == HZ_STATUS_E_RANGE);
    CHECK(evaluate(UINT32_MAX, 7, 100, 0) == HZ_STATUS_OK && hash() == before);
}

static uint8_t checkpoint(uint8_t action) { return ask(HZ_OP_CHECKPOINT, &action, 1); }

static void checkpoints(void)
{
    memset(bench.nonvolatile, 0xFF, sizeof bench.nonvolatile); /* as new */
    train_ready(&hz_array_sim);
    CHECK(checkpoint(HZ_ACTION_LOAD) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_ANY_FIELD);
    CHECK(checkpoint(7) == HZ_STATUS_E_RANGE && seen.payload[0] == HZ_CHECKPOINT_FIELD_ACTION);
    uint8_t noise[14] = {9};
    for (int n = 8; n < 14; n++) {
        noise[n] = n % 2 ? 0 : 100;
    }
    CHECK(ask(HZ_OP_NOISE, noise, 14) == HZ_STATUS_OK);
    CHECK(update(0, 1, 300) == HZ_STATUS_OK && evaluate(1, 4, 20, 0) == HZ_STATUS_OK && hash() != 0);
    CHECK(checkpoint(HZ_ACTION_SAVE) == HZ_STATUS_OK && hz_get_u32(seen.payload) == 1);
    const uint32_t saved = hash();
    CHECK(evaluate(1, 5, 20, 0) == HZ_STATUS_OK);
    const uint32_t loss = hz_get_u32(seen.payload);
    for (int again = 0; again < 2; again++) {
        begin(&hz_array_sim);
        CHECK(hash() == 0);
        CHECK(checkpoint(HZ_ACTION_LOAD) == HZ_STATUS_OK && hz_get_u32(seen.payload) == 1 && hash() == saved);
        CHECK(hz_get_u32(seen.payload + 4) == 1);
        CHECK(set_batch(5, HZ_LOSS_CODE_CROSS_ENTROPY) == HZ_STATUS_OK);
        CHECK(evaluate(1, 5, 20, 0) == HZ_STATUS_OK && hz_get_u32(seen.payload) == loss); /* its noise goes on, too */
    }
    for (size_t n = 0; n < 200; n++) { /* any one byte of it damaged: refused, and what there was stays */
        bench.nonvolatile[n] ^= 0x10;
        const uint8_t status = checkpoint(HZ_ACTION_LOAD);
        bench.nonvolatile[n] ^= 0x10;
        CHECK(status == HZ_STATUS_E_RANGE);
    }
    CHECK(update(1, 1, 300) == HZ_STATUS_OK && hash() != saved);
    bench.memory_fails = true;
    CHECK(checkpoint(HZ_ACTION_SAVE) == HZ_STATUS_E_RANGE && checkpoint(HZ_ACTION_LOAD) == HZ_STATUS_E_RANGE);
    bench.memory_fails = false;
    CHECK(checkpoint(HZ_ACTION_LOAD) == HZ_STATUS_OK && hash() == saved);
}

static int16_t value(size_t n) { return hz_get_i16(seen.payload + 2 * n); }

/* array_spi: what the crossbar at its pins holds is what was asked for, and comes back through the ADC. */
static void spi(void)
{
    train_ready(&hz_array_spi);
    CHECK(ask(HZ_OP_DESCRIBE, "", 0) == HZ_STATUS_OK && seen.payload[9] == HZ_ARRAY_CODE_SPI);
    CHECK(seen.length == HZ_LEAST_PAYLOAD);
    const uint8_t noise[14] = {0};
    CHECK(ask(HZ_OP_NOISE, noise, sizeof noise) == HZ_STATUS_E_OP);
    uint8_t write[4 + 2 * 30];
    int16_t weights[60];
    for (int start = 0; start < 55; start += 30) {
        hz_put_u32(write, (uint32_t)start);
        const int count = start == 0 ? 30 : 25;
        for (int n = 0; n < count; n++) {
            weights[start + n] = (int16_t)(((start + n) * 997) % 4001 - 2000);
            hz_put_i16(write + 4 + 2 * n, weights[start + n]);
        }
        CHECK(ask(HZ_OP_WRITE, write, (size_t)(4 + 2 * count)) == HZ_STATUS_OK);
    }
    /* Layer 1: rows 0..9, columns 0..3; layer 2: rows 0..4, columns 4..6. */
    for (int n = 0; n < 55; n++) {
        CHECK((n < 40 ? bench.cell[n / 4][n % 4] : bench.cell[(n - 40) / 3][4 + (n - 40) % 3]) == weights[n]);
    }
    CHECK(evaluate(0, 0, 0, HZ_LATCH_NODES) == HZ_STATUS_OK);
    CHECK(chunk(HZ_OP_FETCH, 0, 7) == HZ_STATUS_OK);
    for (size_t j = 0; j < 4; j++) { /* all inputs are 0: a node is its bias, to half a bit of the ADC */
        CHECK(abs(value(j) - weights[36 + j] / 4) <= 8);
    }
    CHECK(evaluate(0, 3, 100, 0) == HZ_STATUS_OK);
    int plus = 0;
    for (int n = 0; n < 40; n++) {
        const int moved = bench.cell[n / 4][n % 4] - weights[n];
        CHECK(moved == 100 || moved == -100);
        plus += moved > 0;
    }
    CHECK(plus > 5 && plus < 35); /* 40 fair signs: 1e-6 outside */
    CHECK(latch(0, 55, 0) == HZ_STATUS_OK && chunk(HZ_OP_FETCH, 0, 32) == HZ_STATUS_OK);
    for (size_t n = 0; n < 32; n++) { /* half a bit of the ADC is 8 node units, 32 weight units */
        CHECK(abs(value(n) - bench.cell[n / 4][n % 4]) <= 32);
    }
    CHECK(evaluate(0, 0, 0, 0) == HZ_STATUS_OK && bench.cell[0][0] == weights[0] && bench.cell[9][3] == weights[39]);
    CHECK(update(0, 2, 50) == HZ_STATUS_OK && abs(bench.cell[3][2] - weights[14]) == 50);
    const uint32_t rests = bench.resting;
    CHECK(ask(HZ_OP_SAFE_ENTER, "", 0) == HZ_STATUS_OK && bench.resting == rests + 1);
}

int main(void)
{
    philox();
    crc();
    frames();
    damage();
    sessions();
    once();
    safety();
    refusals();
    checkpoints();
    spi();
    return checked();
}
