/* SPI and ADC of an AVR, for array_spi. */
#ifndef HZ_AVR_SPI_H
#define HZ_AVR_SPI_H

void spi_begin(void);

#endif
