/* UART0 of an AVR, 8N1: received by interrupt into a ring, sent by interrupt from a ring. */
#ifndef HZ_AVR_UART_H
#define HZ_AVR_UART_H

#include <stdbool.h>
#include <stdint.h>

/* At most 255: an index is one byte, which an interrupt reads and writes whole. */
#ifndef HZ_RECEIVE_RING
#define HZ_RECEIVE_RING 128
#endif
#ifndef HZ_SEND_RING
#define HZ_SEND_RING 32
#endif

void uart_begin(void);

/* True if a byte came in; it is put into *byte. */
bool uart_read(uint8_t *byte);

/* True if uart_read would find nothing. */
bool uart_empty(void);

/* Queue bytes for sending; waits while the ring is full, one byte's time at most for each. */
void uart_write(const uint8_t *bytes, uint16_t count);

/* Bytes lost because the program didn't read them in time. */
uint16_t uart_overruns(void);

#endif
