/* Philox4x32-10: Salmon, Moraes, Dror and Shaw, SC 2011, https://doi.org/10.1145/2063384.2063405. */
#ifndef HZ_PHILOX_H
#define HZ_PHILOX_H

#include <stdint.h>

/* The 128 random bits of the counter in block[0..3], which they replace. */
void hz_philox(uint32_t block[4], const uint32_t key[2]);

#endif
