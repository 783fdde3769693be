#include "model.h"

#include "array.h"
#include "board.h"
#include "crc32.h"
#include "hz1_messages.h"
#include "loss.h"
#include "table_tanh.h"

#if HZ_POOL_BYTES % 4 != 0 || HZ_MAX_PAYLOAD < HZ_LEAST_PAYLOAD
#error "HZ_POOL_BYTES must be a multiple of 4, HZ_MAX_PAYLOAD at least 64"
#endif
#if (-1 >> 1) != -1
#error "right shifts of negative numbers must round down"
#endif

struct hz_model hz_model;

/* Each part of it is used as one type, from NETWORK or BATCH on. */
static union {
    int32_t align;
    uint8_t bytes[HZ_POOL_BYTES];
} pool;

static uint32_t aligned(uint32_t bytes) { return (bytes + 3) & ~(uint32_t)3; }

static void clear(uint8_t *bytes, hz_index count)
{
    while (count--) {
        *bytes++ = 0;
    }
}

/* What the network takes: weights, and a row of them. */
static uint32_t network_bytes(uint32_t parameters, uint16_t widest)
{
    return aligned(2 * parameters) + aligned(2 * (uint32_t)widest);
}

/* What a batch takes: sums, nodes and rows. */
static uint32_t batch_bytes(uint16_t samples, uint16_t widest, uint32_t nodes, uint32_t row)
{
    const uint32_t sums = (uint32_t)samples * widest;
    return samples * (2 * nodes + row) + 4 * (sums < HZ_SUMS ? HZ_SUMS : sums);
}

HZ_APART int16_t hz_model_network(uint8_t activation, int16_t lower, int16_t upper, const uint8_t *widths, uint16_t count)
{
    if (activation > HZ_ACTIVATION_CODE_RELU) {
        return HZ_NETWORK_FIELD_ACTIVATION;
    }
    if (count < 2 || count > HZ_MAX_LAYERS + 1) {
        return HZ_NETWORK_FIELD_WIDTHS;
    }
    uint32_t parameters = 0;
    uint32_t nodes = 0;
    uint16_t widest = 0;
    uint16_t deepest = 0;
    for (uint16_t n = 0; n < count; n++) {
        const uint16_t width = hz_get_u16(widths + 2 * n);
        if (width < 1 || width > HZ_MAX_WIDTH) {
            return HZ_NETWORK_FIELD_WIDTHS;
        }
        if (n > 0) {
            const uint16_t inputs = hz_get_u16(widths + 2 * (n - 1));
            parameters += (inputs + UINT32_C(1)) * width;
            nodes += width;
            widest = width > widest ? width : widest;
            deepest = inputs > deepest ? inputs : deepest;
        }
    }
    if (deepest >= hz_array->rows || nodes > hz_array->columns ||
        network_bytes(parameters, widest) + batch_bytes(1, widest, nodes, hz_get_u16(widths) + UINT32_C(1)) >
        HZ_POOL_BYTES) {
        return HZ_NETWORK_FIELD_WIDTHS;
    }
    const int32_t limit = HZ_SUM_LIMIT / ((int32_t)HZ_INPUT_ONE * (deepest + INT32_C(1)));
    const int16_t bound = limit < INT16_MAX ? (int16_t)limit : INT16_MAX;
    if (lower < -bound || lower > 0) {
        return HZ_NETWORK_FIELD_LOWER;
    }
    if (upper > bound || upper < 0 || upper == lower) {
        return HZ_NETWORK_FIELD_UPPER;
    }

    struct hz_layer *layer = hz_model.layer;
    struct hz_layer next = {0, 0, 0, 0, 0};
    for (uint16_t n = 1; n < count; n++) {
        next.inputs = hz_get_u16(widths + 2 * (n - 1));
        next.outputs = hz_get_u16(widths + 2 * n);
        *layer++ = next;
        next.first = (hz_index)(next.first + (next.inputs + UINT32_C(1)) * next.outputs);
        next.node = (uint16_t)(next.node + next.outputs);
        next.rank1 = (hz_index)(next.rank1 + next.inputs + 2 * next.outputs);
    }
    hz_model.layers = (uint8_t)(count - 1);
    hz_model.activation = activation;
    hz_model.widest = widest;
    hz_model.nodes = next.node;
    hz_model.parameters = next.first;
    hz_model.lower = lower;
    hz_model.upper = upper;
    hz_model.limit = bound;
    hz_model.key[0] = 0;
    hz_model.key[1] = 0;
    hz_model.step = 0;
    hz_model.law = HZ_LAW_CODE_RADEMACHER;
    hz_model.keyed = false;
    hz_model_lay_out();
    hz_array->begin();
    return HZ_FINE;
}

