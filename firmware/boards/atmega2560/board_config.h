/* ATmega2560: 256 KB of flash, 8 KB of SRAM, 4 KB of EEPROM; an Arduino Mega. */
#define HZ_MODEL "atmega2560"
#define HZ_POOL_BYTES 6144
#define HZ_MAX_LAYERS 4
#define HZ_WINDOW 4
#define HZ_MAX_PAYLOAD 128
#define HZ_NONVOLATILE_BYTES 4080
#define HZ_RECEIVE_RING 255
#define HZ_SEND_RING 64
/* Of port B, on the chip's own SPI. */
#define HZ_PIN_SS 0
#define HZ_PIN_MOSI 2
#define HZ_PIN_SCK 1
