/* The crossbar's wires: SPI in mode 0 at a quarter of the clock, chip select on SS, the columns' amplifier on ADC0. */
#include "config.h"

#ifdef HZ_SPI

#include <avr/io.h>
#include <util/delay.h>

#include "array_spi.h"
#include "spi.h"

#define SELECT _BV(HZ_PIN_SS)
#define SETTLING_US 20

void spi_begin(void)
{
    PORTB |= SELECT; /* high before it is an output: nothing is selected for a moment */
    DDRB |= SELECT | _BV(HZ_PIN_MOSI) | _BV(HZ_PIN_SCK);
    SPCR = _BV(SPE) | _BV(MSTR);
    ADMUX = _BV(REFS0);                                           /* against the supply; ADC0 */
    ADCSRA = _BV(ADEN) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0); /* 125 kHz: full resolution */
}

void hz_spi_transfer(const uint8_t *bytes, uint8_t count)
{
    PORTB &= (uint8_t)~SELECT;
    for (; count != 0; count--) {
        SPDR = *bytes++;
        while (!(SPSR & _BV(SPIF))) {
        }
        (void)SPDR; /* reading it clears the flag */
    }
    PORTB |= SELECT;
}

uint16_t hz_adc_read(void)
{
    _delay_us(SETTLING_US);
    ADCSRA |= _BV(ADSC);
    while (ADCSRA & _BV(ADSC)) {
    }
    return ADC;
}

#endif
