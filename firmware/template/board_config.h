/* Sizes of your board. What each means, and what there is beside them: core/config.h.
 *
 * The pool is what the chip's RAM leaves: take the RAM, less 300 bytes of stack, less about 500 + 20 HZ_WINDOW +
 * HZ_MAX_PAYLOAD for the core, less your own buffers. */
#define HZ_POOL_BYTES 16384
#define HZ_MAX_LAYERS 4
#define HZ_WINDOW 4
#define HZ_MAX_PAYLOAD 128
#define HZ_NONVOLATILE_BYTES 0
