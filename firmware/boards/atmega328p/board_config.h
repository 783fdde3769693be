/* ATmega328P: 32 KB of flash, 2 KB of SRAM, 1 KB of EEPROM; an Arduino Uno or Nano.
 *
 * The pool holds a network of 49-4-4 (220 parameters) with a batch of 8 samples. */
#define HZ_MODEL "atmega328p"
#define HZ_POOL_BYTES 1104
#define HZ_MAX_LAYERS 3
#define HZ_WINDOW 4
#define HZ_MAX_PAYLOAD 64
#define HZ_NONVOLATILE_BYTES 1008
#define HZ_RECEIVE_RING 104
#define HZ_SEND_RING 16
/* Of port B, on the chip's own SPI. */
#define HZ_PIN_SS 2
#define HZ_PIN_MOSI 3
#define HZ_PIN_SCK 5