void hz_model_lay_out(void)
{
    hz_model.used = (hz_index)network_bytes(hz_model.parameters, hz_model.widest);
    hz_model.weight = (int16_t *)(void *)pool.bytes;
    hz_model.line = (int16_t *)(void *)(pool.bytes + aligned(2 * (uint32_t)hz_model.parameters));
    hz_model.sum = (int32_t *)(void *)(pool.bytes + hz_model.used);
    hz_model.sums = HZ_SUMS;
    hz_model.scale = 0;
    hz_model.samples = 0;
    hz_model.latch = HZ_LATCHED_NOTHING;
    hz_direction_begin(&hz_model.probe, 0, 0);
    clear(pool.bytes, HZ_POOL_BYTES);
}

static uint16_t row_bytes(uint8_t loss)
{
    const uint16_t outputs = hz_model.layer[hz_model.layers - 1].outputs;
    return (uint16_t)(hz_model.layer[0].inputs + (loss == HZ_LOSS_CODE_CROSS_ENTROPY ? 1 : outputs));
}

static bool fits(uint16_t samples, uint8_t loss)
{
    return samples <= HZ_MAX_SAMPLES && batch_bytes(samples, hz_model.widest, hz_model.nodes, row_bytes(loss)) <=
                                            HZ_POOL_BYTES - (uint32_t)hz_model.used;
}

uint16_t hz_model_fit(uint8_t loss)
{
    uint16_t samples = 0;
    while (hz_model.layers > 0 && fits((uint16_t)(samples + 1), loss)) {
        samples++;
    }
    return samples;
}

HZ_APART int16_t hz_model_batch(uint16_t samples, uint8_t loss)
{
    if (hz_model.layers == 0) {
        return HZ_ANY_FIELD;
    }
    const uint16_t outputs = hz_model.layer[hz_model.layers - 1].outputs;
    if (loss > HZ_LOSS_CODE_SQUARED_ERROR || outputs > HZ_MAX_CLASSES) {
        return HZ_BATCH_FIELD_LOSS;
    }
    if (samples < 1 || !fits(samples, loss)) {
        return HZ_BATCH_FIELD_SAMPLES;
    }
    const hz_index sums = (hz_index)samples * hz_model.widest;
    hz_model.sums = sums < HZ_SUMS ? HZ_SUMS : sums;
    hz_model.samples = samples;
    hz_model.loss = loss;
    hz_model.row = row_bytes(loss);
    hz_model.node = (int16_t *)(void *)(hz_model.sum + hz_model.sums);
    hz_model.sample = (int8_t *)(hz_model.node + (hz_index)samples * hz_model.nodes);
    hz_model.latch = HZ_LATCHED_NOTHING;
    clear((uint8_t *)hz_model.sample, (hz_index)samples * hz_model.row);
    return HZ_FINE;
}

bool hz_model_saturates(uint8_t l) { return l == 0 || hz_model.activation == HZ_ACTIVATION_CODE_TANH; }

