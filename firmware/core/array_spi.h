/* A crossbar of DAC-set cells behind SPI, its columns read by an ADC. A board that has one defines HZ_SPI in its
 * configuration, and the two functions below.
 *
 * Frames, each under one chip select, most significant bit first:
 *
 *   0x00                           rest: every row at 0 V, no column connected
 *   0x01 row column high low       cell := weight, int16 in units of 2^-12; a DAC of n bits takes the n highest
 *   0x02 row drive                 row := drive / 127 of the full voltage, drive int8
 *   0x03 column                    connect a column's amplifier to the ADC
 *
 * Layers share the rows, each has columns of its own: row i of layer l, its bias row last, is row i; column j of layer l
 * is the column with the node's number within a sample. The ADC gives HZ_ADC_BITS bits, half of the range being a sum
 * of 0, and a bit being 2^HZ_ADC_SHIFT node units at drives in 1/127: 10 bits and a shift of 4 are sums of +-8.
 */
#ifndef HZ_ARRAY_SPI_H
#define HZ_ARRAY_SPI_H

#include <stdint.h>

#include "config.h"

#ifndef HZ_ADC_BITS
#define HZ_ADC_BITS 10
#endif
#ifndef HZ_ADC_SHIFT
#define HZ_ADC_SHIFT 4
#endif

enum hz_spi_frame { HZ_SPI_REST, HZ_SPI_CELL, HZ_SPI_DRIVE, HZ_SPI_COLUMN };

/* Send a frame of `count` bytes under one chip select; what comes back is of no use. */
void hz_spi_transfer(const uint8_t *bytes, uint8_t count);

/* One conversion of the column that is connected, once it has settled: 0 .. 2^HZ_ADC_BITS - 1. */
uint16_t hz_adc_read(void);

#endif
