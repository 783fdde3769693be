#include "commands.h"

#include <stddef.h>

#include "array.h"
#include "board.h"
#include "checkpoint.h"
#include "hz1_messages.h"

#define MOST_EVALUATIONS (HZ_CACHED_REPLY / 4)

struct hz_link hz_link;

static uint8_t range(struct hz_answer *answer, uint8_t field)
{
    answer->payload[0] = field;
    answer->length = 1;
    return HZ_STATUS_E_RANGE;
}

/* The status of what gives HZ_FINE, or a field. */
static uint8_t judged(struct hz_answer *answer, int16_t field)
{
    return field == HZ_FINE ? HZ_STATUS_OK : range(answer, (uint8_t)field);
}

void hz_make_safe(void)
{
    if (hz_link.safe) {
        return;
    }
    hz_link.safe = true;
    hz_link.made_safe++;
    hz_array->safe();
    if (hz_board->safe != NULL) {
        hz_board->safe();
    }
}

HZ_APART static uint8_t describe(uint16_t length, struct hz_answer *answer)
{
    if (hz_describe_request_unpack(length) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    const uint16_t samples = hz_model_fit(HZ_LOSS_CODE_CROSS_ENTROPY);
    const uint32_t nodes = (uint32_t)samples * hz_model.nodes;
    const uint32_t room = hz_model.layers > 0 ? hz_model_latch_room() : 0;
    const struct hz_describe_reply reply = {
        .lower = -INT16_MAX,
        .upper = INT16_MAX,
        .resolution = hz_array->resolution,
        .weight_bits = HZ_WEIGHT_BITS,
        .node_bits = HZ_NODE_BITS,
        .loss_bits = HZ_LOSS_BITS,
        .array = hz_array->code,
        .reads = hz_array->reads,
        .laws = 1 << HZ_LAW_CODE_RADEMACHER | 1 << HZ_LAW_CODE_RANK1_SIGN,
        .activations = 1 << HZ_ACTIVATION_CODE_LINEAR | 1 << HZ_ACTIVATION_CODE_TANH | 1 << HZ_ACTIVATION_CODE_RELU,
        .losses = 1 << HZ_LOSS_CODE_CROSS_ENTROPY | 1 << HZ_LOSS_CODE_SQUARED_ERROR,
        .max_layers = HZ_MAX_LAYERS,
        .max_width = HZ_MAX_WIDTH,
        .max_samples = samples,
        .batch_bytes = samples * (hz_model.layer[0].inputs + UINT32_C(1)),
        .latch_values = hz_array->repeatable && nodes > room ? nodes : room,
        .receive_buffer = hz_board->receive_buffer,
        .nonvolatile = HZ_NONVOLATILE_BYTES,
        .serial = hz_board->serial,
    };
    hz_describe_reply_pack(answer->payload, &reply);
    answer->length = HZ_DESCRIBE_REPLY_SIZE;
    for (const char *letter = hz_board->model; *letter != 0 && answer->length < HZ_LEAST_PAYLOAD; letter++) {
        answer->payload[answer->length++] = (uint8_t)*letter;
    }
    return HZ_STATUS_OK;
}

HZ_APART static uint8_t network(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_network_request request;
    if (hz_network_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    const int16_t field =
        hz_model_network(request.activation, request.lower, request.upper, request.widths, request.n_widths);
    if (field == HZ_FINE) {
        const struct hz_network_reply reply = {hz_model.parameters};
        hz_network_reply_pack(answer->payload, &reply);
        answer->length = HZ_NETWORK_REPLY_SIZE;
    }
    return judged(answer, field);
}

HZ_APART static uint8_t key(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_key_request request;
    if (hz_key_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (hz_model.layers == 0) {
        return range(answer, HZ_ANY_FIELD);
    }
    if (request.law > HZ_LAW_CODE_RANK1_SIGN) {
        return range(answer, HZ_KEY_FIELD_LAW);
    }
    hz_model.key[0] = (uint32_t)request.key;
    hz_model.key[1] = (uint32_t)(request.key >> 32);
    hz_model.law = request.law;
    hz_model.step = request.step;
    hz_model.keyed = true;
    hz_model.scale = 0;
    hz_model.latch = HZ_LATCHED_NOTHING;
    hz_direction_begin(&hz_model.probe, 0, 0);
    return HZ_STATUS_OK;
}

HZ_APART static uint8_t write(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_write_request request;
    if (hz_write_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (hz_model.layers == 0) {
        return range(answer, HZ_ANY_FIELD);
    }
    if (request.offset > hz_model.parameters) {
        return range(answer, HZ_WRITE_FIELD_OFFSET);
    }
    if (request.n_values > hz_model.parameters - request.offset) {
        return range(answer, HZ_WRITE_FIELD_VALUES);
    }
    for (uint16_t n = 0; n < request.n_values; n++) {
        const int16_t value = hz_get_i16(request.values + 2 * n);
        if (value < hz_model.lower || value > hz_model.upper) {
            return range(answer, HZ_WRITE_FIELD_VALUES);
        }
    }
    int16_t *weight = hz_model.weight + request.offset;
    for (uint16_t n = 0; n < request.n_values; n++) {
        weight[n] = hz_get_i16(request.values + 2 * n);
    }
    hz_model_written((hz_index)request.offset, request.n_values);
    return HZ_STATUS_OK;
}

/* READ and FETCH: their requests have the same fields. */
HZ_APART static uint8_t read(uint8_t op, const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_read_request request;
    if (hz_read_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (hz_model.layers == 0 || (op == HZ_OP_FETCH && hz_model.latch == HZ_LATCHED_NOTHING)) {
        return range(answer, HZ_ANY_FIELD);
    }
    const uint32_t size = op == HZ_OP_FETCH ? hz_model_latch_size() : hz_model.parameters;
    if (request.offset > size) {
        return range(answer, HZ_READ_FIELD_OFFSET);
    }
    if (request.count > size - request.offset || request.count > HZ_MAX_PAYLOAD / 2) {
        return range(answer, HZ_READ_FIELD_COUNT);
    }
    const hz_index offset = (hz_index)request.offset;
    for (uint16_t n = 0; n < request.count; n++) {
        const hz_index from = (hz_index)(offset + n);
        hz_put_i16(answer->payload + 2 * n, op == HZ_OP_FETCH ? hz_model_latched(from) : hz_model.weight[from]);
        hz_board->feed();
    }
    answer->length = (uint16_t)(2 * request.count);
    return HZ_STATUS_OK;
}

HZ_APART static uint8_t latch(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_latch_request request;
    if (hz_latch_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (hz_model.layers == 0) {
        return range(answer, HZ_ANY_FIELD);
    }
    if (!(hz_array->reads & HZ_READS_WEIGHTS)) {
        return HZ_STATUS_E_OP;
    }
    if (request.offset > hz_model.parameters) {
        return range(answer, HZ_LATCH_FIELD_OFFSET);
    }
    if (request.count > hz_model.parameters - request.offset || request.count > hz_model_latch_room()) {
        return range(answer, HZ_LATCH_FIELD_COUNT);
    }
    hz_model_latch((hz_index)request.offset, (hz_index)request.count, request.repeat);
    return HZ_STATUS_OK;
}

HZ_APART static uint8_t batch(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_batch_request request;
    if (hz_batch_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    const int16_t field = hz_model_batch(request.samples, request.loss);
    if (field == HZ_FINE) {
        const struct hz_batch_reply reply = {hz_model.row};
        hz_batch_reply_pack(answer->payload, &reply);
        answer->length = HZ_BATCH_REPLY_SIZE;
    }
    return judged(answer, field);
}

HZ_APART static uint8_t sample(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_sample_request request;
    if (hz_sample_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (hz_model.samples == 0) {
        return range(answer, HZ_ANY_FIELD);
    }
    if (request.index >= hz_model.samples) {
        return range(answer, HZ_SAMPLE_FIELD_INDEX);
    }
    if (request.offset > hz_model.row) {
        return range(answer, HZ_SAMPLE_FIELD_OFFSET);
    }
    if (request.n_values > hz_model.row - request.offset) {
        return range(answer, HZ_SAMPLE_FIELD_VALUES);
    }
    const bool marked = request.n_values > 0 && request.offset + request.n_values == hz_model.row;
    if (hz_model.loss == HZ_LOSS_CODE_CROSS_ENTROPY && marked &&
        request.values[request.n_values - 1] >= hz_model.layer[hz_model.layers - 1].outputs) {
        return range(answer, HZ_SAMPLE_FIELD_VALUES);
    }
    int8_t *row = hz_model.sample + (hz_index)request.index * hz_model.row + request.offset;
    for (uint16_t n = 0; n < request.n_values; n++) {
        row[n] = hz_get_i8(request.values + n);
    }
    hz_model.latch = HZ_LATCHED_NOTHING;
    return HZ_STATUS_OK;
}

static uint8_t evaluate(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_evaluate_request request;
    if (hz_evaluate_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (hz_model.samples == 0 || (request.scale != 0 && !hz_model.keyed)) {
        return range(answer, HZ_ANY_FIELD);
    }
    if (request.t != hz_model.step) {
        return range(answer, HZ_EVALUATE_FIELD_T);
    }
    if (request.latch > (HZ_LATCH_OUTPUTS | HZ_LATCH_NODES)) {
        return range(answer, HZ_EVALUATE_FIELD_LATCH);
    }
    const struct hz_evaluate_reply reply = {hz_model_evaluate(request.k, request.scale)};
    hz_evaluate_reply_pack(answer->payload, &reply);
    answer->length = HZ_EVALUATE_REPLY_SIZE;
    if (request.latch != 0) {
        hz_model.latch = request.latch & HZ_LATCH_NODES ? HZ_LATCHED_NODES : HZ_LATCHED_OUTPUTS;
    }
    return HZ_STATUS_OK;
}

/* HZ_FINE if an update of step t may be made. Fields of UPDATE are STEP's. */
static int16_t updatable(uint32_t t)
{
    if (hz_model.layers == 0 || !hz_model.keyed) {
        return HZ_ANY_FIELD;
    }
    return t == hz_model.step && t != UINT32_MAX ? HZ_FINE : HZ_UPDATE_FIELD_T;
}

static uint8_t update(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_update_request request;
    if (hz_update_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    const int16_t field = updatable(request.t);
    if (field == HZ_FINE) {
        hz_model_update(request.pairs, request.n_pairs);
        const struct hz_update_reply reply = {hz_model.step};
        hz_update_reply_pack(answer->payload, &reply);
        answer->length = HZ_UPDATE_REPLY_SIZE;
    }
    return judged(answer, field);
}

static uint8_t step(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_step_request request;
    if (hz_step_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (request.n_evaluations > MOST_EVALUATIONS) {
        return range(answer, HZ_STEP_FIELD_EVALUATIONS);
    }
    if (hz_model.samples == 0) {
        return range(answer, HZ_ANY_FIELD);
    }
    const int16_t field = updatable(request.t);
    if (field == HZ_FINE) {
        hz_model_update(request.pairs, request.n_pairs);
        for (uint8_t n = 0; n < request.n_evaluations; n++) {
            const uint8_t *evaluation = request.evaluations + 4 * n;
            hz_put_u32(answer->payload + 4 * n, hz_model_evaluate(hz_get_u16(evaluation), hz_get_i16(evaluation + 2)));
        }
        answer->length = (uint16_t)(4 * request.n_evaluations);
    }
    return judged(answer, field);
}

static uint8_t hash(uint16_t length, struct hz_answer *answer)
{
    if (hz_hash_request_unpack(length) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    const struct hz_hash_reply reply = {hz_model_hash(), hz_model.step};
    hz_hash_reply_pack(answer->payload, &reply);
    answer->length = HZ_HASH_REPLY_SIZE;
    return HZ_STATUS_OK;
}

HZ_APART static uint8_t statistics(uint16_t length, struct hz_answer *answer)
{
    if (hz_statistics_request_unpack(length) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    const struct hz_statistics_reply reply = {
        .frames = hz_link.frames,
        .bad = hz_link.bad,
        .overruns = hz_board->overruns != NULL ? hz_board->overruns() : 0,
        .duplicates = hz_link.duplicates,
        .gaps = hz_link.gaps,
        .safe = hz_link.made_safe,
        .boots = hz_board->boots,
        .reads = hz_model.reads,
        .writes = hz_model.writes,
        .uptime_ms = hz_board->milliseconds(),
    };
    hz_statistics_reply_pack(answer->payload, &reply);
    answer->length = HZ_STATISTICS_REPLY_SIZE;
    return HZ_STATUS_OK;
}

HZ_APART static uint8_t checkpoint(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_checkpoint_request request;
    if (hz_checkpoint_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (HZ_NONVOLATILE_BYTES == 0) {
        return HZ_STATUS_E_OP;
    }
    if (request.action > HZ_ACTION_LOAD) {
        return range(answer, HZ_CHECKPOINT_FIELD_ACTION);
    }
    if (!(request.action == HZ_ACTION_SAVE ? hz_checkpoint_save() : hz_checkpoint_load())) {
        return range(answer, HZ_ANY_FIELD);
    }
    const struct hz_checkpoint_reply reply = {hz_model.step};
    hz_checkpoint_reply_pack(answer->payload, &reply);
    answer->length = HZ_CHECKPOINT_REPLY_SIZE;
    return HZ_STATUS_OK;
}

static uint8_t safe_clear(uint16_t length)
{
    if (hz_safe_clear_request_unpack(length) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    hz_link.safe = false;
    return HZ_STATUS_OK;
}

static uint8_t safe_enter(uint16_t length)
{
    if (hz_safe_enter_request_unpack(length) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    hz_make_safe();
    return HZ_STATUS_OK;
}

static uint8_t safe_timeout(const uint8_t *payload, uint16_t length)
{
    struct hz_safe_timeout_request request;
    if (hz_safe_timeout_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    hz_link.timeout = request.milliseconds;
    return HZ_STATUS_OK;
}

HZ_APART static uint8_t noise(const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    struct hz_noise_request request;
    if (hz_noise_request_unpack(payload, length, &request) != HZ_STATUS_OK) {
        return HZ_STATUS_E_LEN;
    }
    if (hz_array->noise == NULL) {
        return HZ_STATUS_E_OP;
    }
    if (request.read_sd > HZ_MAX_SD) {
        return range(answer, HZ_NOISE_FIELD_READ_SD);
    }
    if (request.programming_sd > HZ_MAX_SD) {
        return range(answer, HZ_NOISE_FIELD_PROGRAMMING_SD);
    }
    if (request.node_sd > HZ_MAX_SD) {
        return range(answer, HZ_NOISE_FIELD_NODE_SD);
    }
    const uint32_t seed[2] = {(uint32_t)request.seed, (uint32_t)(request.seed >> 32)};
    hz_array->noise(seed, request.read_sd, request.programming_sd, request.node_sd);
    hz_model.latch = HZ_LATCHED_NOTHING;
    return HZ_STATUS_OK;
}

uint8_t hz_command(uint8_t op, const uint8_t *payload, uint16_t length, struct hz_answer *answer)
{
    answer->length = 0;
    if (hz_link.safe && op < 32 && (HZ_GUARDED_OPS >> op & 1)) {
        return HZ_STATUS_E_SAFE;
    }
    switch (op) {
    case HZ_OP_DESCRIBE:
        return describe(length, answer);
    case HZ_OP_NETWORK:
        return network(payload, length, answer);
    case HZ_OP_KEY:
        return key(payload, length, answer);
    case HZ_OP_WRITE:
        return write(payload, length, answer);
    case HZ_OP_READ:
    case HZ_OP_FETCH:
        return read(op, payload, length, answer);
    case HZ_OP_LATCH:
        return latch(payload, length, answer);
    case HZ_OP_BATCH:
        return batch(payload, length, answer);
    case HZ_OP_SAMPLE:
        return sample(payload, length, answer);
    case HZ_OP_EVALUATE:
        return evaluate(payload, length, answer);
    case HZ_OP_UPDATE:
        return update(payload, length, answer);
    case HZ_OP_STEP:
        return step(payload, length, answer);
    case HZ_OP_HASH:
        return hash(length, answer);
    case HZ_OP_STATISTICS:
        return statistics(length, answer);
    case HZ_OP_CHECKPOINT:
        return checkpoint(payload, length, answer);
    case HZ_OP_SAFE_CLEAR:
        return safe_clear(length);
    case HZ_OP_SAFE_TIMEOUT:
        return safe_timeout(payload, length);
    case HZ_OP_NOISE:
        return noise(payload, length, answer);
    case HZ_OP_SAFE_ENTER:
        return safe_enter(length);
    default:
        return HZ_STATUS_E_OP;
    }
}
