/* HZ1: what goes over the wire. Made from hwzo/wire/schema.py by python -m hwzo.wire.generate; not to be edited.
 *
 * For every command NAME: HZ_OP_NAME; struct hz_name_request, with hz_name_request_unpack, which gives HZ_STATUS_OK or
 * HZ_STATUS_E_LEN; struct hz_name_reply, with hz_name_reply_pack, which writes HZ_NAME_REPLY_SIZE bytes. A list is a
 * pointer into the payload and a number of rows; the rows of a reply are put behind what hz_name_reply_pack wrote.
 * HZ_NAME_FIELD_X is the number by which an E_RANGE names field x. What has no fields has no struct.
 */
#ifndef HZ1_MESSAGES_H
#define HZ1_MESSAGES_H

#include <stdint.h>

#define HZ_PROTOCOL 1
#define HZ_SCHEMA UINT32_C(0x602104ba)
#define HZ_CACHED_REPLY 16 /* most payload of a reply that is kept for a resend */
#define HZ_LEAST_PAYLOAD 64 /* what every board takes and gives */
#define HZ_ANY_FIELD 255 /* in an E_RANGE: something else has to come first */

/* FrameType: What a frame is. */
#define HZ_FRAME_TYPE_REQUEST 0
#define HZ_FRAME_TYPE_REPLY 1
#define HZ_FRAME_TYPE_EVENT 2
#define HZ_FRAME_TYPE_NAK 3

/* Status: How a command went; of all but OK, nothing was changed. */
#define HZ_STATUS_OK 0
#define HZ_STATUS_E_OP 1
#define HZ_STATUS_E_LEN 2
#define HZ_STATUS_E_RANGE 3
#define HZ_STATUS_E_NOSESS 4
#define HZ_STATUS_E_VERSION 5
#define HZ_STATUS_E_BUSY 6
#define HZ_STATUS_E_SAFE 7

/* Cause: Why the board last started. */
#define HZ_CAUSE_UNKNOWN 0
#define HZ_CAUSE_POWER_ON 1
#define HZ_CAUSE_RESET_PIN 2
#define HZ_CAUSE_WATCHDOG 3
#define HZ_CAUSE_BROWN_OUT 4
#define HZ_CAUSE_SOFTWARE 5

/* LawCode: Laws of directions, numbered as their streams. */
#define HZ_LAW_CODE_RADEMACHER 0
#define HZ_LAW_CODE_RANK1_SIGN 1

/* ActivationCode: Activations of hidden layers. */
#define HZ_ACTIVATION_CODE_LINEAR 0
#define HZ_ACTIVATION_CODE_TANH 1
#define HZ_ACTIVATION_CODE_RELU 2

/* LossCode: Losses. */
#define HZ_LOSS_CODE_CROSS_ENTROPY 0
#define HZ_LOSS_CODE_SQUARED_ERROR 1

/* ArrayCode: What holds the weights. */
#define HZ_ARRAY_CODE_SIM 0
#define HZ_ARRAY_CODE_SPI 1
#define HZ_ARRAY_CODE_EMULATED 2
#define HZ_ARRAY_CODE_OTHER 255

/* Reads: What can be read back beside the loss. */
#define HZ_READS_OUTPUTS 0x01
#define HZ_READS_NODES 0x02
#define HZ_READS_WEIGHTS 0x04

/* Latch: What an evaluation leaves in the latch. */
#define HZ_LATCH_OUTPUTS 0x01
#define HZ_LATCH_NODES 0x02

/* Action: What to do with the checkpoint. */
#define HZ_ACTION_SAVE 0
#define HZ_ACTION_LOAD 1

#define HZ_OP_HELLO 0x01
#define HZ_OP_DESCRIBE 0x02
#define HZ_OP_NETWORK 0x03
#define HZ_OP_KEY 0x04
#define HZ_OP_WRITE 0x05
#define HZ_OP_READ 0x06
#define HZ_OP_LATCH 0x07
#define HZ_OP_FETCH 0x08
#define HZ_OP_BATCH 0x09
#define HZ_OP_SAMPLE 0x0a
#define HZ_OP_EVALUATE 0x0b
#define HZ_OP_UPDATE 0x0c
#define HZ_OP_STEP 0x0d
#define HZ_OP_HASH 0x0e
#define HZ_OP_STATISTICS 0x0f
#define HZ_OP_CHECKPOINT 0x10
#define HZ_OP_SAFE_CLEAR 0x11
#define HZ_OP_SAFE_TIMEOUT 0x12
#define HZ_OP_NOISE 0x13
#define HZ_OP_SAFE_ENTER 0x14
#define HZ_EVENT_BOOTED 0x01
#define HZ_EVENT_MADE_SAFE 0x02

