/* A new array: whatever holds the weights and multiplies by them. Fill in what is marked, and build with
 * -DHZ_ARRAY=hz_array_mine. core/array.h says when each function is called; core/array_spi.c is a whole one.
 */
#include <stddef.h>

#include "array.h"
#include "board.h"
#include "hz1_messages.h"

/* TODO: a network stands, its parameters are 0: program all of them. */
static void begin(void)
{
}

/* TODO: program parameters first .. first + count - 1 to hz_model.weight[], int16 in units of 2^-12. hz_model_place()
 * tells layer, row and column of each. Feed the watchdog if that takes long. */
static void write(hz_index first, hz_index count)
{
    for (hz_index n = 0; n < count; n++) {
        const struct hz_place place = hz_model_place((hz_index)(first + n));
        (void)place;
        hz_board->feed();
    }
}

/* TODO: an evaluation begins. hz_model_displaced(l, i, j) is what each weight is to be; if hz_model.scale is 0, that is
 * what was written. An array that can't be displaced without wear may program here only what has changed. */
static void displace(void)
{
}

/* TODO: drive the rows, read the columns. The row after the last input is the bias's. Nodes are in units of 2^-10, for
 * drives in 1/127; where hz_model_saturates(l) is false, drives are in 1/32, and so are 127/32 of that. */
static void layer(uint8_t l)
{
    const struct hz_layer *shape = &hz_model.layer[l];
    for (uint16_t s = 0; s < hz_model.samples; s++) {
        for (uint16_t i = 0; i <= shape->inputs; i++) {
            const int8_t drive = hz_model_drive(l, s, i);
            (void)drive;
        }
        for (uint16_t j = 0; j < shape->outputs; j++) {
            hz_model_keep(l, s, j, 0);
        }
        hz_board->feed();
    }
}

/* TODO, if single cells can be read: what a weight was in the last evaluation. Otherwise NULL below, and without
 * HZ_READS_WEIGHTS. */
static int16_t read(hz_index parameter, uint16_t repeat)
{
    (void)repeat;
    return hz_model.weight[parameter];
}

/* TODO: every voltage off. */
static void safe(void)
{
}

const struct hz_array hz_array_mine = {
    .code = HZ_ARRAY_CODE_OTHER,
    .reads = HZ_READS_OUTPUTS | HZ_READS_NODES | HZ_READS_WEIGHTS,
    .resolution = 1,  /* TODO: smallest step of a weight, units of 2^-12 */
    .rows = 65,       /* TODO: most inputs of a layer, its bias counted */
    .columns = 64,    /* TODO: most nodes, all layers together */
    .repeatable = false,
    .state = NULL,
    .state_bytes = 0,
    .begin = begin,
    .write = write,
    .displace = displace,
    .layer = layer,
    .read = read,
    .safe = safe,
    .noise = NULL,
};
