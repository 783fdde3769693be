/* Fuzzing of the frame parser and all behind it.
 *
 * An input is a script: bytes that say whether to send garbage, a damaged frame, or a request with a right CRC and
 * nearly right fields, so that it gets past the CRC and into the commands. Whatever comes, the board must send whole
 * frames only, replies that fit, and change nothing where it refuses. Built with libFuzzer (clang -fsanitize=fuzzer
 * -DLIBFUZZER), or with its own driver: fuzz SECONDS [SEED] makes inputs from a seeded generator and tells what came
 * through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "hz1_messages.h"

struct script {
    const uint8_t *bytes;
    size_t left;
};

static uint64_t outcomes[32][8]; /* by op and status */
static uint8_t session;
static uint16_t seq;

static uint8_t u8(struct script *script)
{
    if (script->left == 0) {
        return 0;
    }
    script->left--;
    return *script->bytes++;
}

static uint16_t u16(struct script *script) { return (uint16_t)(u8(script) << 8 | u8(script)); }

/* Small numbers mostly, and those at the edges of what fits somewhere. */
static uint32_t number(struct script *script)
{
    static const uint32_t edges[] = {0, 1, 2, 31, 32, 33, 64, 127, 128, 255, 256, 4096, 4097, 8192, 32767, 32768, 65535,
                                     65536, 2147483647, 2147483648U, 4294967295U};
    const uint8_t choice = u8(script);
    if (choice < 160) {
        return choice & 15;
    }
    return choice < 220 ? edges[choice % (sizeof edges / sizeof edges[0])] : (uint32_t)u16(script) << 16 | u16(script);
}