/* Bit op is set if the command may run again when it arrives again; of all others, the reply is kept. */
#define HZ_FETCH_OPS UINT32_C(0x0000c146)
/* Bit op is set if the command is answered E_SAFE in the safe state. */
#define HZ_GUARDED_OPS UINT32_C(0x00093eb8)

/* Little-endian numbers at any address. */
static inline uint8_t hz_get_u8(const uint8_t *p) { return p[0]; }
static inline uint16_t hz_get_u16(const uint8_t *p) { return (uint16_t)(p[0] | (uint16_t)((uint16_t)p[1] << 8)); }
static inline uint32_t hz_get_u32(const uint8_t *p) { return hz_get_u16(p) | ((uint32_t)hz_get_u16(p + 2) << 16); }
static inline uint64_t hz_get_u64(const uint8_t *p) { return hz_get_u32(p) | ((uint64_t)hz_get_u32(p + 4) << 32); }
/* The conversions to signed types keep the bits: gcc and clang say so, and C23 asks it of everyone. */
static inline int8_t hz_get_i8(const uint8_t *p) { return (int8_t)p[0]; }
static inline int16_t hz_get_i16(const uint8_t *p) { return (int16_t)hz_get_u16(p); }
static inline int32_t hz_get_i32(const uint8_t *p) { return (int32_t)hz_get_u32(p); }
static inline void hz_put_u8(uint8_t *p, uint8_t v) { p[0] = v; }
static inline void hz_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void hz_put_u32(uint8_t *p, uint32_t v)
{
    hz_put_u16(p, (uint16_t)v);
    hz_put_u16(p + 2, (uint16_t)(v >> 16));
}
static inline void hz_put_u64(uint8_t *p, uint64_t v)
{
    hz_put_u32(p, (uint32_t)v);
    hz_put_u32(p + 4, (uint32_t)(v >> 32));
}
static inline void hz_put_i8(uint8_t *p, int8_t v) { p[0] = (uint8_t)v; }
static inline void hz_put_i16(uint8_t *p, int16_t v) { hz_put_u16(p, (uint16_t)v); }
static inline void hz_put_i32(uint8_t *p, int32_t v) { hz_put_u32(p, (uint32_t)v); }

/* HELLO: Open a session; with the nonce of the open session, only ask again. */
#define HZ_HELLO_FIELD_NONCE 0
#define HZ_HELLO_FIELD_PROTOCOL 1
#define HZ_HELLO_FIELD_SCHEMA 2
struct hz_hello_request {
    uint32_t nonce; /* any number; a new one opens a new session */
    uint8_t protocol; /* the host's, 1 */
    uint32_t schema; /* hash of the host's schema */
};
static inline uint8_t hz_hello_request_unpack(const uint8_t *p, uint16_t length, struct hz_hello_request *m)
{
    if (length != 9) return HZ_STATUS_E_LEN;
    m->nonce = hz_get_u32(p);
    m->protocol = hz_get_u8(p + 4);
    m->schema = hz_get_u32(p + 5);
    return HZ_STATUS_OK;
}
struct hz_hello_reply {
    uint32_t nonce; /* the request's */
    uint8_t protocol; /* 1 */
    uint8_t firmware_major; /* version of the firmware */
    uint8_t firmware_minor; /* version of the firmware */
    uint32_t schema; /* hash of the schema that the firmware was built from */
    uint8_t session; /* goes into every frame from now on; not 0 */
    uint8_t window; /* most requests in flight */
    uint16_t max_payload; /* most bytes of payload, of a request or a reply; at least 64 */
    uint32_t max_parameters; /* most parameters that a network may have */
    uint32_t boot_id; /* another one after every start */
    uint8_t reset_cause; /* a Cause */
    uint16_t next_seq; /* of the next request */
    uint32_t step; /* of the training */
};
#define HZ_HELLO_REPLY_SIZE 30
static inline void hz_hello_reply_pack(uint8_t *p, const struct hz_hello_reply *m)
{
    hz_put_u32(p, m->nonce);
    hz_put_u8(p + 4, m->protocol);
    hz_put_u8(p + 5, m->firmware_major);
    hz_put_u8(p + 6, m->firmware_minor);
    hz_put_u32(p + 7, m->schema);
    hz_put_u8(p + 11, m->session);
    hz_put_u8(p + 12, m->window);
    hz_put_u16(p + 13, m->max_payload);
    hz_put_u32(p + 15, m->max_parameters);
    hz_put_u32(p + 19, m->boot_id);
    hz_put_u8(p + 23, m->reset_cause);
    hz_put_u16(p + 24, m->next_seq);
    hz_put_u32(p + 26, m->step);
}