int8_t hz_model_drive(uint8_t l, uint16_t s, uint16_t i)
{
    const struct hz_layer *layer = &hz_model.layer[l];
    if (i == layer->inputs) {
        return hz_model_saturates(l) ? HZ_INPUT_ONE : 1 << HZ_RELU_BITS;
    }
    if (l == 0) {
        return hz_model.sample[(hz_index)s * hz_model.row + i];
    }
    const int16_t node = hz_model.node[(hz_index)s * hz_model.nodes + layer[-1].node + i];
    if (hz_model.activation == HZ_ACTIVATION_CODE_TANH) {
        const uint16_t index = (uint16_t)((node < 0 ? -(int32_t)node : node) >> 3);
        const uint8_t last = HZ_INPUT_ONE;
        const uint8_t size = index < sizeof tanh_table ? hz_rom_u8(&tanh_table[index]) : last;
        return (int8_t)(node < 0 ? -size : size);
    }
    const int32_t unit = ((int32_t)node + (1 << (HZ_NODE_BITS - HZ_RELU_BITS - 1))) >> (HZ_NODE_BITS - HZ_RELU_BITS);
    const int8_t least = hz_model.activation == HZ_ACTIVATION_CODE_RELU ? 0 : -HZ_INPUT_ONE;
    return (int8_t)(unit < least ? least : unit > HZ_INPUT_ONE ? HZ_INPUT_ONE : unit);
}

int32_t hz_model_scaled(uint8_t l, int32_t sum)
{
    if (hz_model_saturates(l)) { /* 1/127 = 2^-7 (1 + 2^-7), to 6e-5 of itself */
        return (sum + (sum >> 7) + (1 << 8)) >> (HZ_WEIGHT_BITS + 7 - HZ_NODE_BITS);
    }
    return (sum + (1 << 6)) >> (HZ_WEIGHT_BITS + HZ_RELU_BITS - HZ_NODE_BITS);
}

void hz_model_keep(uint8_t l, uint16_t s, uint16_t j, int32_t node)
{
    hz_model.node[(hz_index)s * hz_model.nodes + hz_model.layer[l].node + j] = hz_bounded(node, -INT16_MAX, INT16_MAX);
}

int16_t hz_model_displaced(uint8_t l, uint16_t i, uint16_t j)
{
    const int16_t weight = hz_model.weight[hz_model_index(l, i, j)];
    if (hz_model.scale == 0) {
        return weight;
    }
    const bool plus = hz_direction_plus(&hz_model.probe, l, i, j);
    const int32_t displaced = plus ? (int32_t)weight + hz_model.scale : (int32_t)weight - hz_model.scale;
    return hz_bounded(displaced, hz_model.lower, hz_model.upper);
}

uint32_t hz_model_evaluate(uint16_t k, int16_t scale)
{
    hz_direction_begin(&hz_model.probe, hz_model.step, k);
    hz_model.scale = scale;
    hz_model.latch = HZ_LATCHED_NOTHING;
    hz_array->displace();
    for (uint8_t l = 0; l < hz_model.layers; l++) {
        hz_array->layer(l);
    }
    hz_model.reads += (uint32_t)hz_model.samples * hz_model.layers;
    const struct hz_layer *last = &hz_model.layer[hz_model.layers - 1];
    const int16_t *outputs = hz_model.node + last->node;
    const int8_t *targets = hz_model.sample + hz_model.layer[0].inputs;
    uint32_t total = 0;
    for (uint16_t s = 0; s < hz_model.samples; s++) {
        total += hz_loss(hz_model.loss, outputs, last->outputs, targets);
        outputs += hz_model.nodes;
        targets += hz_model.row;
    }
    return (total + hz_model.samples / 2) / hz_model.samples;
}

struct hz_place hz_model_place(hz_index parameter)
{
    struct hz_place place = {0, 0, 0};
    while (place.l + 1 < hz_model.layers && parameter >= hz_model.layer[place.l + 1].first) {
        place.l++;
    }
    const struct hz_layer *layer = &hz_model.layer[place.l];
    const hz_index within = parameter - layer->first;
    place.i = (uint16_t)(within / layer->outputs);
    place.j = (uint16_t)(within % layer->outputs);
    return place;
}

