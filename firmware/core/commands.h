/* What each command does. */
#ifndef HZ_COMMANDS_H
#define HZ_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

/* The link and its safe state; what STATISTICS tells. */
struct hz_link {
    uint32_t frames;
    uint16_t bad;
    uint16_t duplicates;
    uint16_t gaps;
    uint16_t made_safe;
    bool safe;
    uint32_t timeout; /* milliseconds without a frame until the outputs are made safe; 0: never */
};
extern struct hz_link hz_link;

/* A payload of a reply: where it is written, and its length. */
struct hz_answer {
    uint8_t *payload;
    uint16_t length;
};

/* Run a command and give its status. The request's payload may lie where the reply's is written if the command is one
 * that may run twice (HZ_FETCH_OPS): those have read all of it before they write. */
uint8_t hz_command(uint8_t op, const uint8_t *payload, uint16_t length, struct hz_answer *answer);

/* Take the voltages off. */
void hz_make_safe(void);

#endif