/* DESCRIBE: Ask what the device is. */
static inline uint8_t hz_describe_request_unpack(uint16_t length) { return length == 0 ? HZ_STATUS_OK : HZ_STATUS_E_LEN; }
struct hz_describe_reply {
    int16_t lower; /* least weight that it holds, weight unit */
    int16_t upper; /* largest weight that it holds, weight unit */
    uint16_t resolution; /* smallest step of a weight, weight unit */
    uint8_t weight_bits; /* the weight unit is 2^-weight_bits */
    uint8_t node_bits; /* the node unit is 2^-node_bits */
    uint8_t loss_bits; /* the loss unit is 2^-loss_bits nat, or squared output */
    uint8_t array; /* an ArrayCode */
    uint8_t reads; /* Reads */
    uint8_t laws; /* bit LawCode is set if it knows that law */
    uint8_t activations; /* bit ActivationCode is set if it knows that activation */
    uint8_t losses; /* bit LossCode is set if it knows that loss */
    uint8_t max_layers; /* most weight layers */
    uint16_t max_width; /* most inputs, or nodes of a layer */
    uint16_t max_samples; /* most samples of a batch */
    uint32_t batch_bytes; /* room for the rows of a batch */
    uint32_t latch_values; /* most values that the latch holds */
    uint16_t receive_buffer; /* most bytes of unanswered frames that it can receive while it computes */
    uint16_t nonvolatile; /* room for a checkpoint, bytes; 0 if there is none */
    uint32_t serial; /* serial number; 0 if it has none */
};
#define HZ_DESCRIBE_REPLY_SIZE 35
static inline void hz_describe_reply_pack(uint8_t *p, const struct hz_describe_reply *m)
{
    hz_put_i16(p, m->lower);
    hz_put_i16(p + 2, m->upper);
    hz_put_u16(p + 4, m->resolution);
    hz_put_u8(p + 6, m->weight_bits);
    hz_put_u8(p + 7, m->node_bits);
    hz_put_u8(p + 8, m->loss_bits);
    hz_put_u8(p + 9, m->array);
    hz_put_u8(p + 10, m->reads);
    hz_put_u8(p + 11, m->laws);
    hz_put_u8(p + 12, m->activations);
    hz_put_u8(p + 13, m->losses);
    hz_put_u8(p + 14, m->max_layers);
    hz_put_u16(p + 15, m->max_width);
    hz_put_u16(p + 17, m->max_samples);
    hz_put_u32(p + 19, m->batch_bytes);
    hz_put_u32(p + 23, m->latch_values);
    hz_put_u16(p + 27, m->receive_buffer);
    hz_put_u16(p + 29, m->nonvolatile);
    hz_put_u32(p + 31, m->serial);
}

