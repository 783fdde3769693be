/* An array driver: the few functions by which the core uses whatever holds the weights and multiplies by them. */
#ifndef HZ_ARRAY_H
#define HZ_ARRAY_H

#include "model.h"

#define HZ_MAX_SD 4096

struct hz_array {
    uint8_t code;  /* HZ_ARRAY_CODE_... */
    uint8_t reads; /* HZ_READS_... that it can give */

    uint16_t resolution; /* smallest step of a weight, units of 2^-12 */
    uint16_t rows;       /* most inputs of a layer, its bias counted */
    uint16_t columns;    /* most nodes, all layers together */

    /* True if `read` gives the same value for the same repeat number until the next evaluation or write. If not, the
     * core keeps readings where sums and nodes lie, and the latch takes no more weights than that. */
    bool repeatable;

    /* Its own state that belongs into a checkpoint, with the parameters; NULL and 0 if it has none. */
    void *state;
    uint8_t state_bytes;

    /* A network stands, its parameters are 0. */
    void (*begin)(void);

    /* Parameters first .. first + count - 1 have new targets, hz_model.weight[]: program them. */
    void (*write)(hz_index first, hz_index count);

    /* An evaluation begins: the weights to use are hz_model_displaced(). */
    void (*displace)(void);

    /* Pre-activations of layer l for every sample, from hz_model_drive() to hz_model_keep(). */
    void (*layer)(uint8_t l);

    /* Parameter as it was realised by the last evaluation, with the error of reading it. */
    int16_t (*read)(hz_index parameter, uint16_t repeat);

    /* Take every voltage off the array. */
    void (*safe)(void);

    /* Set the noise of a simulated array, standard deviations in weight and node units, at most HZ_MAX_SD; NULL on a
     * real one. */
    void (*noise)(const uint32_t seed[2], uint16_t read_sd, uint16_t programming_sd, uint16_t node_sd);
};

/* Noise in software. */
extern const struct hz_array hz_array_sim;

/* DACs behind SPI, and an ADC; see array_spi.h. */
extern const struct hz_array hz_array_spi;

/* The one in use; set by hz_start(). A build for one array only names it by -DHZ_ARRAY=hz_array_sim: then it takes no RAM,
 * and calls of it are direct. */
#ifdef HZ_ARRAY
extern const struct hz_array HZ_ARRAY;
static const struct hz_array *const hz_array = &HZ_ARRAY;
#else
extern const struct hz_array *hz_array;
#endif

#endif
