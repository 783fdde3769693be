#include "array_spi.h"

#include <stddef.h>

#include "array.h"
#include "board.h"
#include "hz1_messages.h"

#ifdef HZ_SPI

static bool displaced;  /* some cells don't hold the parameters themselves */
static uint16_t driven; /* rows that may not be at 0 V */

static void program(uint8_t l, uint16_t i, uint16_t j)
{
    const uint16_t weight = (uint16_t)hz_model_displaced(l, i, j);
    const uint8_t bytes[] = {HZ_SPI_CELL, (uint8_t)i, (uint8_t)(hz_model.layer[l].node + j), (uint8_t)(weight >> 8),
                             (uint8_t)weight};
    hz_spi_transfer(bytes, sizeof bytes);
}

static void drive(uint16_t row, int8_t level)
{
    const uint8_t bytes[] = {HZ_SPI_DRIVE, (uint8_t)row, (uint8_t)level};
    hz_spi_transfer(bytes, sizeof bytes);
}

/* A column's sum, in node units of drives in 1/127. */
static int16_t column(uint16_t number)
{
    const uint8_t bytes[] = {HZ_SPI_COLUMN, (uint8_t)number};
    hz_spi_transfer(bytes, sizeof bytes);
    return (int16_t)(((int16_t)hz_adc_read() - (1 << (HZ_ADC_BITS - 1))) * (1 << HZ_ADC_SHIFT));
}

static void spi_safe(void)
{
    const uint8_t rest = HZ_SPI_REST;
    hz_spi_transfer(&rest, 1);
    driven = 0;
}

static void spi_write(hz_index first, hz_index count)
{
    for (hz_index n = 0; n < count; n++) {
        const struct hz_place place = hz_model_place((hz_index)(first + n));
        program(place.l, place.i, place.j);
        hz_board->feed();
    }
}

static void spi_begin(void)
{
    displaced = false;
    spi_safe();
    spi_write(0, hz_model.parameters);
}

static void spi_displace(void)
{
    if (hz_model.scale != 0 || displaced) {
        spi_write(0, hz_model.parameters);
        hz_model.writes += hz_model.parameters;
        displaced = hz_model.scale != 0;
    }
}

static void spi_layer(uint8_t l)
{
    const struct hz_layer *layer = &hz_model.layer[l];
    const uint16_t rows = (uint16_t)(layer->inputs + 1);
    for (uint16_t s = 0; s < hz_model.samples; s++) {
        for (uint16_t i = 0; i < rows; i++) {
            drive(i, hz_model_drive(l, s, i));
        }
        for (uint16_t i = rows; i < driven; i++) {
            drive(i, 0);
        }
        driven = rows;
        for (uint16_t j = 0; j < layer->outputs; j++) {
            const int32_t sum = column((uint16_t)(layer->node + j));
            hz_model_keep(l, s, j, hz_model_saturates(l) ? sum : (sum * HZ_INPUT_ONE) >> HZ_RELU_BITS);
        }
        hz_board->feed();
    }
}

/* One cell alone: its row at full voltage, the others at 0. */
static int16_t spi_read(hz_index parameter, uint16_t repeat)
{
    (void)repeat; /* every conversion has noise of its own */
    const struct hz_place place = hz_model_place(parameter);
    spi_safe();
    drive(place.i, HZ_INPUT_ONE);
    const int32_t sum = column((uint16_t)(hz_model.layer[place.l].node + place.j));
    spi_safe();
    return hz_bounded(sum * (1 << (HZ_WEIGHT_BITS - HZ_NODE_BITS)), -INT16_MAX, INT16_MAX);
}

const struct hz_array hz_array_spi = {
    .code = HZ_ARRAY_CODE_SPI,
    .reads = HZ_READS_OUTPUTS | HZ_READS_NODES | HZ_READS_WEIGHTS,
    .resolution = 1,
    .rows = 256,
    .columns = 256,
    .repeatable = false,
    .state = NULL,
    .state_bytes = 0,
    .begin = spi_begin,
    .write = spi_write,
    .displace = spi_displace,
    .layer = spi_layer,
    .read = spi_read,
    .safe = spi_safe,
    .noise = NULL,
};

#endif
