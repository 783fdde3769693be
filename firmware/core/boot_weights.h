/* Weights that are part of the image, so that a board has its network after every reset; see boot_weights.c. */
#ifndef HZ_BOOT_WEIGHTS_H
#define HZ_BOOT_WEIGHTS_H

#ifdef HZ_BOOT_WEIGHTS
/* Make it the network of the image, and program its weights into the array. */
void hz_boot_weights(void);
#else
static inline void hz_boot_weights(void) {}
#endif

#endif
