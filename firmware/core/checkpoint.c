#include "checkpoint.h"

#include <stddef.h>

#include "array.h"
#include "board.h"
#include "crc32.h"
#include "hz1_messages.h"

/* A checkpoint is one build's: a mark, the CRC of the rest, then network and run, parameters, the array's state. */
#define MARK (HZ_SCHEMA ^ HZ_POOL_BYTES ^ (uint32_t)hz_array->code << 24)
#define MODEL_BYTES offsetof(struct hz_model, probe)

struct seal {
    uint32_t mark;
    uint32_t crc;
};

/* What is done with the bytes that come next, and the CRC of those that went by. */
struct stream {
    bool (*pass)(uint16_t offset, uint8_t *bytes, uint16_t count);
    bool fine;
    uint16_t offset;
    uint32_t crc;
};

static bool save(uint16_t offset, uint8_t *bytes, uint16_t count) { return hz_board->save(offset, bytes, count); }

static void pass(struct stream *stream, void *bytes, uint16_t count)
{
    stream->fine = stream->fine && (count == 0 || stream->pass(stream->offset, bytes, count));
    stream->offset = (uint16_t)(stream->offset + count);
    for (const uint8_t *byte = bytes; count > 0; count--) {
        stream->crc = hz_crc32_byte(stream->crc, *byte++);
    }
    hz_board->feed();
}

static bool fits(void)
{
    return HZ_NONVOLATILE_BYTES >=
           sizeof(struct seal) + MODEL_BYTES + hz_array->state_bytes + 2 * (uint32_t)hz_model.parameters;
}

bool hz_checkpoint_save(void)
{
    if (hz_board->save == NULL || hz_model.layers == 0 || !fits()) {
        return false;
    }
    struct seal seal = {0, 0}; /* written last: what is cut short is no checkpoint */
    struct stream stream = {save, save(0, (uint8_t *)&seal, sizeof seal), sizeof seal, HZ_CRC32_START};
    pass(&stream, &hz_model, MODEL_BYTES);
    for (hz_index n = 0; n < hz_model.parameters; n++) {
        pass(&stream, &hz_model.weight[n], sizeof hz_model.weight[n]);
    }
    pass(&stream, hz_array->state, hz_array->state_bytes);
    seal.mark = MARK;
    seal.crc = stream.crc;
    return stream.fine && save(0, (uint8_t *)&seal, sizeof seal);
}

/* True if a whole and undamaged checkpoint of this build is there. */
static bool check(void)
{
    struct seal seal;
    struct stream stream = {hz_board->load, true, sizeof seal, HZ_CRC32_START};
    hz_index parameters = 0;
    if (hz_board->load == NULL || !hz_board->load(0, (uint8_t *)&seal, sizeof seal) || seal.mark != MARK ||
        !hz_board->load((uint16_t)(sizeof seal + offsetof(struct hz_model, parameters)), (uint8_t *)&parameters,
                        sizeof parameters) ||
        parameters > HZ_NONVOLATILE_BYTES / 2) {
        return false;
    }
    for (uint32_t left = (uint32_t)MODEL_BYTES + hz_array->state_bytes + 2 * (uint32_t)parameters; left > 0; left--) {
        uint8_t byte = 0;
        pass(&stream, &byte, 1);
    }
    return stream.fine && stream.crc == seal.crc;
}

bool hz_checkpoint_load(void)
{
    if (!check()) {
        return false;
    }
    struct stream stream = {hz_board->load, true, sizeof(struct seal), 0};
    pass(&stream, &hz_model, MODEL_BYTES);
    hz_model_lay_out();
    for (hz_index n = 0; n < hz_model.parameters; n++) {
        pass(&stream, &hz_model.weight[n], sizeof hz_model.weight[n]);
    }
    hz_model_written(0, hz_model.parameters);
    pass(&stream, hz_array->state, hz_array->state_bytes); /* after that: a simulated array is as it was */
    return stream.fine;
}
