/* A virtual AVR board: simavr with UART0 on a pseudo terminal, an EEPROM in a file, resets, and a crossbar at its pins.
 *
 *     avr_board --mcu atmega328p [--fd N] [--eeprom FILE] [--paced] [--control] [--crossbar SEED:MILLIVOLTS] FIRMWARE
 *
 * The first line on standard output is "pty PATH"; it is a new one, or that of which N is the open master. With --control, lines on standard input command the board, and its
 * end ends the board:
 *     reset     pull the reset pin          power     power off and on: SRAM is lost, the EEPROM stays
 *     hang      hang the program where it stands, as a defect would, until the next reset
 *     stack     answers "stack BYTES", the deepest that the stack has been
 *     cycles    answers "cycles COUNT"
 * Every reset by the watchdog is told on standard error.
 *
 * While the program computes or exchanges bytes, its time runs as fast as this machine can; with --paced, never faster
 * than the wall clock. While it sleeps, its time is the wall clock's, and a byte from the host wakes it at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_eeprom.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_cycle_timers.h>
#include <simavr/sim_elf.h>

#include "crossbar.h"

enum { SLICE = 1000 };       /* cycles between two looks at the outside: 62.5 us at 16 MHz */
enum { SOON = 3200 };        /* cycles; a shorter sleep, such as until a byte is through, takes no time */
enum { PAINT = 0xC5 };       /* what SRAM holds at power-on; real SRAM holds garbage */
enum { RJMP_SELF = 0xCFFF }; /* an instruction that jumps to itself */

static struct {
    avr_t *avr;
    avr_run_t run;          /* simavr's own; it is another one while a watchdog reset is due */
    uint16_t static_end;    /* first SRAM address above .data and .bss */
    int pty;
    avr_irq_t *uart_input;
    bool uart_room;         /* the UART's queue takes more bytes */
    uint8_t in[4096];
    size_t in_next, in_end;
    uint8_t out[1024];
    size_t out_size;
    uint8_t *eeprom, *kept; /* simavr's EEPROM, and the file that it is kept in */
    size_t eeprom_size;
    bool control, paced, stopped;
    char line[64];
    size_t line_size;
    uint64_t started_ns, started_cycle;
    uint16_t hung_word;     /* what the program has where it hangs */
    avr_flashaddr_t hung_at;
    bool hung;
} board;

static void fail(const char *what) {
    fprintf(stderr, "avr_board: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t cycles_in(uint64_t ns) { return (ns * (board.avr->frequency / 1000)) / 1000000u; }
static uint64_t ns_in(uint64_t cycles) { return (cycles * 1000000u) / (board.avr->frequency / 1000); }

/* UART0 and the pty */

static void on_uart_output(avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)param;
    if (board.out_size < sizeof board.out) board.out[board.out_size++] = (uint8_t)value;
}

static void on_uart_xon(avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    board.uart_room = true;
}

static void on_uart_xoff(avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)param;
    if (value) board.uart_room = false;
}

static void send_to_host(void) {
    /* A wire doesn't wait: what the host's end has no room for is lost. */
    if (board.out_size && write(board.pty, board.out, board.out_size) < 0 && errno != EAGAIN) fail("pty");
    board.out_size = 0;
}

static void feed_uart(void) {
    if (board.in_next == board.in_end) {
        ssize_t n = read(board.pty, board.in, sizeof board.in);
        board.in_next = 0;
        board.in_end = n > 0 ? (size_t)n : 0;
    }
    while (board.uart_room && board.in_next < board.in_end) avr_raise_irq(board.uart_input, board.in[board.in_next++]);
}

static void open_pty(int master) {
    board.pty = master;
    if (master < 0) {
        struct termios raw;
        int slave;
        memset(&raw, 0, sizeof raw);
        cfmakeraw(&raw);
        if (openpty(&board.pty, &slave, NULL, &raw, NULL) != 0) fail("openpty"); /* the slave stays open: no hang-ups */
    }
    const char *path = ptsname(board.pty);
    if (!path || fcntl(board.pty, F_SETFL, O_NONBLOCK) != 0) fail("pty");
    printf("pty %s\n", path);
    fflush(stdout);
}

static void connect_uart(void) {
    uint32_t flags = 0; /* neither printing nor naps when polled */
    avr_t *avr = board.avr;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    board.uart_input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_uart_output, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_uart_xon, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_uart_xoff, NULL);
}

