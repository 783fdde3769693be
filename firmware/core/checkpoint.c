#include "checkpoint.h"

#include <stddef.h>

#include "array.h"
#include "board.h"
#include "crc32.h"
#include "hz1_messages.h"

#define MAGIC UINT32_C(0x31505A48) /* HZP1 */

/* What stands before widths, array state and parameters. */
struct head {
    uint32_t magic;
    uint32_t crc; /* of all that follows */
    uint32_t key[2];
    uint32_t step;
    int16_t lower, upper;
    uint8_t widths;
    uint8_t activation;
    uint8_t law;
    uint8_t keyed;
    uint8_t array;
    uint8_t state_bytes;
    uint16_t bytes; /* of the whole checkpoint */
};

/* Where the next bytes go to or come from, and the CRC of those that went by. */
struct stream {
    uint32_t crc;
    uint16_t offset;
};

static void pass(struct stream *stream, const uint8_t *bytes, uint16_t count)
{
    stream->offset = (uint16_t)(stream->offset + count);
    while (count--) {
        stream->crc = hz_crc32_byte(stream->crc, *bytes++);
    }
    hz_board->feed();
}

static bool put(struct stream *stream, const void *bytes, uint16_t count)
{
    const bool done = hz_board->save(stream->offset, bytes, count);
    pass(stream, bytes, count);
    return done;
}

static bool get(struct stream *stream, void *bytes, uint16_t count)
{
    const bool done = hz_board->load(stream->offset, bytes, count);
    pass(stream, bytes, count);
    return done;
}

#define AFTER_CRC (offsetof(struct head, crc) + sizeof(uint32_t))

bool hz_checkpoint_save(void)
{
    const uint32_t bytes = (uint32_t)sizeof(struct head) + 2 * (hz_model.layers + UINT32_C(1)) + hz_array->state_bytes +
                           2 * (uint32_t)hz_model.parameters;
    if (hz_board->save == NULL || hz_model.layers == 0 || bytes > HZ_NONVOLATILE_BYTES) {
        return false;
    }
    struct head head = {
        .key = {hz_model.key[0], hz_model.key[1]},
        .step = hz_model.step,
        .lower = hz_model.lower,
        .upper = hz_model.upper,
        .widths = (uint8_t)(hz_model.layers + 1),
        .activation = hz_model.activation,
        .law = hz_model.law,
        .keyed = hz_model.keyed,
        .array = hz_array->code,
        .state_bytes = hz_array->state_bytes,
        .bytes = (uint16_t)bytes,
    };
    /* The head's first bytes go last: what is cut short is no checkpoint. */
    if (!hz_board->save(0, (const uint8_t *)&head, AFTER_CRC)) {
        return false;
    }
    struct stream stream = {HZ_CRC32_START, AFTER_CRC};
    bool done = put(&stream, (const uint8_t *)&head + AFTER_CRC, sizeof head - AFTER_CRC);
    for (uint8_t n = 0; n <= hz_model.layers; n++) {
        const uint16_t width = n == 0 ? hz_model.layer[0].inputs : hz_model.layer[n - 1].outputs;
        done = put(&stream, &width, sizeof width) && done;
    }
    if (hz_array->state_bytes > 0) {
        done = put(&stream, hz_array->state, hz_array->state_bytes) && done;
    }
    for (hz_index n = 0; n < hz_model.parameters; n++) {
        done = put(&stream, &hz_model.weight[n], sizeof hz_model.weight[n]) && done;
    }
    head.magic = MAGIC;
    head.crc = ~stream.crc;
    return done && hz_board->save(0, (const uint8_t *)&head, AFTER_CRC);
}

/* True if a whole and undamaged checkpoint of this array is there. */
static bool check(struct head *head)
{
    struct stream stream = {HZ_CRC32_START, AFTER_CRC};
    if (hz_board->load == NULL || HZ_NONVOLATILE_BYTES < sizeof *head ||
        !hz_board->load(0, (uint8_t *)head, AFTER_CRC) || head->magic != MAGIC ||
        !get(&stream, (uint8_t *)head + AFTER_CRC, sizeof *head - AFTER_CRC) || head->array != hz_array->code ||
        head->state_bytes != hz_array->state_bytes || head->widths > HZ_MAX_LAYERS + 1 ||
        head->bytes > HZ_NONVOLATILE_BYTES) {
        return false;
    }
    while (stream.offset < head->bytes) {
        uint8_t byte;
        if (!get(&stream, &byte, 1)) {
            return false;
        }
    }
    return ~stream.crc == head->crc;
}

bool hz_checkpoint_load(void)
{
    struct head head;
    if (!check(&head)) {
        return false;
    }
    struct stream stream = {0, sizeof head};
    uint8_t widths[2 * (HZ_MAX_LAYERS + 1)];
    for (uint8_t n = 0; n < head.widths; n++) {
        uint16_t width;
        if (!get(&stream, &width, sizeof width)) {
            return false;
        }
        hz_put_u16(widths + 2 * n, width);
    }
    if (hz_model_network(head.activation, head.lower, head.upper, widths, head.widths) != HZ_FINE) {
        return false;
    }
    const struct stream state = stream;
    stream.offset = (uint16_t)(stream.offset + head.state_bytes);
    bool done = true;
    for (hz_index n = 0; n < hz_model.parameters; n++) {
        done = get(&stream, &hz_model.weight[n], sizeof hz_model.weight[n]) && done;
    }
    hz_model.key[0] = head.key[0];
    hz_model.key[1] = head.key[1];
    hz_model.step = head.step;
    hz_model.law = head.law;
    hz_model.keyed = head.keyed;
    hz_model_written(0, hz_model.parameters);
    if (head.state_bytes > 0) { /* last: the array is as it was, not written anew */
        done = hz_board->load(state.offset, hz_array->state, head.state_bytes) && done;
    }
    return done;
}
