#include "directions.h"

#include "hz1_messages.h"
#include "model.h"
#include "philox.h"

#define NONE UINT16_MAX
#define LAST (HZ_DIRECTION_BLOCKS - 1)

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BYTE_OF_WORD(n) ((n) ^ 3)
#else
#define BYTE_OF_WORD(n) (n)
#endif

void hz_direction_begin(struct hz_direction *direction, uint32_t t, uint16_t k)
{
    direction->t = t;
    direction->k = k;
    direction->bits[0].block = NONE;
    direction->bits[LAST].block = NONE;
}

static bool bit(const struct hz_direction *direction, struct hz_bits *bits, uint32_t index)
{
    const uint16_t block = (uint16_t)(index >> 7);
    if (bits->block != block) {
        bits->block = block;
        bits->words[0] = block;
        bits->words[1] = direction->t;
        bits->words[2] = direction->k;
        bits->words[3] = hz_model.law;
        hz_philox(bits->words, hz_model.key);
    }
    const uint8_t within = (uint8_t)index & 127;
    const uint8_t byte = ((const uint8_t *)bits->words)[BYTE_OF_WORD(within >> 3)];
    return (byte >> (within & 7)) & 1;
}

bool hz_direction_plus(struct hz_direction *direction, uint8_t l, uint16_t i, uint16_t j)
{
    const struct hz_layer *layer = &hz_model.layer[l];
    if (hz_model.law == HZ_LAW_CODE_RADEMACHER) {
        return bit(direction, &direction->bits[0], hz_model_index(l, i, j));
    }
    /* rank1-sign: a layer takes u (inputs), v (outputs) and the bias's signs (outputs); u and v are kept apart. */
    const hz_index v = (hz_index)(layer->rank1 + layer->inputs + j);
    if (i == layer->inputs) {
        return bit(direction, &direction->bits[LAST], (hz_index)(v + layer->outputs));
    }
    const bool plus = bit(direction, &direction->bits[0], (hz_index)(layer->rank1 + i));
    return plus == bit(direction, &direction->bits[LAST], v);
}
