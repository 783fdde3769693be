#include "crossbar.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <simavr/avr_adc.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_spi.h>

#include "array_spi.h"
#include "model.h"

enum { ROWS = 256, COLUMNS = 256 };

static struct {
    int16_t cell[ROWS][COLUMNS]; /* weights, units of 2^-12 */
    int8_t drive[ROWS];          /* 1/127 of the full voltage */
    int column;                  /* connected to the ADC; -1: none */
    bool selected;
    uint8_t frame[8];
    unsigned count;
    uint64_t state; /* of the generator of noise */
    double noise_mv;
    avr_t *avr;
    avr_irq_t *pin;
} array;

/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), as a fraction in (0, 1). */
static double uniform(void)
{
    uint64_t z = array.state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

/* Box and Muller, Ann. Math. Stat. 29 (1958). */
static double normal(void)
{
    const double radius = sqrt(-2.0 * log(uniform()));
    return radius * cos(6.283185307179586 * uniform());
}

/* The sum of the connected column, in units of a bit of the converter. */
static double sum(void)
{
    double total = 0.0;
    for (int row = 0; array.column >= 0 && row < ROWS; row++) {
        total += (double)array.cell[row][array.column] * array.drive[row];
    }
    const double node_units = total / HZ_INPUT_ONE / (1 << (HZ_WEIGHT_BITS - HZ_NODE_BITS));
    return node_units / (1 << HZ_ADC_SHIFT);
}

static void on_conversion(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)value, (void)param;
    const double full = (1 << HZ_ADC_BITS) - 1; /* simavr's converter gives this at the supply */
    const double supply = array.avr->avcc;
    double mv = (sum() + (1 << (HZ_ADC_BITS - 1)) + 0.5) / full * supply + array.noise_mv * normal();
    mv = mv < 0.0 ? 0.0 : mv > supply ? supply : mv;
    avr_raise_irq(array.pin, (uint32_t)lrint(mv));
}

static void obey(const uint8_t *frame, unsigned count)
{
    if (count == 1 && frame[0] == HZ_SPI_REST) {
        memset(array.drive, 0, sizeof array.drive);
        array.column = -1;
    } else if (count == 5 && frame[0] == HZ_SPI_CELL) {
        array.cell[frame[1]][frame[2]] = (int16_t)(frame[3] << 8 | frame[4]);
    } else if (count == 3 && frame[0] == HZ_SPI_DRIVE) {
        array.drive[frame[1]] = (int8_t)frame[2];
    } else if (count == 2 && frame[0] == HZ_SPI_COLUMN) {
        array.column = frame[1];
    } else {
        fprintf(stderr, "crossbar: a frame of %u bytes that begins with %02x means nothing\n", count, frame[0]);
    }
}

static void on_select(avr_irq_t *irq, uint32_t level, void *param)
{
    (void)irq, (void)param;
    if (level && array.selected && array.count) obey(array.frame, array.count);
    array.selected = !level;
    array.count = 0;
}

static void on_byte(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)param;
    if (array.selected && array.count < sizeof array.frame) array.frame[array.count++] = (uint8_t)value;
}

bool crossbar_attach(avr_t *avr, const char *options)
{
    unsigned long long seed;
    char rest;
    if (sscanf(options, "%llu:%lf%c", &seed, &array.noise_mv, &rest) != 2 || !(array.noise_mv >= 0.0)) return false;
    const int select_pin = !strcmp(avr->mmcu, "atmega2560") ? 0 : 2; /* SS */
    array.state = seed;
    array.column = -1;
    array.avr = avr;
    array.pin = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), select_pin), on_select, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_SPI_GETIRQ(0), SPI_IRQ_OUTPUT), on_byte, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_OUT_TRIGGER), on_conversion, NULL);
    return true;
}
