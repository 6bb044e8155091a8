/* master.c - the measured master of the attack lab: asks at an even pace until it is told to end
 * (SIGTERM), looks at every answer, and prints how long each took.
 * Usage: master tcp PORT PERIOD-US | master tty FD PERIOD-US | master http PORT PERIOD-US
 *        (http: the request's head is read from standard input)
 * Prints "ready" when it is connected; at the end a line "error AT TEXT" for each error and one
 * line of numbers: when each request was sent and how long its answer took, AT TOOK AT TOOK …; all
 * in µs, AT of the monotonic clock.
 * An error is: no connection, a connection that ends, an answer that is wrong or later than a
 * second. The next request then goes over a new connection, as a master would do it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 1000
#define MAX_ASKED 1000000u
#define MAX_ANSWER 65536u
#define MAX_ERRORS 1000u

struct master {
    enum { TCP, TTY, HTTP } kind;
    int port, fd; /* fd -1: not connected */
    uint16_t transaction;
    char ask[4096];
    size_t ask_len;
    uint8_t answer[MAX_ANSWER];
    size_t len;
    unsigned errors;
    struct {
        uint64_t at_us;
        const char *what;
        int number; /* errno */
    } error[MAX_ERRORS];
};

struct sample {
    uint64_t at_us;
    uint32_t took_us;
};

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void sleep_until_us(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000u),
                         .tv_nsec = (long)(us % 1000000u) * 1000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

static void fault(struct master *m, const char *what)
{
    if (!ended && m->errors < MAX_ERRORS) {
        m->error[m->errors].at_us = now_us();
        m->error[m->errors].what = what;
        m->error[m->errors].number = errno;
        m->errors++;
    }
    if (m->kind != TTY && m->fd >= 0) {
        (void)close(m->fd);
        m->fd = -1;
    }
}

static bool connect_server(struct master *m)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)m->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    if (m->fd >= 0)
        return true;
    m->fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connect(m->fd, (struct sockaddr *)&at, sizeof at) == 0;
}

/* Read the power: function 3, two registers from 0, of unit 1; over TCP behind an MBAP header, on a
 * line before a CRC (Modbus over Serial Line V1.02, 6.2.2: C4 0B for these octets). */
static void prepare(struct master *m)
{
    static const uint8_t pdu[] = {0x01, 0x03, 0x00, 0x00, 0x00, 0x02, 0xC4, 0x0B};
    m->len = 0;
    if (m->kind == HTTP)
        return;
    m->transaction++;
    uint8_t mbap[6] = {(uint8_t)(m->transaction >> 8), (uint8_t)m->transaction, 0, 0, 0, 6};
    size_t head = m->kind == TCP ? sizeof mbap : 0;
    memcpy(m->ask, mbap, head);
    memcpy(m->ask + head, pdu, sizeof pdu);
    m->ask_len = head + (m->kind == TCP ? 6 : sizeof pdu);
}

static uint16_t crc_modbus(const uint8_t *p, size_t n)
{
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 1) != 0 ? crc >> 1 ^ 0xA001 : crc >> 1);
    }
    return crc;
}

/** @return 1 whole and right, 0 not whole yet, -1 wrong. */
static int judge_http(struct master *m)
{
    const char *text = (const char *)m->answer, *end, *length;
    m->answer[m->len] = '\0';
    end = strstr(text, "\r\n\r\n");
    if (end == NULL)
        return 0;
    length = strcasestr(text, "\r\nContent-Length:");
    if (strncmp(text, "HTTP/1.1 200 ", 13) != 0 || length == NULL || length > end)
        return -1;
    return m->len >= (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10) ? 1 : 0;
}

static int judge(struct master *m)
{
    const uint8_t *a = m->answer;
    if (m->kind == HTTP)
        return judge_http(m);
    if (m->kind == TTY) {
        if (m->len < 9)
            return 0;
        return m->len == 9 && a[0] == 1 && a[1] == 3 && a[2] == 4 && crc_modbus(a, 9) == 0 ? 1 : -1;
    }
    if (m->len < 13)
        return 0;
    return m->len == 13 && memcmp(a, m->ask, 2) == 0 &&
                   memcmp(a + 2, "\0\0\0\x07\x01\x03\x04", 7) == 0
               ? 1
               : -1;
}

static bool await_answer(struct master *m, uint64_t until_us)
{
    int verdict = 0;
    while (verdict == 0) {
        uint64_t now = now_us();
        struct pollfd p = {.fd = m->fd, .events = POLLIN};
        ssize_t n;
        errno = ETIMEDOUT;
        if (now >= until_us || poll(&p, 1, (int)((until_us - now) / 1000u + 1u)) <= 0)
            break;
        n = read(m->fd, m->answer + m->len, sizeof m->answer - 1u - m->len);
        if (n <= 0) {
            fault(m, n == 0 ? "closed by the server" : "reading failed");
            return false;
        }
        m->len += (size_t)n;
        verdict = judge(m);
    }
    if (verdict <= 0)
        fault(m, verdict < 0 ? "a wrong answer" : "no answer in a second");
    return verdict > 0;
}

/** @return false: an error, counted. */
static bool ask(struct master *m)
{
    uint64_t until_us = now_us() + ANSWER_MS * 1000u;
    if (m->kind != TTY && !connect_server(m)) {
        fault(m, "cannot connect");
        return false;
    }
    prepare(m);
    if (write(m->fd, m->ask, m->ask_len) != (ssize_t)m->ask_len) {
        fault(m, "sending failed");
        return false;
    }
    return await_answer(m, until_us);
}

static void report(const struct master *m, const struct sample *sample, size_t n)
{
    for (unsigned i = 0; i < m->errors; i++)
        printf("error %llu %s (%s)\n", (unsigned long long)m->error[i].at_us, m->error[i].what,
               strerror(m->error[i].number));
    for (size_t i = 0; i < n; i++)
        printf("%llu %u ", (unsigned long long)sample[i].at_us, sample[i].took_us);
    printf("\n");
}

static bool options(int argc, char **argv, struct master *m)
{
    if (argc != 4)
        return false;
    m->kind = strcmp(argv[1], "tcp") == 0 ? TCP : strcmp(argv[1], "tty") == 0 ? TTY : HTTP;
    m->port = m->fd = atoi(argv[2]);
    if (m->kind != TTY)
        m->fd = -1;
    if (m->kind == HTTP)
        m->ask_len = fread(m->ask, 1, sizeof m->ask, stdin);
    return true;
}

int main(int argc, char **argv)
{
    static struct master m;
    static struct sample sample[MAX_ASKED];
    size_t n = 0;
    if (!options(argc, argv, &m)) {
        fprintf(stderr, "usage: master tcp|tty|http PORT-OR-FD PERIOD-US\n");
        return 2;
    }
    (void)signal(SIGTERM, on_end);
    (void)ask(&m); /* the connection, not measured */
    printf("ready\n");
    (void)fflush(stdout);
    uint64_t at = now_us(), period = strtoull(argv[3], NULL, 10);
    while (!ended && n < MAX_ASKED) {
        sleep_until_us(at);
        uint64_t began = now_us();
        if (ask(&m))
            sample[n++] = (struct sample){began, (uint32_t)(now_us() - began)};
        at += period;
        if (at < now_us()) /* late: no burst to make up for it */
            at = now_us();
    }
    report(&m, sample, n);
    return 0;
}
