/* AVR boards at 16 MHz, such as an Arduino Uno, Nano or Mega: UART0, timer 0, watchdog, EEPROM. */
#include "board.h"

#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#include "array.h"
#include "hz1_messages.h"
#include "spi.h"
#include "uart.h"

/* The EEPROM: a counter of starts, then the checkpoint. */
enum { BOOTS_AT = 0, CHECKPOINT_AT = 16 };

#if HZ_NONVOLATILE_BYTES > E2END + 1 - 16
#error "HZ_NONVOLATILE_BYTES doesn't fit into the EEPROM"
#endif

static uint8_t reset_flags __attribute__((section(".noinit")));
static volatile uint32_t ticks;

/* Before main: a watchdog that has fired goes on with its shortest time, 16 ms, until it is told otherwise. */
void keep_reset_flags(void) __attribute__((naked, used, section(".init3")));
void keep_reset_flags(void)
{
    uint8_t flags = MCUSR;
    if (flags == 0) { /* Optiboot has cleared them, and left them here */
        __asm__ volatile("mov %0, r2" : "=r"(flags));
    }
    reset_flags = flags;
    MCUSR = 0;
    wdt_disable();
}

static uint8_t reset_cause(void)
{
    if (reset_flags & _BV(PORF)) {
        return HZ_CAUSE_POWER_ON;
    }
    if (reset_flags & _BV(WDRF)) {
        return HZ_CAUSE_WATCHDOG;
    }
    if (reset_flags & _BV(BORF)) {
        return HZ_CAUSE_BROWN_OUT;
    }
    return (reset_flags & _BV(EXTRF)) ? HZ_CAUSE_RESET_PIN : HZ_CAUSE_UNKNOWN;
}

static uint8_t *eeprom(uint16_t offset)
{
    return (uint8_t *)(uintptr_t)offset;
}

/* The number of this start, from 1. It is written from its high byte down: cut short by a reset it skips numbers, but
 * never gives one again. */
static uint32_t count_boot(void)
{
    uint32_t boots = eeprom_read_dword((const uint32_t *)eeprom(BOOTS_AT)) + 1; /* all ones if it is new */
    if (boots == 0) {
        boots = 1;
    }
    for (uint8_t byte = 4; byte-- > 0;) {
        eeprom_update_byte(eeprom(BOOTS_AT + byte), (uint8_t)(boots >> (8 * byte)));
    }
    return boots;
}

static bool load(uint16_t offset, uint8_t *bytes, uint16_t count)
{
    eeprom_read_block(bytes, eeprom((uint16_t)(CHECKPOINT_AT + offset)), count);
    return true;
}

static bool save(uint16_t offset, const uint8_t *bytes, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) { /* 3.4 ms for each byte that changes */
        wdt_reset();
        eeprom_update_byte(eeprom((uint16_t)(CHECKPOINT_AT + offset + i)), bytes[i]);
    }
    return true;
}

ISR(TIMER0_COMPA_vect)
{
    ticks++;
}

static void begin_ticks(void)
{
    TCCR0A = _BV(WGM01);
    OCR0A = (uint8_t)(F_CPU / 64UL / 1000UL - 1UL);
    TCCR0B = _BV(CS01) | _BV(CS00);
    TIMSK0 = _BV(OCIE0A);
}

static uint32_t milliseconds(void)
{
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        now = ticks;
    }
    return now;
}

static void feed(void)
{
    wdt_reset();
}

/* Until the next interrupt: a byte, or a tick. */
static void rest(void)
{
    cli();
    if (uart_empty()) {
        sleep_enable(); /* the mode after a reset is idle: timers and UART go on */
        sei(); /* takes effect after the next instruction: no interrupt slips in between */
        sleep_cpu();
        sleep_disable();
    }
    sei();
}

static struct hz_board board = {
    .model = HZ_MODEL,
    .receive_buffer = HZ_RECEIVE_RING - 1,
    .read = uart_read,
    .write = uart_write,
    .milliseconds = milliseconds,
    .feed = feed,
    .overruns = uart_overruns,
    .load = load,
    .save = save,
};

int main(void)
{
    board.reset_cause = reset_cause();
    board.boot_id = count_boot();
    board.boots = (uint16_t)board.boot_id;
    begin_ticks();
    uart_begin();
#ifdef HZ_SPI
    spi_begin();
#endif
    wdt_enable(WDTO_250MS);
    sei();
    hz_start(&board, &HZ_ARRAY);
    for (;;) {
        wdt_reset();
        if (!hz_poll()) {
            rest();
        }
    }
}
