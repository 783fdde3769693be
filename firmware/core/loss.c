#include "loss.h"

#include "config.h"
#include "hz1_messages.h"
#include "table_loss.h"

#define DIFFERENCE_LIMIT 8191 /* differences of 8 and more count as 8 */

/* exp(-d) in units of 2^-24, d in units of 2^-10: a power of 2 whose exponent is in units of 2^-25. */
static uint32_t exponential(uint16_t d)
{
    const uint32_t octaves = d * UINT32_C(47274); /* 2^15 log2(e) */
    const uint8_t whole = (uint8_t)(octaves >> 25);
    const uint8_t index = (octaves >> 19) & 63;
    const uint16_t rest = (octaves >> 9) & 1023;
    const uint16_t here = hz_rom_u16(&power_table[index]);
    const uint16_t next = hz_rom_u16(&power_table[index + 1]);
    const uint32_t power = here - (((uint32_t)(here - next) * rest + 512) >> 10);
    return whole > 24 ? 0 : (power << 9) >> whole;
}

/* ln(sum / 2^24) in units of 2^-16, sum >= 2^24. */
static uint32_t logarithm(uint32_t sum)
{
    uint32_t log = 0;
    while (sum >> 25) {
        sum >>= 1;
        log += 45426; /* 2^16 ln 2 */
    }
    const uint8_t index = (sum >> 18) & 63;
    const uint16_t rest = (sum >> 8) & 1023;
    const uint16_t here = hz_rom_u16(&log_table[index]);
    const uint16_t next = hz_rom_u16(&log_table[index + 1]);
    return log + here + (((uint32_t)(next - here) * rest + 512) >> 10);
}

static uint32_t cross_entropy(const int16_t *outputs, uint16_t count, uint8_t label)
{
    int16_t peak = outputs[0];
    for (uint16_t j = 1; j < count; j++) {
        peak = outputs[j] > peak ? outputs[j] : peak;
    }
    uint32_t sum = 0;
    for (uint16_t j = 0; j < count; j++) {
        sum += exponential((uint16_t)((int32_t)peak - outputs[j]));
    }
    return logarithm(sum) + ((uint32_t)((int32_t)peak - outputs[label]) << 6);
}

static uint32_t squared_error(const int16_t *outputs, uint16_t count, const int8_t *targets)
{
    uint32_t sum = 0;
    for (uint16_t j = 0; j < count; j++) {
        const int32_t target = (targets[j] * INT32_C(1032) + 64) >> 7; /* 1/127 to 2^-10 */
        const int32_t difference = outputs[j] - target;
        uint32_t size = (uint32_t)(difference < 0 ? -difference : difference);
        size = size > DIFFERENCE_LIMIT ? DIFFERENCE_LIMIT : size;
        sum += (size * size + 8) >> 4;
    }
    return (sum + count / 2) / count;
}

HZ_APART uint32_t hz_loss(uint8_t loss, const int16_t *outputs, uint16_t count, const int8_t *target)
{
    return loss == HZ_LOSS_CODE_CROSS_ENTROPY ? cross_entropy(outputs, count, (uint8_t)*target)
                                               : squared_error(outputs, count, target);
}
