/* A noisy chip in software. Its noise is drawn from Philox by (what, when, which), so nothing of it is kept: a reading
 * of what an evaluation realised computes it again. Streams, laws and counters: docs/firmware-arithmetic.md. */
#include <stddef.h>

#include "array.h"
#include "board.h"
#include "hz1_messages.h"
#include "philox.h"

enum { PROGRAMMING = 16, READ = 17, NODE = 18, READING = 19 };

static struct {
    uint32_t seed[2];
    uint32_t evaluation; /* counts evaluations */
    uint32_t write;      /* counts writes: each programs the whole chip */
    uint32_t read_gain, programming_gain, node_gain;
} chip;

/* Four draws of one block, kept until another one is asked for. */
struct draws {
    uint32_t words[4];
    uint32_t block;
    bool valid;
};

/* Draw n of a stream, in units of what `gain` was made for. */
static int32_t draw(struct draws *draws, uint8_t stream, uint32_t when, uint16_t again, uint32_t n, uint32_t gain)
{
    if (gain == 0) {
        return 0;
    }
    if (!draws->valid || draws->block != n >> 2) {
        draws->block = n >> 2;
        draws->valid = true;
        draws->words[0] = draws->block;
        draws->words[1] = when;
        draws->words[2] = again;
        draws->words[3] = stream;
        hz_philox(draws->words, chip.seed);
    }
    const uint32_t word = draws->words[n & 3];
    uint8_t ones = 0; /* of the low half: binomial; the two high bytes fill the gaps between its values */
    for (uint16_t half = (uint16_t)word; half != 0; half = (uint16_t)(half & (half - 1))) {
        ones++;
    }
    const int32_t normal = INT32_C(256) * ones + (uint8_t)(word >> 16) + (uint8_t)(word >> 24) - 2303;
    return (normal * (int32_t)gain + 4096) >> 13;
}

/* What a weight is during the evaluation. */
static int16_t realised(struct draws *programming, struct draws *read, uint8_t l, uint16_t i, uint16_t j)
{
    const struct hz_layer *layer = &hz_model.layer[l];
    const uint32_t parameter = layer->first + (uint32_t)i * layer->outputs + j;
    int32_t weight = hz_model_displaced(l, i, j);
    weight += draw(programming, PROGRAMMING, chip.write, 0, parameter, chip.programming_gain);
    weight += draw(read, READ, chip.evaluation, 0, parameter, chip.read_gain);
    return hz_bounded(weight, (int16_t)-hz_model.limit, hz_model.limit);
}

static void sim_begin(void) { chip.write++; }

static void sim_write(hz_index first, hz_index count)
{
    (void)first;
    (void)count;
    chip.write++;
}

static void sim_displace(void) { chip.evaluation++; }

static void sim_layer(uint8_t l)
{
    const struct hz_layer *layer = &hz_model.layer[l];
    const uint16_t outputs = layer->outputs;
    struct draws one, other;
    one.valid = false;
    other.valid = false;
    for (hz_index n = 0; n < (hz_index)hz_model.samples * outputs; n++) {
        hz_model.sum[n] = 0;
    }
    /* Row by row, so that each weight is realised once and serves all samples. */
    for (uint16_t i = 0; i <= layer->inputs; i++) {
        for (uint16_t j = 0; j < outputs; j++) {
            hz_model.line[j] = realised(&one, &other, l, i, j);
        }
        int32_t *sum = hz_model.sum;
        for (uint16_t s = 0; s < hz_model.samples; s++, sum += outputs) {
            const int16_t drive = hz_model_drive(l, s, i);
            if (drive != 0) {
                for (uint16_t j = 0; j < outputs; j++) {
                    sum[j] += (int32_t)drive * hz_model.line[j];
                }
            }
        }
        hz_board->feed();
    }
    one.valid = false;
    const int32_t *sum = hz_model.sum;
    for (uint16_t s = 0; s < hz_model.samples; s++) {
        for (uint16_t j = 0; j < outputs; j++) {
            const uint32_t n = (uint32_t)s * hz_model.nodes + layer->node + j;
            const int32_t noise = draw(&one, NODE, chip.evaluation, 0, n, chip.node_gain);
            hz_model_keep(l, s, j, hz_model_scaled(l, *sum++) + noise);
        }
        hz_board->feed();
    }
}

static int16_t sim_read(hz_index parameter, uint16_t repeat)
{
    const struct hz_place place = hz_model_place(parameter);
    struct draws one, other;
    one.valid = false;
    other.valid = false;
    const int16_t weight = realised(&one, &other, place.l, place.i, place.j);
    one.valid = false;
    /* A reading errs by a quarter of what the weight itself does. */
    const int32_t error = draw(&one, READING, chip.evaluation, repeat, parameter, chip.read_gain >> 2);
    return hz_bounded(weight + error, -INT16_MAX, INT16_MAX);
}

static void sim_safe(void) {}

/* 256 sd / (standard deviation of `normal` / 8192): see draw(). */
static uint32_t gain(uint16_t sd) { return (sd * UINT32_C(4013) + 128) >> 8; }

static void sim_noise(const uint32_t seed[2], uint16_t read_sd, uint16_t programming_sd, uint16_t node_sd)
{
    chip.seed[0] = seed[0];
    chip.seed[1] = seed[1];
    chip.evaluation = 0;
    chip.write = 0;
    chip.read_gain = gain(read_sd);
    chip.programming_gain = gain(programming_sd);
    chip.node_gain = gain(node_sd);
}

const struct hz_array hz_array_sim = {
    .code = HZ_ARRAY_CODE_SIM,
    .reads = HZ_READS_OUTPUTS | HZ_READS_NODES | HZ_READS_WEIGHTS,
    .resolution = 1,
    .repeatable = true,
    .state = &chip,
    .state_bytes = sizeof chip,
    .begin = sim_begin,
    .write = sim_write,
    .displace = sim_displace,
    .layer = sim_layer,
    .read = sim_read,
    .safe = sim_safe,
    .noise = sim_noise,
};
