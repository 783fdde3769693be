/* The core as a process: on a pseudo-terminal, on a TCP port of this machine, or on stdin and stdout. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "board.h"
#include "config.h"
#include "hz1_messages.h"

static int input = STDIN_FILENO;
static int output = STDOUT_FILENO;
static int nonvolatile = -1;

static uint8_t received[65536];
static size_t received_count, received_next;
static uint8_t sent[65536];
static size_t sent_count;
static struct timespec started;

static void fail(const char *what)
{
    fprintf(stderr, "hwzo-board-posix: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void flush(void)
{
    size_t done = 0;
    while (done < sent_count) {
        const ssize_t count = write(output, sent + done, sent_count - done);
        if (count > 0) {
            done += (size_t)count;
        } else if (errno == EAGAIN) {
            struct pollfd room = {output, POLLOUT, 0};
            poll(&room, 1, 1000);
        } else if (errno != EINTR) {
            break; /* nobody is there: as on a wire, what is sent is lost */
        }
    }
    sent_count = 0;
}

static bool board_read(uint8_t *byte)
{
    if (received_next == received_count) {
        flush(); /* nothing left to answer: off with the replies, then see what has come */
        received_next = received_count = 0;
        const ssize_t count = read(input, received, sizeof received);
        if (count <= 0) {
            if (count == 0) { /* the host has closed the line; a pseudo-terminal's stays open */
                exit(0);
            }
            return false;
        }
        received_count = (size_t)count;
    }
    *byte = received[received_next++];
    return true;
}

static void board_write(const uint8_t *bytes, uint16_t count)
{
    if (sent_count + count > sizeof sent) {
        flush();
    }
    memcpy(sent + sent_count, bytes, count);
    sent_count += count;
}

static uint32_t board_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((now.tv_sec - started.tv_sec) * 1000 + (now.tv_nsec - started.tv_nsec) / 1000000);
}

static void board_feed(void) {}

static bool board_load(uint16_t offset, uint8_t *bytes, uint16_t count)
{
    return nonvolatile >= 0 && pread(nonvolatile, bytes, count, offset) == count;
}

static bool board_save(uint16_t offset, const uint8_t *bytes, uint16_t count)
{
    return nonvolatile >= 0 && pwrite(nonvolatile, bytes, count, offset) == count;
}

static void open_terminal(void)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        fail("no pseudo-terminal");
    }
    const char *path = ptsname(master);
    const int slave = open(path, O_RDWR | O_NOCTTY); /* kept open, so that hosts may come and go */
    struct termios raw;
    if (slave < 0 || tcgetattr(slave, &raw) != 0) {
        fail(path);
    }
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    input = output = master;
    printf("%s\n", path);
    fflush(stdout);
}

/* One host at a time; the board lives as long as its connection. */
static void open_port(uint16_t port)
{
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fail("TCP port");
    }
    printf("socket://127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    input = output = accept(listener, NULL, NULL);
    if (input < 0) {
        fail("TCP port");
    }
    close(listener);
    setsockopt(input, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static uint32_t random_id(void)
{
    uint32_t id = 1;
    const int source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (source < 0 || read(source, &id, sizeof id) != (ssize_t)sizeof id) {
        fail("/dev/urandom");
    }
    close(source);
    return id;
}

static void usage(void)
{
    fputs("usage: hwzo-board-posix [--pty | --tcp PORT] [--boot-id N] [--reset-cause N] [--nonvolatile FILE]\n"
          "Speaks HZ1 on stdin and stdout, or on what it prints the name of. PORT 0: any free one.\n",
          stderr);
    exit(2);
}

static unsigned long number(const char *text, unsigned long most)
{
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 0);
    if (*text == '\0' || *text == '-' || *end != '\0' || errno != 0 || value > most) {
        fprintf(stderr, "hwzo-board-posix: %s is not a number from 0 to %lu\n", text, most);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"pty", no_argument, NULL, 'p'},          {"tcp", required_argument, NULL, 't'},
        {"boot-id", required_argument, NULL, 'b'}, {"nonvolatile", required_argument, NULL, 'n'},
        {"reset-cause", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0},
    };
    uint32_t boot_id = random_id();
    uint8_t reset_cause = HZ_CAUSE_POWER_ON;
    bool terminal = false;
    long port = -1;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            terminal = true;
            break;
        case 't':
            port = (long)number(optarg, UINT16_MAX);
            break;
        case 'b':
            boot_id = (uint32_t)number(optarg, UINT32_MAX);
            break;
        case 'r':
            reset_cause = (uint8_t)number(optarg, HZ_CAUSE_SOFTWARE);
            break;
        case 'n':
            nonvolatile = open(optarg, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
            if (nonvolatile < 0) {
                fail(optarg);
            }
            break;
        default:
            usage();
        }
    }
    if (optind < argc || (terminal && port >= 0)) {
        usage();
    }
    signal(SIGPIPE, SIG_IGN);
    clock_gettime(CLOCK_MONOTONIC, &started);
    if (terminal) {
        open_terminal();
    } else if (port >= 0) {
        open_port((uint16_t)port);
    }
    if (fcntl(input, F_SETFL, fcntl(input, F_GETFL) | O_NONBLOCK) != 0) {
        fail("input");
    }
    const struct hz_board board = {
        .model = "posix",
        .boot_id = boot_id,
        .receive_buffer = 4095, /* what a pseudo-terminal holds */
        .reset_cause = reset_cause,
        .read = board_read,
        .write = board_write,
        .milliseconds = board_milliseconds,
        .feed = board_feed,
        .load = board_load,
        .save = board_save,
    };
    hz_start(&board, &hz_array_sim);
    for (;;) {
        if (!hz_poll()) {
            flush();
            struct pollfd waiting = {input, POLLIN, 0};
            poll(&waiting, 1, 10);
            if ((waiting.revents & (POLLHUP | POLLERR)) && !(waiting.revents & POLLIN) && !terminal) {
                return 0;
            }
        }
    }
}
