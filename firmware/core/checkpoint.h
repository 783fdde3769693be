/* Network, run, noise of a simulated array, and parameters, in non-volatile memory under a CRC. */
#ifndef HZ_CHECKPOINT_H
#define HZ_CHECKPOINT_H

#include <stdbool.h>

/* False if the board has too little memory, or it failed. */
bool hz_checkpoint_save(void);

/* False if there is none of this firmware, or it is damaged; then nothing has changed. */
bool hz_checkpoint_load(void);

#endif
