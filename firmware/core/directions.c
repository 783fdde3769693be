#include "directions.h"

#include "hz1_messages.h"
#include "model.h"
#include "philox.h"

void hz_direction_begin(struct hz_direction *direction, uint32_t t, uint16_t k)
{
    direction->t = t;
    direction->k = k;
    direction->bits[0].valid = false;
    direction->bits[1].valid = false;
}

static bool bit(const struct hz_direction *direction, struct hz_bits *bits, uint32_t index)
{
    const uint16_t block = (uint16_t)(index >> 7);
    if (!bits->valid || bits->block != block) {
        uint32_t words[4] = {block, direction->t, direction->k, hz_model.law};
        hz_philox(words, hz_model.key);
        for (uint8_t n = 0; n < 16; n++) {
            bits->bytes[n] = (uint8_t)words[n >> 2];
            words[n >> 2] >>= 8;
        }
        bits->block = block;
        bits->valid = true;
    }
    return (bits->bytes[(index >> 3) & 15] >> (index & 7)) & 1;
}

bool hz_direction_plus(struct hz_direction *direction, uint8_t l, uint16_t i, uint16_t j)
{
    const struct hz_layer *layer = &hz_model.layer[l];
    if (hz_model.law == HZ_LAW_CODE_RADEMACHER) {
        return bit(direction, &direction->bits[0], (uint32_t)(layer->first + (hz_index)i * layer->outputs + j));
    }
    /* rank1-sign: a layer takes u (inputs), v (outputs) and the bias's signs (outputs). */
    const uint32_t u = layer->rank1;
    if (i == layer->inputs) {
        return bit(direction, &direction->bits[1], u + layer->inputs + layer->outputs + j);
    }
    return bit(direction, &direction->bits[0], u + i) == bit(direction, &direction->bits[1], u + layer->inputs + j);
}
