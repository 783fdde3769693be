/* Sizes of a build. A board names a header of its own by -DHZ_CONFIG='"board_config.h"'; what that leaves out is here. */
#ifndef HZ_CONFIG_H
#define HZ_CONFIG_H

#ifdef HZ_CONFIG
#include HZ_CONFIG
#endif

/* Bytes that weights, batch, nodes and column sums share; NETWORK and BATCH cut it up. A multiple of 4. */
#ifndef HZ_POOL_BYTES
#define HZ_POOL_BYTES 1048576UL
#endif

/* Largest number of weight layers. */
#ifndef HZ_MAX_LAYERS
#define HZ_MAX_LAYERS 4
#endif

/* Largest number of inputs, or of a layer's outputs. */
#ifndef HZ_MAX_WIDTH
#define HZ_MAX_WIDTH 4096
#endif

/* Blocks of 128 signs of a direction that are kept: rank1-sign goes to and fro between two places, if it has more than
 * 128 signs; what has so little memory hasn't. */
#ifndef HZ_DIRECTION_BLOCKS
#if HZ_POOL_BYTES <= 2048
#define HZ_DIRECTION_BLOCKS 1
#else
#define HZ_DIRECTION_BLOCKS 2
#endif
#endif

/* Requests that the host may have in flight, a power of 2; each costs a cached reply, 19 bytes. */
#ifndef HZ_WINDOW
#define HZ_WINDOW 8
#endif

/* Largest payload of a request or of a fetched reply, bytes; at least 64. */
#ifndef HZ_MAX_PAYLOAD
#define HZ_MAX_PAYLOAD 512
#endif

/* Bytes of non-volatile memory that a checkpoint may use; 0: the board has none. */
#ifndef HZ_NONVOLATILE_BYTES
#define HZ_NONVOLATILE_BYTES 0
#endif

/* Define HZ_SPI if the board has an array behind SPI: see array_spi.h. */

/* A function whose locals must not lie on the stack of who calls it while that does something else. */
#define HZ_APART __attribute__((noinline))

#endif
