/* What the vector table points to. */
#ifndef HZ_CORTEX_M3_INTERRUPTS_H
#define HZ_CORTEX_M3_INTERRUPTS_H

void on_watchdog(void);
void on_tick(void);
void on_uart_receive(void);

#endif