/* NETWORK: Make it a network of dense layers: parameters and step become 0; batch, key and latch are void. */
#define HZ_NETWORK_FIELD_ACTIVATION 0
#define HZ_NETWORK_FIELD_LOWER 1
#define HZ_NETWORK_FIELD_UPPER 2
#define HZ_NETWORK_FIELD_WIDTHS 3
struct hz_network_request {
    uint8_t activation; /* ActivationCode of the hidden layers; the output layer is linear */
    int16_t lower; /* no parameter goes below, weight unit */
    int16_t upper; /* no parameter goes above, weight unit */
    const uint8_t *widths; /* rows of u16; number of inputs, then of each layer's nodes */
    uint16_t n_widths;
};
static inline uint8_t hz_network_request_unpack(const uint8_t *p, uint16_t length, struct hz_network_request *m)
{
    if (length < 5) return HZ_STATUS_E_LEN;
    m->activation = hz_get_u8(p);
    m->lower = hz_get_i16(p + 1);
    m->upper = hz_get_i16(p + 3);
    p += 5;
    length = (uint16_t)(length - 5);
    if (length % 2 != 0) return HZ_STATUS_E_LEN;
    m->widths = p;
    m->n_widths = (uint16_t)(length / 2);
    return HZ_STATUS_OK;
}
struct hz_network_reply {
    uint32_t parameters; /* their number */
};
#define HZ_NETWORK_REPLY_SIZE 4
static inline void hz_network_reply_pack(uint8_t *p, const struct hz_network_reply *m)
{
    hz_put_u32(p, m->parameters);
}

/* KEY: Begin, or go on with, a run: the key of its directions, their law, and the step that it is at. */
#define HZ_KEY_FIELD_KEY 0
#define HZ_KEY_FIELD_LAW 1
#define HZ_KEY_FIELD_STEP 2
struct hz_key_request {
    uint64_t key; /* of Philox4x32-10 */
    uint8_t law; /* LawCode */
    uint32_t step; /* becomes the device's */
};
static inline uint8_t hz_key_request_unpack(const uint8_t *p, uint16_t length, struct hz_key_request *m)
{
    if (length != 13) return HZ_STATUS_E_LEN;
    m->key = hz_get_u64(p);
    m->law = hz_get_u8(p + 8);
    m->step = hz_get_u32(p + 9);
    return HZ_STATUS_OK;
}
#define HZ_KEY_REPLY_SIZE 0

/* WRITE: Program parameters; those outside the network's bounds are E_RANGE, and none is written. */
#define HZ_WRITE_FIELD_OFFSET 0
#define HZ_WRITE_FIELD_VALUES 1
struct hz_write_request {
    uint32_t offset; /* of the first, in the vector of parameters */
    const uint8_t *values; /* rows of i16; targets, weight unit */
    uint16_t n_values;
};
static inline uint8_t hz_write_request_unpack(const uint8_t *p, uint16_t length, struct hz_write_request *m)
{
    if (length < 4) return HZ_STATUS_E_LEN;
    m->offset = hz_get_u32(p);
    p += 4;
    length = (uint16_t)(length - 4);
    if (length % 2 != 0) return HZ_STATUS_E_LEN;
    m->values = p;
    m->n_values = (uint16_t)(length / 2);
    return HZ_STATUS_OK;
}
#define HZ_WRITE_REPLY_SIZE 0

/* READ: The targets that parameters were last given, without noise. */
#define HZ_READ_FIELD_OFFSET 0
#define HZ_READ_FIELD_COUNT 1
struct hz_read_request {
    uint32_t offset; /* of the first, in the vector of parameters */
    uint16_t count; /* how many */
};
static inline uint8_t hz_read_request_unpack(const uint8_t *p, uint16_t length, struct hz_read_request *m)
{
    if (length != 6) return HZ_STATUS_E_LEN;
    m->offset = hz_get_u32(p);
    m->count = hz_get_u16(p + 4);
    return HZ_STATUS_OK;
}
#define HZ_READ_REPLY_SIZE 0

/* LATCH: Read parameters off the array, with the read's noise, into the latch. */
#define HZ_LATCH_FIELD_OFFSET 0
#define HZ_LATCH_FIELD_COUNT 1
#define HZ_LATCH_FIELD_REPEAT 2
struct hz_latch_request {
    uint32_t offset; /* of the first, in the vector of parameters */
    uint32_t count; /* how many, at most latch_values */
    uint16_t repeat; /* number of this reading: only the read's own error differs between repeats */
};
static inline uint8_t hz_latch_request_unpack(const uint8_t *p, uint16_t length, struct hz_latch_request *m)
{
    if (length != 10) return HZ_STATUS_E_LEN;
    m->offset = hz_get_u32(p);
    m->count = hz_get_u32(p + 4);
    m->repeat = hz_get_u16(p + 8);
    return HZ_STATUS_OK;
}
#define HZ_LATCH_REPLY_SIZE 0

