#include "philox.h"

#include "config.h"

/* The low half of x * factor; x becomes the high half. Apart, as it is what the stack is deepest in. */
HZ_APART static uint32_t multiply(uint32_t *x, uint32_t factor)
{
    const uint64_t product = (uint64_t)*x * factor;
    *x = (uint32_t)(product >> 32);
    return (uint32_t)product;
}

void hz_philox(uint32_t block[4], const uint32_t key[2])
{
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    for (uint8_t round = 0; round < 10; round++) {
        const uint32_t low0 = multiply(&block[0], UINT32_C(0xD2511F53));
        const uint32_t low2 = multiply(&block[2], UINT32_C(0xCD9E8D57));
        const uint32_t high0 = block[0];
        block[0] = block[2] ^ block[1] ^ k0;
        block[1] = low2;
        block[2] = high0 ^ block[3] ^ k1;
        block[3] = low0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
}
