/* CRC-32 as in zlib: reflected 0x04C11DB7, begun and ended with all bits inverted. */
#ifndef HZ_CRC32_H
#define HZ_CRC32_H

#include <stdint.h>

#define HZ_CRC32_START UINT32_C(0xFFFFFFFF)

/* `crc` after one more byte; start with HZ_CRC32_START, and invert what comes out last. */
uint32_t hz_crc32_byte(uint32_t crc, uint8_t byte);

/* CRC-32 of `count` bytes. */
uint32_t hz_crc32(const uint8_t *bytes, uint16_t count);

#endif