/* FETCH: A chunk of the latch. */
#define HZ_FETCH_FIELD_OFFSET 0
#define HZ_FETCH_FIELD_COUNT 1
struct hz_fetch_request {
    uint32_t offset; /* of the first value, in the latch */
    uint16_t count; /* how many */
};
static inline uint8_t hz_fetch_request_unpack(const uint8_t *p, uint16_t length, struct hz_fetch_request *m)
{
    if (length != 6) return HZ_STATUS_E_LEN;
    m->offset = hz_get_u32(p);
    m->count = hz_get_u16(p + 4);
    return HZ_STATUS_OK;
}
#define HZ_FETCH_REPLY_SIZE 0

/* BATCH: Make room for a batch and set its rows to 0. */
#define HZ_BATCH_FIELD_SAMPLES 0
#define HZ_BATCH_FIELD_LOSS 1
struct hz_batch_request {
    uint16_t samples; /* their number */
    uint8_t loss; /* LossCode */
};
static inline uint8_t hz_batch_request_unpack(const uint8_t *p, uint16_t length, struct hz_batch_request *m)
{
    if (length != 3) return HZ_STATUS_E_LEN;
    m->samples = hz_get_u16(p);
    m->loss = hz_get_u8(p + 2);
    return HZ_STATUS_OK;
}
struct hz_batch_reply {
    uint16_t row; /* bytes of a row: the inputs, then one class number, or a target for each output */
};
#define HZ_BATCH_REPLY_SIZE 2
static inline void hz_batch_reply_pack(uint8_t *p, const struct hz_batch_reply *m)
{
    hz_put_u16(p, m->row);
}

/* SAMPLE: Part of a sample's row. */
#define HZ_SAMPLE_FIELD_INDEX 0
#define HZ_SAMPLE_FIELD_OFFSET 1
#define HZ_SAMPLE_FIELD_VALUES 2
struct hz_sample_request {
    uint16_t index; /* which sample */
    uint16_t offset; /* of the first value, in the row */
    const uint8_t *values; /* rows of i8; inputs in 1/127; a class number from 0, or targets in 1/127 */
    uint16_t n_values;
};
static inline uint8_t hz_sample_request_unpack(const uint8_t *p, uint16_t length, struct hz_sample_request *m)
{
    if (length < 4) return HZ_STATUS_E_LEN;
    m->index = hz_get_u16(p);
    m->offset = hz_get_u16(p + 2);
    p += 4;
    length = (uint16_t)(length - 4);
    m->values = p;
    m->n_values = length;
    return HZ_STATUS_OK;
}
#define HZ_SAMPLE_REPLY_SIZE 0

/* EVALUATE: Loss of the batch with the parameters displaced by scale * direction(t, k). */
#define HZ_EVALUATE_FIELD_T 0
#define HZ_EVALUATE_FIELD_K 1
#define HZ_EVALUATE_FIELD_SCALE 2
#define HZ_EVALUATE_FIELD_LATCH 3
struct hz_evaluate_request {
    uint32_t t; /* step; E_RANGE if it isn't the device's */
    uint16_t k; /* which direction of that step */
    int16_t scale; /* weight unit; 0 leaves the parameters where they are */
    uint8_t latch; /* Latch: what to leave in the latch */
};
static inline uint8_t hz_evaluate_request_unpack(const uint8_t *p, uint16_t length, struct hz_evaluate_request *m)
{
    if (length != 9) return HZ_STATUS_E_LEN;
    m->t = hz_get_u32(p);
    m->k = hz_get_u16(p + 4);
    m->scale = hz_get_i16(p + 6);
    m->latch = hz_get_u8(p + 8);
    return HZ_STATUS_OK;
}
struct hz_evaluate_reply {
    uint32_t loss; /* mean over the batch, loss unit */
};
#define HZ_EVALUATE_REPLY_SIZE 4
static inline void hz_evaluate_reply_pack(uint8_t *p, const struct hz_evaluate_reply *m)
{
    hz_put_u32(p, m->loss);
}

