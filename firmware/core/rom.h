/* Tables that stay in flash: on AVR a plain const array would be copied into RAM. */
#ifndef HZ_ROM_H
#define HZ_ROM_H

#include <stdint.h>

#ifdef __AVR__
#include <avr/pgmspace.h>
#define HZ_ROM PROGMEM
static inline uint8_t hz_rom_u8(const uint8_t *address) { return pgm_read_byte(address); }
static inline uint16_t hz_rom_u16(const uint16_t *address) { return pgm_read_word(address); }
static inline uint32_t hz_rom_u32(const uint32_t *address) { return pgm_read_dword(address); }
#else
#define HZ_ROM
static inline uint8_t hz_rom_u8(const uint8_t *address) { return *address; }
static inline uint16_t hz_rom_u16(const uint16_t *address) { return *address; }
static inline uint32_t hz_rom_u32(const uint32_t *address) { return *address; }
#endif

#endif
