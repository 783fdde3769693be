#include "crc32.h"

#include "table_crc.h"

uint32_t hz_crc32_byte(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    crc = (crc >> 4) ^ hz_rom_u32(&crc_table[crc & 15]);
    return (crc >> 4) ^ hz_rom_u32(&crc_table[crc & 15]);
}

uint32_t hz_crc32(const uint8_t *bytes, uint16_t count)
{
    uint32_t crc = HZ_CRC32_START;
    while (count--) {
        crc = hz_crc32_byte(crc, *bytes++);
    }
    return ~crc;
}