/* UPDATE: Add coefficient * direction(t, k) for each pair, stop at the bounds, and go on to step t + 1. */
#define HZ_UPDATE_FIELD_T 0
#define HZ_UPDATE_FIELD_PAIRS 1
struct hz_update_request {
    uint32_t t; /* step; E_RANGE if it isn't the device's */
    const uint8_t *pairs; /* rows of u16 k, i16 coefficient; directions and their coefficients, weight unit */
    uint16_t n_pairs;
};
static inline uint8_t hz_update_request_unpack(const uint8_t *p, uint16_t length, struct hz_update_request *m)
{
    if (length < 4) return HZ_STATUS_E_LEN;
    m->t = hz_get_u32(p);
    p += 4;
    length = (uint16_t)(length - 4);
    if (length % 4 != 0) return HZ_STATUS_E_LEN;
    m->pairs = p;
    m->n_pairs = (uint16_t)(length / 4);
    return HZ_STATUS_OK;
}
struct hz_update_reply {
    uint32_t step; /* the device's from now on */
};
#define HZ_UPDATE_REPLY_SIZE 4
static inline void hz_update_reply_pack(uint8_t *p, const struct hz_update_reply *m)
{
    hz_put_u32(p, m->step);
}

/* STEP: An update at step t, then the first evaluations of step t + 1, in one round trip. */
#define HZ_STEP_FIELD_T 0
#define HZ_STEP_FIELD_PAIRS 1
#define HZ_STEP_FIELD_EVALUATIONS 2
struct hz_step_request {
    uint32_t t; /* step of the update; E_RANGE if it isn't the device's */
    const uint8_t *pairs; /* rows of u16 k, i16 coefficient; directions of step t and their coefficients, weight unit */
    uint16_t n_pairs;
    const uint8_t *evaluations; /* rows of u16 k, i16 scale; directions of step t + 1 and how far to go along them, weight unit; at most 4 */
    uint16_t n_evaluations;
};
static inline uint8_t hz_step_request_unpack(const uint8_t *p, uint16_t length, struct hz_step_request *m)
{
    if (length < 5) return HZ_STATUS_E_LEN;
    m->t = hz_get_u32(p);
    p += 4;
    length = (uint16_t)(length - 4);
    m->n_pairs = p[0];
    if (length < 1 + 4 * m->n_pairs) return HZ_STATUS_E_LEN;
    m->pairs = p + 1;
    p += 1 + 4 * m->n_pairs;
    length = (uint16_t)(length - 1 - 4 * m->n_pairs);
    if (length % 4 != 0) return HZ_STATUS_E_LEN;
    m->evaluations = p;
    m->n_evaluations = (uint16_t)(length / 4);
    return HZ_STATUS_OK;
}
#define HZ_STEP_REPLY_SIZE 0

/* HASH: Ask which parameters the device holds, without reading them. */
static inline uint8_t hz_hash_request_unpack(uint16_t length) { return length == 0 ? HZ_STATUS_OK : HZ_STATUS_E_LEN; }
struct hz_hash_reply {
    uint32_t crc; /* CRC-32 of the targets as little-endian int16 */
    uint32_t step; /* the device's */
};
#define HZ_HASH_REPLY_SIZE 8
static inline void hz_hash_reply_pack(uint8_t *p, const struct hz_hash_reply *m)
{
    hz_put_u32(p, m->crc);
    hz_put_u32(p + 4, m->step);
}

/* STATISTICS: Ask how the link and the array have been used. */
static inline uint8_t hz_statistics_request_unpack(uint16_t length) { return length == 0 ? HZ_STATUS_OK : HZ_STATUS_E_LEN; }
struct hz_statistics_reply {
    uint32_t frames; /* well-formed frames received */
    uint16_t bad; /* frames dropped for their coding, length or CRC */
    uint16_t overruns; /* bytes lost before they could be looked at */
    uint16_t duplicates; /* requests that had been run already */
    uint16_t gaps; /* NAKs sent */
    uint16_t safe; /* times that the outputs were made safe */
    uint16_t boots; /* starts that the board knows of */
    uint32_t reads; /* input vectors applied to the array */
    uint32_t writes; /* cells programmed */
    uint32_t uptime_ms; /* milliseconds since the start */
};
#define HZ_STATISTICS_REPLY_SIZE 28
static inline void hz_statistics_reply_pack(uint8_t *p, const struct hz_statistics_reply *m)
{
    hz_put_u32(p, m->frames);
    hz_put_u16(p + 4, m->bad);
    hz_put_u16(p + 6, m->overruns);
    hz_put_u16(p + 8, m->duplicates);
    hz_put_u16(p + 10, m->gaps);
    hz_put_u16(p + 12, m->safe);
    hz_put_u16(p + 14, m->boots);
    hz_put_u32(p + 16, m->reads);
    hz_put_u32(p + 20, m->writes);
    hz_put_u32(p + 24, m->uptime_ms);
}

