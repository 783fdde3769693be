/* A noisy chip in software. Its noise is drawn from Philox by (what, when, which), so nothing of it is kept: a reading
 * of what an evaluation realised computes it again. Streams, laws and counters: docs/firmware-arithmetic.md. */
#include <stddef.h>

#include "array.h"
#include "board.h"
#include "hz1_messages.h"
#include "philox.h"

/* Streams of noise, from Philox stream 16 on. */
enum { PROGRAMMING, READ, NODE, READING, STREAMS, FIRST_STREAM = 16 };

static struct {
    uint32_t seed[2];
    uint32_t evaluation; /* counts evaluations */
    uint32_t write;      /* counts writes: each programs the whole chip */
    uint16_t gain[STREAMS];
} chip;
static uint16_t repeat; /* of the reading */

/* Add draws n, n + 1, ... of a stream to values, and bound them. */
static void add_noise(uint8_t stream, hz_index n, int16_t *values, uint16_t count)
{
    const uint16_t gain = chip.gain[stream];
    uint32_t words[4];
    for (uint16_t left = gain == 0 ? 0 : count; left > 0; left--, n++, values++) {
        if (left == count || (n & 3) == 0) {
            words[0] = n >> 2;
            words[1] = stream == PROGRAMMING ? chip.write : chip.evaluation;
            words[2] = stream == READING ? repeat : 0;
            words[3] = (uint32_t)FIRST_STREAM + stream;
            hz_philox(words, chip.seed);
        }
        const uint32_t word = words[n & 3];
        int16_t normal = (int16_t)((uint8_t)(word >> 16) + (uint8_t)(word >> 24) - 2303);
        for (uint16_t half = (uint16_t)word; half != 0; half = (uint16_t)(half & (half - 1))) {
            normal = (int16_t)(normal + 256); /* ones of the low half: binomial; the other bytes fill the gaps */
        }
        const int16_t bound = stream == PROGRAMMING || stream == READ ? hz_model.limit : INT16_MAX;
        *values = hz_bounded(*values + (((int32_t)normal * gain + 4096) >> 13), (int16_t)-bound, bound);
    }
}

/* What the weights of a row are during the evaluation, from column j on. */
static void realise(int16_t *values, uint16_t count, uint8_t l, uint16_t i, uint16_t j)
{
    const hz_index first = hz_model_index(l, i, j);
    for (uint16_t n = 0; n < count; n++) {
        values[n] = hz_model_displaced(l, i, (uint16_t)(j + n));
    }
    add_noise(PROGRAMMING, first, values, count);
    add_noise(READ, first, values, count);
}

static void sim_begin(void) { chip.write++; }

static void sim_write(hz_index first, hz_index count)
{
    (void)first;
    (void)count;
    chip.write++;
}

static void sim_displace(void) { chip.evaluation++; }

/* Add a row's part to the sums of every sample. */
HZ_APART static void accumulate(uint8_t l, uint16_t i)
{
    const uint16_t outputs = hz_model.layer[l].outputs;
    int32_t *sum = hz_model.sum;
    for (uint16_t s = 0; s < hz_model.samples; s++) {
        const int8_t drive = hz_model_drive(l, s, i);
        if (drive == 0) {
            sum += outputs;
            continue;
        }
        const int16_t *weight = hz_model.line;
        for (uint16_t j = outputs; j > 0; j--) {
            *sum++ += (int32_t)drive * *weight++;
        }
    }
}

HZ_APART static void make_nodes(uint8_t l)
{
    const uint16_t outputs = hz_model.layer[l].outputs;
    const int32_t *sum = hz_model.sum;
    hz_index node = hz_model.layer[l].node;
    for (uint16_t s = 0; s < hz_model.samples; s++) {
        for (uint16_t j = 0; j < outputs; j++) {
            hz_model_keep(l, s, j, hz_model_scaled(l, *sum++));
        }
        add_noise(NODE, node, &hz_model.node[node], outputs);
        node = (hz_index)(node + hz_model.nodes);
        hz_board->feed();
    }
}

static void sim_layer(uint8_t l)
{
    for (hz_index n = 0; n < hz_model.sums; n++) {
        hz_model.sum[n] = 0;
    }
    /* Row by row, so that each weight is realised once and serves all samples. */
    for (uint16_t i = 0; i <= hz_model.layer[l].inputs; i++) {
        realise(hz_model.line, hz_model.layer[l].outputs, l, i, 0);
        accumulate(l, i);
        hz_board->feed();
    }
    make_nodes(l);
}

static int16_t sim_read(hz_index parameter, uint16_t number)
{
    const struct hz_place place = hz_model_place(parameter);
    int16_t weight;
    realise(&weight, 1, place.l, place.i, place.j);
    repeat = number;
    add_noise(READING, parameter, &weight, 1);
    return weight;
}

static void sim_safe(void) {}

/* 8192 sd / (standard deviation of `normal`), which is 522.56. */
static uint16_t gain(uint16_t sd) { return (uint16_t)((sd * UINT32_C(4013) + 128) >> 8); }

static void sim_noise(const uint32_t seed[2], uint16_t read_sd, uint16_t programming_sd, uint16_t node_sd)
{
    chip.seed[0] = seed[0];
    chip.seed[1] = seed[1];
    chip.evaluation = 0;
    chip.write = 0;
    chip.gain[PROGRAMMING] = gain(programming_sd);
    chip.gain[READ] = gain(read_sd);
    chip.gain[NODE] = gain(node_sd);
    chip.gain[READING] = chip.gain[READ] >> 2; /* a reading errs by a quarter of what the weight itself does */
}

const struct hz_array hz_array_sim = {
    .code = HZ_ARRAY_CODE_SIM,
    .reads = HZ_READS_OUTPUTS | HZ_READS_NODES | HZ_READS_WEIGHTS,
    .resolution = 1,
    .rows = UINT16_MAX,
    .columns = UINT16_MAX,
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