static void fail(const char *what)
{
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

/* The payload of a request, of the length that its op takes or nearly so. */
static size_t payload_of(struct script *script, uint8_t op, uint8_t *payload)
{
    size_t length = 0;
    const uint32_t few = number(script);
    const size_t rows = few < 40 ? few : 3;
#define U8(v) payload[length++] = (uint8_t)(v)
#define U16(v) (hz_put_u16(payload + length, (uint16_t)(v)), length += 2)
#define U32(v) (hz_put_u32(payload + length, (uint32_t)(v)), length += 4)
#define N number(script)
    switch (op) {
    case HZ_OP_HELLO:
        U32(N), U8(1), U32(u8(script) < 250 ? HZ_SCHEMA : N);
        break;
    case HZ_OP_NETWORK:
        U8(N & 3), U16(-(int32_t)(N & 8191)), U16(N & 8191);
        for (size_t n = 0; n < rows % 6; n++) {
            U16(N);
        }
        break;
    case HZ_OP_KEY:
        U32(N), U32(N), U8(u8(script) & 1), U32(N & 3);
        break;
    case HZ_OP_WRITE:
        U32(N);
        for (size_t n = 0; n < rows % 31; n++) {
            U16(u8(script) - 128);
        }
        break;
    case HZ_OP_READ:
    case HZ_OP_FETCH:
        U32(N), U16(N);
        break;
    case HZ_OP_LATCH:
        U32(N), U32(N), U16(N);
        break;
    case HZ_OP_BATCH:
        U16(N), U8(u8(script) & 1);
        break;
    case HZ_OP_SAMPLE:
        U16(N & 3), U16(N);
        for (size_t n = 0; n < rows; n++) {
            U8(N);
        }
        break;
    case HZ_OP_EVALUATE:
        U32(hz_model.step + (N == 7)), U16(N), U16(N), U8(u8(script) & 3);
        break;
    case HZ_OP_UPDATE:
        U32(hz_model.step + (N == 7));
        for (size_t n = 0; n < rows % 16; n++) {
            U16(N), U16(N);
        }
        break;
    case HZ_OP_STEP:
        U32(hz_model.step + (N == 7)), U8(rows % 5);
        for (size_t n = 0; n < rows % 5 + (rows & 3); n++) {
            U16(N), U16(N);
        }
        break;
    case HZ_OP_CHECKPOINT:
        U8(u8(script) & 1);
        break;
    case HZ_OP_SAFE_TIMEOUT:
        U32(N);
        break;
    case HZ_OP_NOISE:
        U32(N), U32(N), U16(N), U16(N), U16(N);
        break;
    default:
        break;
    }
    const uint8_t change = u8(script);
    if (change > 240) { /* another length, up to more than fits into a frame */
        const size_t other = change == 255 ? u8(script) : change & 15;
        while (length < other) {
            U8(u8(script));
        }
        length = other;
    }
    return length;
}

static void listen(uint8_t asked, uint32_t hash, uint32_t step)
{
    struct frame_seen frame;
    while (bench_receive(&frame)) {
        if (frame.type != HZ_FRAME_TYPE_REPLY) {
            continue;
        }
        if (frame.status > HZ_STATUS_E_SAFE) {
            fail("a status that there isn't");
        }
        if (frame.op < 32) {
            outcomes[frame.op][frame.status]++;
            if (!(HZ_FETCH_OPS >> frame.op & 1) && frame.length > HZ_CACHED_REPLY) {
                fail("a reply that can't be kept");
            }
        }
        if (frame.op == HZ_OP_HELLO && frame.status == HZ_STATUS_OK) {
            session = frame.payload[11];
            seq = hz_get_u16(frame.payload + 24);
        } else if (frame.op == asked && frame.status != HZ_STATUS_OK && asked != HZ_OP_CHECKPOINT &&
                   (hz_model_hash() != hash || hz_model.step != step)) {
            fail("a refusal that changed something");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    uint8_t payload[512], bytes[1200];
    bench_start(u8(&script) & 1 ? &hz_array_spi : &hz_array_sim);
    session = 0;
    seq = 0;
    while (script.left > 0) {
        const uint8_t what = u8(&script);
        const uint32_t hash = hz_model_hash();
        const uint32_t step = hz_model.step;
        uint8_t op = u8(&script) % 22;
        if (session == 0 && what > 30) {
            op = HZ_OP_HELLO;
        }
        if (what < 4) {
            const uint8_t count = u8(&script) & 63;
            for (uint8_t n = 0; n < count; n++) {
                bytes[n] = u8(&script);
            }
            bench_feed(bytes, count);
            op = 0;
        } else if (what < 6) {
            bench_wait(number(&script) & 4095);
            op = 0;
        } else if (what == 6) {
            bench_start(u8(&script) & 1 ? &hz_array_spi : &hz_array_sim);
        } else if (what == 7) {
            bench.memory_fails = !bench.memory_fails;
            op = 0;
        } else {
            const size_t length = payload_of(&script, op, payload);
            const uint8_t of = op == HZ_OP_HELLO || what == 8 ? 0 : session;
            const uint16_t number_of = what < 16 ? (uint16_t)(seq + u8(&script) - 128) : seq;
            size_t count = bench_request(bytes, what == 9 ? 2 : 1, of, number_of, op, payload, length);
            if (what < 12 && what > 9) {
                bytes[u8(&script) % count] ^= (uint8_t)(1 << (u8(&script) & 7));
                op = 0;
            } else if (op != HZ_OP_HELLO && number_of == seq && of == session && session != 0 && what != 9 &&
                       length <= HZ_MAX_PAYLOAD) {
                seq++;
            } else if (number_of != seq) {
                op = 0;
            }
            bench_feed(bytes, count);
            if (length > HZ_MAX_PAYLOAD) {
                op = 0; /* no frame that the board takes, or one that is refused for its length */
                bench_feed((const uint8_t *)"", 1);
            }
        }
        listen(op, hash, step);
    }
    bench.memory_fails = false;
    return 0;
}

#ifndef LIBFUZZER
static uint64_t state;

static uint8_t random_byte(void) /* SplitMix64 */
{
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (uint8_t)(z ^ (z >> 31));
}

int main(int argc, char **argv)
{
    static uint8_t input[64 + (UINT8_MAX << 4)];
    const double seconds = argc > 1 ? atof(argv[1]) : 5;
    state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    const clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    uint64_t inputs = 0, accepted = 0;
    for (; clock() < end; inputs++) {
        const size_t size = 64 + (size_t)(random_byte() << 4);
        for (size_t n = 0; n < size; n++) {
            input[n] = random_byte();
        }
        LLVMFuzzerTestOneInput(input, size);
    }
    int missed = 0;
    for (uint8_t op = 1; op <= HZ_OP_SAFE_ENTER; op++) {
        uint64_t refused = 0;
        for (int status = 1; status < 8; status++) {
            refused += outcomes[op][status];
        }
        accepted += outcomes[op][0];
        missed += outcomes[op][0] == 0;
        printf("op 0x%02x: %llu done, %llu refused\n", op, (unsigned long long)outcomes[op][0],
               (unsigned long long)refused);
    }
    printf("%llu inputs, %llu commands done, %d ops never reached\n", (unsigned long long)inputs,
           (unsigned long long)accepted, missed);
    return missed != 0;
}
#endif