HZ_APART void hz_model_update(const uint8_t *pairs, uint16_t count)
{
    /* The sums of the last evaluation are no longer needed: they add up what a run of parameters moves by. */
    for (hz_index start = 0; start < hz_model.parameters; start = (hz_index)(start + hz_model.sums)) {
        const hz_index left = hz_model.parameters - start;
        const hz_index run = left < hz_model.sums ? left : hz_model.sums;
        for (hz_index n = 0; n < run; n++) {
            hz_model.sum[n] = hz_model.weight[start + n];
        }
        for (uint16_t pair = 0; pair < count; pair++) {
            const int16_t coefficient = hz_get_i16(pairs + 4 * pair + 2);
            struct hz_direction *direction = &hz_model.probe;
            struct hz_place place = hz_model_place(start);
            if (direction->t != hz_model.step || direction->k != hz_get_u16(pairs + 4 * pair)) {
                hz_direction_begin(direction, hz_model.step, hz_get_u16(pairs + 4 * pair));
            }
            for (hz_index n = 0; n < run; n++) {
                const bool plus = hz_direction_plus(direction, place.l, place.i, place.j);
                hz_model.sum[n] += plus ? coefficient : -(int32_t)coefficient;
                if (++place.j == hz_model.layer[place.l].outputs) {
                    place.j = 0;
                    if (place.i++ == hz_model.layer[place.l].inputs) {
                        place.i = 0;
                        place.l++;
                    }
                }
            }
            hz_board->feed();
        }
        for (hz_index n = 0; n < run; n++) {
            hz_model.weight[start + n] = hz_bounded(hz_model.sum[n], hz_model.lower, hz_model.upper);
        }
    }
    hz_model.step++;
    hz_model_written(0, hz_model.parameters);
}

void hz_model_written(hz_index first, hz_index count)
{
    hz_model.scale = 0;
    hz_model.latch = HZ_LATCHED_NOTHING;
    hz_model.writes += count;
    hz_array->write(first, count);
}

hz_index hz_model_latch_room(void)
{
    const hz_index nodes = (hz_index)(hz_model.samples * (uint32_t)hz_model.nodes); /* they lie behind the sums */
    return hz_array->repeatable ? hz_model.parameters : (hz_index)(2 * hz_model.sums + nodes);
}

void hz_model_latch(hz_index first, hz_index count, uint16_t repeat)
{
    hz_model.latch = HZ_LATCHED_WEIGHTS;
    hz_model.latch_first = first;
    hz_model.latch_count = count;
    hz_model.latch_repeat = repeat;
    if (!hz_array->repeatable) {
        int16_t *kept = (int16_t *)(void *)hz_model.sum;
        for (hz_index n = 0; n < count; n++) {
            kept[n] = hz_array->read((hz_index)(first + n), repeat);
            hz_board->feed();
        }
    }
}

uint32_t hz_model_latch_size(void)
{
    switch (hz_model.latch) {
    case HZ_LATCHED_WEIGHTS:
        return hz_model.latch_count;
    case HZ_LATCHED_NODES:
        return (uint32_t)hz_model.samples * hz_model.nodes;
    case HZ_LATCHED_OUTPUTS:
        return (uint32_t)hz_model.samples * hz_model.layer[hz_model.layers - 1].outputs;
    default:
        return 0;
    }
}

int16_t hz_model_latched(hz_index n)
{
    if (hz_model.latch == HZ_LATCHED_WEIGHTS) {
        const int16_t *kept = (const int16_t *)(const void *)hz_model.sum;
        return hz_array->repeatable ? hz_array->read((hz_index)(hz_model.latch_first + n), hz_model.latch_repeat) : kept[n];
    }
    if (hz_model.latch == HZ_LATCHED_NODES) {
        return hz_model.node[n];
    }
    const struct hz_layer *last = &hz_model.layer[hz_model.layers - 1];
    return hz_model.node[(hz_index)(n / last->outputs) * hz_model.nodes + last->node + n % last->outputs];
}

uint32_t hz_model_hash(void)
{
    uint32_t crc = HZ_CRC32_START;
    for (hz_index n = 0; n < hz_model.parameters; n++) {
        const uint16_t bits = (uint16_t)hz_model.weight[n];
        crc = hz_crc32_byte(hz_crc32_byte(crc, (uint8_t)bits), (uint8_t)(bits >> 8));
    }
    return ~crc;
}
