/* Loss of one sample in fixed point. */
#ifndef HZ_LOSS_H
#define HZ_LOSS_H

#include <stdint.h>

/* Softmax cross-entropy (target: a class number) or squared error (targets in 1/127, one each), of `count` outputs in
 * units of 2^-10; in units of 2^-16. `loss` is a HZ_LOSS_CODE_. */
uint32_t hz_loss(uint8_t loss, const int16_t *outputs, uint16_t count, const int8_t *target);

#endif
