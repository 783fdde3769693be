#include "config.h"

#include "uart.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#ifndef HZ_BAUD
#define HZ_BAUD 115200UL
#endif
/* Double speed halves the error of the rate: 2.1% at 115200 baud and 16 MHz, none at 250 k, 500 k, 1 M and 2 M. */
#define DIVISOR ((F_CPU + 4UL * HZ_BAUD) / (8UL * HZ_BAUD) - 1UL)
#define BAUD_MADE (F_CPU / (8UL * (DIVISOR + 1UL)))
#if DIVISOR > 4095 || BAUD_MADE / 100UL * 103UL < HZ_BAUD || BAUD_MADE / 100UL * 97UL > HZ_BAUD
#error "HZ_BAUD can't be had from this clock"
#endif

#ifndef USART_RX_vect /* chips with several UARTs number them */
#define USART_RX_vect USART0_RX_vect
#define USART_UDRE_vect USART0_UDRE_vect
#endif

struct ring_ends {
    volatile uint8_t first, end; /* empty if they are equal */
};

static volatile uint8_t received[HZ_RECEIVE_RING], sending[HZ_SEND_RING];
static struct ring_ends receive, send;
static volatile uint16_t overruns;

static inline uint8_t after(uint8_t index, uint8_t size)
{
    index++;
    return index == size ? 0 : index;
}

void uart_begin(void)
{
    UBRR0 = (uint16_t)DIVISOR;
    UCSR0A = _BV(U2X0);
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXCIE0) | _BV(RXEN0) | _BV(TXEN0);
}

ISR(USART_RX_vect)
{
    if (UCSR0A & _BV(DOR0)) {
        overruns++; /* told with the byte before the gap; the read clears it */
    }
    const uint8_t byte = UDR0;
    const uint8_t next = after(receive.end, HZ_RECEIVE_RING);
    if (next == receive.first) {
        overruns++; /* the frame that it belongs to will fail its CRC, and be asked for again */
    } else {
        received[receive.end] = byte;
        receive.end = next;
    }
}

ISR(USART_UDRE_vect)
{
    if (send.first == send.end) {
        UCSR0B &= (uint8_t)~_BV(UDRIE0);
    } else {
        UDR0 = sending[send.first];
        send.first = after(send.first, HZ_SEND_RING);
    }
}

bool uart_empty(void)
{
    return receive.first == receive.end;
}

bool uart_read(uint8_t *byte)
{
    if (uart_empty()) {
        return false;
    }
    *byte = received[receive.first];
    receive.first = after(receive.first, HZ_RECEIVE_RING);
    return true;
}

void uart_write(const uint8_t *bytes, uint16_t count)
{
    for (; count != 0; count--) {
        const uint8_t next = after(send.end, HZ_SEND_RING);
        while (next == send.first) {
        }
        sending[send.end] = *bytes++;
        ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
        {
            send.end = next;
            UCSR0B |= _BV(UDRIE0);
        }
    }
}

uint16_t uart_overruns(void)
{
    uint16_t count;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        count = overruns;
    }
    return count;
}