/* CHECKPOINT: Save network, key, step and parameters in non-volatile memory, or load them from there. */
#define HZ_CHECKPOINT_FIELD_ACTION 0
struct hz_checkpoint_request {
    uint8_t action; /* Action */
};
static inline uint8_t hz_checkpoint_request_unpack(const uint8_t *p, uint16_t length, struct hz_checkpoint_request *m)
{
    if (length != 1) return HZ_STATUS_E_LEN;
    m->action = hz_get_u8(p);
    return HZ_STATUS_OK;
}
struct hz_checkpoint_reply {
    uint32_t step; /* the device's from now on */
};
#define HZ_CHECKPOINT_REPLY_SIZE 4
static inline void hz_checkpoint_reply_pack(uint8_t *p, const struct hz_checkpoint_reply *m)
{
    hz_put_u32(p, m->step);
}

/* SAFE_CLEAR: Leave the safe state. */
static inline uint8_t hz_safe_clear_request_unpack(uint16_t length) { return length == 0 ? HZ_STATUS_OK : HZ_STATUS_E_LEN; }
#define HZ_SAFE_CLEAR_REPLY_SIZE 0

/* SAFE_TIMEOUT: How long the board waits for a well-formed frame before it makes its outputs safe. */
#define HZ_SAFE_TIMEOUT_FIELD_MILLISECONDS 0
struct hz_safe_timeout_request {
    uint32_t milliseconds; /* 0: for ever */
};
static inline uint8_t hz_safe_timeout_request_unpack(const uint8_t *p, uint16_t length, struct hz_safe_timeout_request *m)
{
    if (length != 4) return HZ_STATUS_E_LEN;
    m->milliseconds = hz_get_u32(p);
    return HZ_STATUS_OK;
}
#define HZ_SAFE_TIMEOUT_REPLY_SIZE 0

/* NOISE: Noise of an array that is simulated on the board; E_OP on any other. */
#define HZ_NOISE_FIELD_SEED 0
#define HZ_NOISE_FIELD_READ_SD 1
#define HZ_NOISE_FIELD_PROGRAMMING_SD 2
#define HZ_NOISE_FIELD_NODE_SD 3
struct hz_noise_request {
    uint64_t seed; /* key of the noise's Philox4x32-10; never the directions' key */
    uint16_t read_sd; /* of a weight, drawn anew for each evaluation, weight unit */
    uint16_t programming_sd; /* of a weight, drawn anew when it is written, weight unit */
    uint16_t node_sd; /* of a node, drawn anew for each sample, node unit */
};
static inline uint8_t hz_noise_request_unpack(const uint8_t *p, uint16_t length, struct hz_noise_request *m)
{
    if (length != 14) return HZ_STATUS_E_LEN;
    m->seed = hz_get_u64(p);
    m->read_sd = hz_get_u16(p + 8);
    m->programming_sd = hz_get_u16(p + 10);
    m->node_sd = hz_get_u16(p + 12);
    return HZ_STATUS_OK;
}
#define HZ_NOISE_REPLY_SIZE 0

/* SAFE_ENTER: Make the outputs safe now. */
static inline uint8_t hz_safe_enter_request_unpack(uint16_t length) { return length == 0 ? HZ_STATUS_OK : HZ_STATUS_E_LEN; }
#define HZ_SAFE_ENTER_REPLY_SIZE 0

