/* A resistive crossbar at the pins of a virtual AVR: DAC words come in over SPI, currents go out to the ADC. */
#ifndef HZ_SIM_CROSSBAR_H
#define HZ_SIM_CROSSBAR_H

#include <stdbool.h>
#include <simavr/sim_avr.h>

/* `options` is SEED:MILLIVOLTS: of the noise, and its standard deviation at the ADC pin. False if it isn't. */
bool crossbar_attach(avr_t *avr, const char *options);

#endif
