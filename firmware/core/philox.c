#include "philox.h"

void hz_philox(uint32_t block[4], const uint32_t key[2])
{
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    for (uint8_t round = 0; round < 10; round++) {
        const uint64_t even = (uint64_t)block[0] * UINT32_C(0xD2511F53);
        const uint64_t odd = (uint64_t)block[2] * UINT32_C(0xCD9E8D57);
        block[0] = (uint32_t)(odd >> 32) ^ block[1] ^ k0;
        block[2] = (uint32_t)(even >> 32) ^ block[3] ^ k1;
        block[1] = (uint32_t)odd;
        block[3] = (uint32_t)even;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
}
