/* latency.c - how long from a telegram's last octet until a Modbus master reads its value.
 * Usage: latency pty|tcp MODBUS-PORT COUNT
 * Prints "source …" for the gateway's meter.source, waits for the gateway on MODBUS-PORT, then
 * sends COUNT list 2 telegrams, each with another power, and polls register 40001 until it comes.
 * Prints "latency_p50_us N", "latency_p99_us N", "latency_max_us N" and "poll_p50_us N". */
#include "hx/crc.h"
#include "vectors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 100000
#define PATIENCE_MS 10000

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void pause_us(long us)
{
    struct timespec t = {0, us * 1000};
    (void)nanosleep(&t, NULL);
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "latency: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_pty(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0)
        die("pty");
    struct termios raw;
    (void)tcgetattr(fd, &raw);
    cfmakeraw(&raw);
    (void)tcsetattr(fd, TCSANOW, &raw);
    printf("source serial:%s\n", ptsname(fd));
    return fd;
}

static int open_tcp(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&at, &len) != 0)
        die("tcp");
    printf("source tcp://127.0.0.1:%d\n", ntohs(at.sin_port));
    (void)fflush(stdout);
    int fd = accept(listener, NULL, NULL), on = 1;
    if (fd < 0)
        die("accept");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int connect_modbus(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int tries = 0; tries < PATIENCE_MS; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
        if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return fd;
        }
        (void)close(fd);
        pause_us(1000);
    }
    die("no gateway on the Modbus port");
}

/** @return active power import, W: registers 40001-02. */
static uint32_t read_power(int fd)
{
    static const uint8_t ask[12] = {0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2};
    uint8_t answer[13];
    if (send(fd, ask, sizeof ask, MSG_NOSIGNAL) != (ssize_t)sizeof ask ||
        recv(fd, answer, sizeof answer, MSG_WAITALL) != (ssize_t)sizeof answer)
        die("Modbus");
    return (uint32_t)answer[9] << 24 | (uint32_t)answer[10] << 16 | (uint32_t)answer[11] << 8 |
           answer[12];
}

/** A recorded Aidon list 2 with its power replaced and its checksum made right again. */
static struct hx_span telegram(uint32_t power_w)
{
    static const uint8_t obis[] = {0x01, 0x00, 0x01, 0x07, 0x00, 0xFF, 0x06};
    static uint8_t frame[HX_HDLC_WIRE_MAX];
    size_t v = 0, at = 0;
    while (norway[v].list != 2 || norway[v].maker != HX_MAKER_AIDON)
        v++;
    size_t len = norway[v].bytes.len;
    memcpy(frame, norway[v].bytes.ptr, len);
    while (memcmp(frame + at, obis, sizeof obis) != 0)
        at++;
    for (size_t i = 0; i < 4; i++)
        frame[at + sizeof obis + i] = (uint8_t)(power_w >> (24 - 8 * i));
    uint16_t crc = hx_crc_x25((struct hx_span){frame + 1, len - 4});
    frame[len - 3] = (uint8_t)(crc & 0xFF);
    frame[len - 2] = (uint8_t)(crc >> 8);
    return (struct hx_span){frame, len};
}

/** Send a telegram; @return microseconds until its power is read, from the end of the write. */
static uint64_t measure(int meter, int modbus, uint32_t power_w)
{
    struct hx_span t = telegram(power_w);
    if (write(meter, t.ptr, t.len) != (ssize_t)t.len)
        die("meter");
    uint64_t sent = now_us(), now = sent;
    while (read_power(modbus) != power_w) {
        now = now_us();
        if (now - sent > PATIENCE_MS * 1000u) {
            errno = ETIMEDOUT;
            die("value never came");
        }
    }
    return now_us() - sent;
}

/** The first telegrams may wait for a second that agrees, or for the gateway to find the line. */
static void warm_up(int meter, int modbus)
{
    for (uint32_t i = 0; i < PATIENCE_MS / 50; i++) {
        struct hx_span t = telegram(100 + i);
        if (write(meter, t.ptr, t.len) != (ssize_t)t.len)
            die("meter");
        pause_us(50000);
        if (read_power(modbus) == 100 + i)
            return;
    }
    errno = ETIMEDOUT;
    die("the gateway takes no telegrams");
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static uint64_t took[COUNT_MAX], polls[COUNT_MAX];
    int count = argc == 4 ? atoi(argv[3]) : 0;
    if (count < 1 || count > COUNT_MAX) {
        fprintf(stderr, "usage: latency pty|tcp MODBUS-PORT COUNT\n");
        return 2;
    }
    int meter = strcmp(argv[1], "pty") == 0 ? open_pty() : open_tcp();
    (void)fflush(stdout);
    int modbus = connect_modbus(atoi(argv[2]));
    warm_up(meter, modbus);
    for (int i = 0; i < count; i++) {
        pause_us(1000 + 37 * (i % 100)); /* another phase of the gateway's loop each time */
        uint64_t start = now_us();
        (void)read_power(modbus);
        polls[i] = now_us() - start;
        took[i] = measure(meter, modbus, 1000u + (uint32_t)i);
    }
    qsort(took, (size_t)count, sizeof took[0], by_value);
    qsort(polls, (size_t)count, sizeof polls[0], by_value);
    printf("latency_p50_us %llu\nlatency_p99_us %llu\nlatency_max_us %llu\npoll_p50_us %llu\n",
           (unsigned long long)took[count / 2], (unsigned long long)took[count * 99 / 100],
           (unsigned long long)took[count - 1], (unsigned long long)polls[count / 2]);
    return 0;
}
