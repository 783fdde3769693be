/* ARM MPS2 board with image AN385: a Cortex-M3 at 25 MHz with 4 MB each for code and data, as QEMU emulates it. */
#define HZ_MODEL "cortex-m3"
#define HZ_POOL_BYTES 2097152UL
#define HZ_MAX_LAYERS 8
#define HZ_WINDOW 8
#define HZ_MAX_PAYLOAD 512