/* The schema that both sides hash: CRC-32 of these lines joined by newlines.
 * HZ1 cached-reply=16 least-payload=64
 * FrameType: REQUEST=0 REPLY=1 EVENT=2 NAK=3
 * Status: OK=0 E_OP=1 E_LEN=2 E_RANGE=3 E_NOSESS=4 E_VERSION=5 E_BUSY=6 E_SAFE=7
 * Cause: UNKNOWN=0 POWER_ON=1 RESET_PIN=2 WATCHDOG=3 BROWN_OUT=4 SOFTWARE=5
 * LawCode: RADEMACHER=0 RANK1_SIGN=1
 * ActivationCode: LINEAR=0 TANH=1 RELU=2
 * LossCode: CROSS_ENTROPY=0 SQUARED_ERROR=1
 * ArrayCode: SIM=0 SPI=1 EMULATED=2 OTHER=255
 * Reads: OUTPUTS=1 NODES=2 WEIGHTS=4
 * Latch: OUTPUTS=1 NODES=2
 * Action: SAVE=0 LOAD=1
 * Kind: CACHED=0 FETCH=1
 * 0x01 HELLO FETCH
 *   request: nonce u32; protocol u8; schema u32
 *   reply: nonce u32; protocol u8; firmware_major u8; firmware_minor u8; schema u32; session u8; window u8; max_payload u16; max_parameters u32; boot_id u32; reset_cause u8; next_seq u16; step u32
 * 0x02 DESCRIBE FETCH
 *   request: 
 *   reply: lower i16; upper i16; resolution u16; weight_bits u8; node_bits u8; loss_bits u8; array u8; reads u8; laws u8; activations u8; losses u8; max_layers u8; max_width u16; max_samples u16; batch_bytes u32; latch_values u32; receive_buffer u16; nonvolatile u16; serial u32; model text...
 * 0x03 NETWORK CACHED guarded
 *   request: activation u8; lower i16; upper i16; widths [u16]...
 *   reply: parameters u32
 * 0x04 KEY CACHED guarded
 *   request: key u64; law u8; step u32
 *   reply: 
 * 0x05 WRITE CACHED guarded
 *   request: offset u32; values [i16]...
 *   reply: 
 * 0x06 READ FETCH
 *   request: offset u32; count u16
 *   reply: values [i16]...
 * 0x07 LATCH CACHED guarded
 *   request: offset u32; count u32; repeat u16
 *   reply: 
 * 0x08 FETCH FETCH
 *   request: offset u32; count u16
 *   reply: values [i16]...
 * 0x09 BATCH CACHED guarded
 *   request: samples u16; loss u8
 *   reply: row u16
 * 0x0a SAMPLE CACHED guarded
 *   request: index u16; offset u16; values [i8]...
 *   reply: 
 * 0x0b EVALUATE CACHED guarded
 *   request: t u32; k u16; scale i16; latch u8
 *   reply: loss u32
 * 0x0c UPDATE CACHED guarded
 *   request: t u32; pairs [k u16, coefficient i16]...
 *   reply: step u32
 * 0x0d STEP CACHED guarded
 *   request: t u32; pairs u8 count, then [k u16, coefficient i16]...; evaluations [k u16, scale i16]...
 *   reply: losses [u32]...
 * 0x0e HASH FETCH
 *   request: 
 *   reply: crc u32; step u32
 * 0x0f STATISTICS FETCH
 *   request: 
 *   reply: frames u32; bad u16; overruns u16; duplicates u16; gaps u16; safe u16; boots u16; reads u32; writes u32; uptime_ms u32
 * 0x10 CHECKPOINT CACHED guarded
 *   request: action u8
 *   reply: step u32
 * 0x11 SAFE_CLEAR CACHED
 *   request: 
 *   reply: 
 * 0x12 SAFE_TIMEOUT CACHED
 *   request: milliseconds u32
 *   reply: 
 * 0x13 NOISE CACHED guarded
 *   request: seed u64; read_sd u16; programming_sd u16; node_sd u16
 *   reply: 
 * 0x14 SAFE_ENTER CACHED
 *   request: 
 *   reply: 
 * event 0x01: boot_id u32; reset_cause u8
 * event 0x02: 
 * NoSession: boot_id u32
 * OutOfRange: field u8
 * Nak: expected u16
 */

#endif
