/* A resistive crossbar at the pins of a virtual AVR: frames come in over SPI, a column's sum goes out to ADC0.
 *
 * It understands the frames of firmware/core/array_spi.h. The pin is at half the supply where the sum is 0; noise of the
 * amplifier, white and Gaussian, is drawn anew for each conversion. */
#ifndef HZ_SIM_CROSSBAR_H
#define HZ_SIM_CROSSBAR_H

#include <stdbool.h>
#include <simavr/sim_avr.h>

/* `options` is SEED:MILLIVOLTS: of the noise, and its standard deviation at the pin. False if it isn't. */
bool crossbar_attach(avr_t *avr, const char *options);

#endif