/* EEPROM */

static void open_eeprom(const char *path) {
    avr_eeprom_desc_t all = {.ee = NULL, .offset = 0, .size = board.avr->e2end + 1u};
    avr_ioctl(board.avr, AVR_IOCTL_EEPROM_GET, &all); /* simavr answers -1 even where it worked */
    board.eeprom = all.ee;
    board.eeprom_size = all.size;
    if (!path || !board.eeprom) return;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) fail(path);
    off_t size = lseek(file, 0, SEEK_END);
    if (size != 0 && size != (off_t)board.eeprom_size) errno = 0, fail("the EEPROM file is not of this chip's size");
    if (size == 0 && write(file, board.eeprom, board.eeprom_size) != (ssize_t)board.eeprom_size) fail(path);
    board.kept = mmap(NULL, board.eeprom_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (board.kept == MAP_FAILED) fail(path);
    memcpy(board.eeprom, board.kept, board.eeprom_size);
    close(file);
}

static void keep_eeprom(void) {
    if (board.kept && memcmp(board.kept, board.eeprom, board.eeprom_size))
        memcpy(board.kept, board.eeprom, board.eeprom_size);
}

/* simavr returns to us when a timer is due; a program that feeds its watchdog in a loop moves the only other one on. */
static avr_cycle_count_t on_slice(avr_t *avr, avr_cycle_count_t when, void *param) {
    (void)avr, (void)param;
    return when + SLICE;
}

/* Resets */

static uint8_t *flash_at(avr_flashaddr_t address) { return board.avr->flash + address; }

static void set_flash_word(avr_flashaddr_t address, uint16_t word) {
    flash_at(address)[0] = (uint8_t)word;
    flash_at(address)[1] = (uint8_t)(word >> 8);
}

static void hang(void) {
    if (board.hung) return;
    board.hung = true;
    board.hung_at = board.avr->pc;
    board.hung_word = (uint16_t)(flash_at(board.hung_at)[0] | flash_at(board.hung_at)[1] << 8);
    set_flash_word(board.hung_at, RJMP_SELF);
}

static void after_reset(void) {
    if (board.hung) set_flash_word(board.hung_at, board.hung_word);
    board.hung = false;
    board.avr->run_cycle_limit = SLICE; /* a reset sets it to one instruction at a time, which is slow */
    avr_cycle_timer_register(board.avr, SLICE, on_slice, NULL);
}

static void paint_sram(void) {
    for (uint32_t at = board.avr->ioend + 1u; at <= board.avr->ramend; at++) board.avr->data[at] = PAINT;
}

static void reset(bool power) {
    if (power) paint_sram();
    avr_reset(board.avr);
    avr_regbit_set(board.avr, power ? board.avr->reset_flags.porf : board.avr->reset_flags.extrf);
    after_reset();
}

static unsigned deepest_stack(void) {
    uint32_t at = board.static_end;
    while (at <= board.avr->ramend && board.avr->data[at] == PAINT) at++;
    return board.avr->ramend + 1u - at;
}

/* Commands */

static void obey(const char *command) {
    if (!strcmp(command, "reset")) reset(false);
    else if (!strcmp(command, "power")) reset(true);
    else if (!strcmp(command, "hang")) hang();
    else if (!strcmp(command, "stack")) printf("stack %u\n", deepest_stack());
    else if (!strcmp(command, "cycles")) printf("cycles %llu\n", (unsigned long long)board.avr->cycle);
    else printf("unknown %s\n", command);
    fflush(stdout);
}

static void read_commands(void) {
    char text[256];
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    if (n == 0) board.stopped = true;
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            board.line[board.line_size] = 0;
            board.line_size = 0;
            obey(board.line);
        } else if (board.line_size < sizeof board.line - 1) {
            board.line[board.line_size++] = text[i];
        }
    }
}

/* Time */

