/* A small board, so that tests come to its limits; with both arrays. */
#define HZ_POOL_BYTES 2304
#define HZ_DIRECTION_BLOCKS 2
#define HZ_MAX_LAYERS 3
#define HZ_MAX_WIDTH 300
#define HZ_WINDOW 4
#define HZ_MAX_PAYLOAD 64
#define HZ_NONVOLATILE_BYTES 1024
#define HZ_SPI
