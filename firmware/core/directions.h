/* Signs of a seeded direction: bits of Philox4x32-10 at counter {block, t, k, law}. */
#ifndef HZ_DIRECTIONS_H
#define HZ_DIRECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/* One block of 128 bits of a direction, kept until another one is asked for. */
struct hz_bits {
    uint32_t words[4];
    uint16_t block;
};

struct hz_direction {
    uint32_t t;
    uint16_t k;
    struct hz_bits bits[HZ_DIRECTION_BLOCKS];
};

/* Direction k of step t, of the model's key and law. */
void hz_direction_begin(struct hz_direction *direction, uint32_t t, uint16_t k);

/* True where parameter (row i, column j) of layer l has sign +1; the bias is row `inputs`. */
bool hz_direction_plus(struct hz_direction *direction, uint8_t l, uint16_t i, uint16_t j);

#endif
