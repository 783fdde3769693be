/* What the board trains: a network of dense layers, its parameters, a batch and a run's key and step.
 *
 * docs/firmware-arithmetic.md says what each number means, to the bit. There is one model; it lives in static memory,
 * its arrays in one pool that is cut up anew for each network and batch.
 */
#ifndef HZ_MODEL_H
#define HZ_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "directions.h"

/* Counts parameters, and bytes of the pool. */
#if HZ_POOL_BYTES <= 65535
typedef uint16_t hz_index;
#else
typedef uint32_t hz_index;
#endif

#define HZ_WEIGHT_BITS 12
#define HZ_NODE_BITS 10
#define HZ_LOSS_BITS 16
#define HZ_INPUT_ONE 127 /* an input, a tanh and their bias count in 1/127 */
#define HZ_RELU_BITS 5   /* hidden relu and linear units count in 1/32, so that they reach 3.97 */

struct hz_layer {
    uint16_t inputs;
    uint16_t outputs;
    hz_index first; /* parameter, row by row; the bias is the last row */
    uint16_t node;  /* first node within a sample */
    hz_index rank1; /* first bit of a rank1-sign direction */
};

enum hz_latched { HZ_LATCHED_NOTHING, HZ_LATCHED_OUTPUTS, HZ_LATCHED_NODES, HZ_LATCHED_WEIGHTS };

struct hz_model {
    /* The network; up to `probe` all of it goes into a checkpoint. */
    struct hz_layer layer[HZ_MAX_LAYERS];
    uint8_t layers; /* 0: there is none */
    uint8_t activation;
    uint16_t widest; /* number of outputs */
    uint16_t nodes;  /* of a sample, all layers together */
    hz_index parameters;
    int16_t lower, upper; /* bounds of the parameters */
    int16_t limit;        /* bound of what noise makes of them, so that no column sum overflows */
    /* The run. */
    uint32_t key[2];
    uint32_t step;
    uint8_t law;
    bool keyed;
    /* The probe that the array is displaced by. */
    struct hz_direction probe;
    int16_t scale;
    /* The batch. */
    uint16_t samples;
    uint16_t row; /* bytes */
    uint8_t loss;
    /* The latch: nodes lie in `nodes`, weights are read off the array when asked for, or lie in
     * `sum` and on if a reading can't be had twice. */
    uint8_t latch;
    uint16_t latch_repeat;
    hz_index latch_first;
    hz_index latch_count;
    /* Where things lie in the pool. */
    int16_t *weight;   /* parameters */
    int16_t *line;     /* widest: one row of weights as the array realises them */
    int32_t *sum;      /* samples x widest, at least HZ_SUMS */
    int16_t *node;     /* samples x nodes: pre-activations of the last evaluation */
    int8_t *sample;    /* samples x row: inputs, then class number or targets */
    hz_index sums;     /* number of elements of `sum` */
    hz_index used;     /* bytes of the pool that the network takes, the batch has the rest */
    /* Use, since the start. */
    uint32_t reads;
    uint32_t writes;
};

#define HZ_SUMS 32
#define HZ_MAX_SAMPLES 512 /* so that a batch's losses add up to less than 2^32 */
#define HZ_MAX_CLASSES 255 /* so that a sum of exponentials stays below 2^32 */
#define HZ_SUM_LIMIT INT32_C(2113000000) /* largest column sum that hz_model_scaled() takes */

extern struct hz_model hz_model;

/* What a command may be refused for: the number of its field, HZ_ANY_FIELD if something else has to come first. */
#define HZ_FINE (-1)

/* Make it a network; `widths` are u16, little-endian: the number of inputs, then of each layer's
 * outputs. Parameters become 0. Returns HZ_FINE, or which argument does not do (fields of NETWORK); then nothing has changed. */
int16_t hz_model_network(uint8_t activation, int16_t lower, int16_t upper, const uint8_t *widths, uint16_t count);

/* Make room for a batch, all zeros. Returns HZ_FINE, or the field of BATCH at fault. */
int16_t hz_model_batch(uint16_t samples, uint8_t loss);

/* Most samples that a batch of this network may have. */
uint16_t hz_model_fit(uint8_t loss);

/* Mean loss of the batch with the parameters displaced by scale * direction(step, k), units of 2^-16. */
uint32_t hz_model_evaluate(uint16_t k, int16_t scale);

/* Parameters += sum of coefficient * direction(step, k) over pairs (k u16, coefficient i16, little-endian), bounded;
 * then the next step. */
void hz_model_update(const uint8_t *pairs, uint16_t count);

/* Tell the array that parameters were written. */
void hz_model_written(hz_index first, hz_index count);

/* Most weights that the latch takes. */
hz_index hz_model_latch_room(void);

/* Fill the latch with weights read off the array. */
void hz_model_latch(hz_index first, hz_index count, uint16_t repeat);

/* Value n of the latch. */
int16_t hz_model_latched(hz_index n);

/* Number of values in the latch. */
uint32_t hz_model_latch_size(void);

/* CRC-32 of the parameters as little-endian int16. */
uint32_t hz_model_hash(void);

/* Take the pool for the network: the arrays lie where they belong, all zeros; there is no batch. */
void hz_model_lay_out(void);

/* Number of parameter (i, j) of layer l. */
static inline hz_index hz_model_index(uint8_t l, uint16_t i, uint16_t j)
{
    return (hz_index)(hz_model.layer[l].first + (hz_index)((hz_index)i * hz_model.layer[l].outputs) + j);
}

/* Row and column of a parameter, and its layer. */
struct hz_place {
    uint16_t i, j;
    uint8_t l;
};
struct hz_place hz_model_place(hz_index parameter);

/* What row i of layer l is driven with for sample s: an input, a unit of the layer before, or the bias's one. */
int8_t hz_model_drive(uint8_t l, uint16_t s, uint16_t i);

/* True if what drives layer l counts in 1/127: inputs or tanh, which end there; otherwise in 1/32. */
bool hz_model_saturates(uint8_t l);

/* Weight (i, j) of layer l displaced by the probe, inside the bounds. */
int16_t hz_model_displaced(uint8_t l, uint16_t i, uint16_t j);

/* Keep node j of layer l of sample s, saturated to +-32767. */
void hz_model_keep(uint8_t l, uint16_t s, uint16_t j, int32_t node);

/* Pre-activation, node units, from a column sum of layer l; not yet saturated. */
int32_t hz_model_scaled(uint8_t l, int32_t sum);

static inline int16_t hz_bounded(int32_t value, int16_t lower, int16_t upper)
{
    return value < lower ? lower : value > upper ? upper : (int16_t)value;
}

#endif