static bool host_within(uint64_t ns) {
    struct pollfd ends[2] = {{.fd = board.pty, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    struct timespec wait = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return ppoll(ends, board.control ? 2 : 1, &wait, NULL) > 0;
}

/* Called by simavr where the program sleeps; when this returns it adds `added` cycles to its clock. The clock is put to
 * where the sleep ends: at the next timer but that of slices, or where the host speaks before. */
static void on_sleep(avr_t *avr, avr_cycle_count_t added) {
    send_to_host();
    feed_uart();
    avr_cycle_timer_cancel(avr, on_slice, NULL);
    const avr_cycle_timer_slot_p next = avr->cycle_timers.timer;
    uint64_t sleep = !next ? SLICE : next->when > avr->cycle ? next->when - avr->cycle : 0;
    if (board.paced || sleep >= SOON) {
        uint64_t begun = now_ns();
        if (host_within(ns_in(sleep))) {
            uint64_t slept = cycles_in(now_ns() - begun);
            if (slept < sleep) sleep = slept;
        }
    }
    avr->cycle += sleep;
    feed_uart();
    avr_cycle_timer_register(avr, SLICE, on_slice, NULL);
    avr->cycle -= added;
}

static void keep_pace(void) {
    uint64_t due = board.started_ns + ns_in(board.avr->cycle - board.started_cycle), now = now_ns();
    if (now > due + 1000000) board.started_ns += now - due; /* what is late stays late: no faster clock to make up */
    else if (due > now + 100000) host_within(due - now);
}

static void on_log(avr_t *avr, const int level, const char *format, va_list arguments) {
    (void)avr;
    if (level <= LOG_ERROR) vfprintf(stderr, format, arguments);
}

static void run_slice(void) {
    avr_t *avr = board.avr;
    avr_cycle_count_t end = avr->cycle + SLICE;
    while (avr->cycle < end && !board.stopped) {
        bool reset_due = avr->run != board.run;
        if (reset_due) fprintf(stderr, "reset watchdog at cycle %llu\n", (unsigned long long)avr->cycle);
        int state = avr_run(avr);
        if (reset_due) after_reset();
        if (state == cpu_Done || state == cpu_Crashed) errno = 0, fail("the program has crashed");
    }
}

static void load(const char *path, const char *mcu) {
    elf_firmware_t firmware;
    memset(&firmware, 0, sizeof firmware);
    if (elf_read_firmware(path, &firmware) != 0) errno = 0, fail("the firmware can't be read");
    board.avr = avr_make_mcu_by_name(mcu);
    if (!board.avr) errno = 0, fail("simavr doesn't know this chip");
    avr_init(board.avr);
    avr_load_firmware(board.avr, &firmware);
    board.avr->frequency = 16000000;
    board.avr->vcc = board.avr->avcc = board.avr->aref = 5000;
    board.avr->log = LOG_ERROR;
    board.avr->sleep = on_sleep;
    board.run = board.avr->run;
    for (uint32_t i = 0; i < firmware.symbolcount; i++)
        if (!strcmp(firmware.symbol[i]->symbol, "_end")) board.static_end = (uint16_t)firmware.symbol[i]->addr;
    paint_sram();
    after_reset();
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"mcu", required_argument, NULL, 'm'},      {"fd", required_argument, NULL, 'f'},
        {"eeprom", required_argument, NULL, 'e'},   {"paced", no_argument, NULL, 'p'},
        {"control", no_argument, NULL, 'c'},        {"crossbar", required_argument, NULL, 'x'},
        {NULL, 0, NULL, 0},
    };
    int master = -1;
    const char *mcu = "atmega328p", *eeprom = NULL, *crossbar = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'm') mcu = optarg;
        else if (option == 'f') master = atoi(optarg);
        else if (option == 'e') eeprom = optarg;
        else if (option == 'p') board.paced = true;
        else if (option == 'c') board.control = true;
        else if (option == 'x') crossbar = optarg;
        else return 2;
    }
    if (optind != argc - 1) errno = 0, fail("give one firmware file");
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); /* ns: waits are shorter than the usual 50 us */
    avr_global_logger_set(on_log);
    load(argv[optind], mcu);
    open_eeprom(eeprom);
    connect_uart();
    if (crossbar && !crossbar_attach(board.avr, crossbar)) errno = 0, fail("--crossbar takes SEED:MILLIVOLTS");
    open_pty(master);
    board.started_ns = now_ns();
    board.started_cycle = board.avr->cycle;
    while (!board.stopped) {
        run_slice();
        send_to_host();
        feed_uart();
        keep_eeprom();
        if (board.paced) keep_pace();
        if (board.control && host_within(0)) {
            struct pollfd command = {.fd = STDIN_FILENO, .events = POLLIN};
            if (poll(&command, 1, 0) > 0) read_commands();
        }
    }
    keep_eeprom();
    return 0;
}
