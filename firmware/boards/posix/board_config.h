/* Sizes of the posix board: a laptop has room. */
#define HZ_POOL_BYTES 4194304
#define HZ_MAX_LAYERS 8
#define HZ_MAX_WIDTH 4096
#define HZ_WINDOW 32
#define HZ_MAX_PAYLOAD 1024
#define HZ_NONVOLATILE_BYTES 60000
