/* attack.c - the attacker of the lab: many connections to one port of the loopback, each of one
 * kind of bad manners, until it is told to end (SIGTERM). A connection that the server closes is
 * made again, at most `rate` a second.
 * Usage: attack PORT KIND CONNECTIONS ADDRESSES RATE [FILE]
 *   hold    sends FILE once, reads answers, stays
 *   churn   sends FILE, waits for the first octets of an answer, closes, comes again
 *   reset   sends FILE, closes with a reset at once, comes again
 *   shut    sends FILE, ends its own direction, stays
 *   drip    sends FILE an octet a second
 *   stream  sends FILE again and again, reads answers
 *   deaf    sends FILE again and again, never reads
 *   noise   sends random octets
 *   ask     no attack: sends FILE, and again when it has an answer
 *   sink    no attack: a server on PORT that answers each read like two registers (the control)
 * They come from 127.1.0.1 … (ADDRESSES of them), so that ports do not run out. Prints "made N",
 * "closed N" (by the server), "sent N", "got N" octets, "open N" at the end. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 20000
#define MAX_PAYLOAD (1 << 20)
#define BATCH 256

enum kind { HOLD, CHURN, RESET, SHUT, DRIP, STREAM, DEAF, NOISE, ASK };
static const char *const kinds[] = {"hold",   "churn", "reset", "shut", "drip",
                                    "stream", "deaf",  "noise", "ask"};

struct conn {
    int fd; /* -1: to be made */
    bool up;
    size_t at; /* octets of the payload that were sent */
};

static struct attack {
    enum kind kind;
    struct sockaddr_in to;
    int loop, count, addresses, rate;
    struct conn conn[MAX_CONNS];
    uint8_t payload[MAX_PAYLOAD];
    size_t len;
    uint64_t made, closed, sent, got;
    uint32_t random;
} a;

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint32_t next_random(void) /* xorshift32: the same noise in each run */
{
    a.random ^= a.random << 13;
    a.random ^= a.random >> 17;
    return a.random ^= a.random << 5;
}

static bool repeats(enum kind k)
{
    return k == STREAM || k == DEAF || k == NOISE;
}

static void watch(struct conn *c, int how, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    (void)epoll_ctl(a.loop, how, c->fd, &ev);
}

static void end_conn(struct conn *c, bool reset)
{
    struct linger now = {1, 0};
    if (reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(c->fd);
    *c = (struct conn){.fd = -1};
}

static bool begin_conn(struct conn *c)
{
    uint32_t which = (uint32_t)(a.made % (uint64_t)a.addresses);
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7F010001u + which)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return false;
    /* the port is chosen at connect(), for the whole of source and target: ip(7) */
    (void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(c->fd, (struct sockaddr *)&a.to, sizeof a.to) != 0 && errno != EINPROGRESS)) {
        end_conn(c, false);
        return false;
    }
    a.made++;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    return true;
}

/** @return false: the connection is gone. */
static bool put(struct conn *c, size_t most)
{
    if (a.kind == NOISE)
        for (size_t i = 0; i + 4 <= a.len; i += 4) {
            uint32_t r = next_random();
            memcpy(a.payload + i, &r, 4);
        }
    size_t n = a.len - c->at < most ? a.len - c->at : most;
    ssize_t sent = send(c->fd, a.payload + c->at, n, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    a.sent += (uint64_t)sent;
    c->at += (size_t)sent;
    if (c->at == a.len && (repeats(a.kind) || a.kind == DRIP))
        c->at = 0;
    return true;
}

/* Once connected, and whenever there is room. */
static void writable(struct conn *c)
{
    c->up = true;
    if (a.kind == DRIP) { /* its octets come by the clock */
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
        return;
    }
    if (c->at < a.len && !put(c, a.len)) {
        a.closed++;
        end_conn(c, false);
        return;
    }
    if (repeats(a.kind) || c->at < a.len)
        return;
    if (a.kind == RESET || (a.kind == CHURN && a.len == 0))
        end_conn(c, a.kind == RESET);
    else {
        if (a.kind == SHUT)
            (void)shutdown(c->fd, SHUT_WR);
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
    }
}

static void readable(struct conn *c)
{
    static uint8_t octets[65536];
    ssize_t n;
    if (a.kind == DEAF) {
        char one;
        n = recv(c->fd, &one, 1, MSG_PEEK); /* looks whether it was closed, takes nothing */
        if (n > 0 || (n < 0 && errno == EAGAIN)) {
            watch(c, EPOLL_CTL_MOD, EPOLLOUT | EPOLLRDHUP);
            return;
        }
    } else {
        n = recv(c->fd, octets, sizeof octets, 0);
    }
    if (n > 0) {
        a.got += (uint64_t)n;
        if (a.kind == CHURN)
            end_conn(c, false);
        if (a.kind == ASK) {
            c->at = 0;
            writable(c);
        }
    } else if (n == 0 || errno != EAGAIN) {
        a.closed++;
        end_conn(c, false);
    }
}

static void on_event(const struct epoll_event *ev)
{
    struct conn *c = ev->data.ptr;
    if (c->fd < 0)
        return; /* ended in this turn */
    if ((ev->events & (EPOLLERR | EPOLLHUP)) != 0) {
        a.closed++;
        end_conn(c, false);
        return;
    }
    if ((ev->events & EPOLLOUT) != 0)
        writable(c);
    if (c->fd >= 0 && (ev->events & (EPOLLIN | EPOLLRDHUP)) != 0)
        readable(c);
}

static void refill(uint64_t begun_ms, int *next)
{
    uint64_t may = (now_ms() - begun_ms + 1) * (uint64_t)a.rate / 1000u;
    for (int looked = 0, made = 0; looked < a.count && made < BATCH && a.made < may; looked++) {
        struct conn *c = &a.conn[*next];
        *next = (*next + 1) % a.count;
        if (c->fd >= 0)
            continue;
        made++;
        if (!begin_conn(c))
            return;
    }
}

static void drip(uint64_t *due_ms)
{
    if (a.kind != DRIP || now_ms() < *due_ms)
        return;
    *due_ms += 1000;
    for (int i = 0; i < a.count; i++)
        if (a.conn[i].up && !put(&a.conn[i], 1)) {
            a.closed++;
            end_conn(&a.conn[i], false);
        }
}

static void run_attack(void)
{
    uint64_t begun_ms = now_ms(), drip_ms = begun_ms;
    int next = 0, open = 0;
    for (int i = 0; i < a.count; i++)
        a.conn[i].fd = -1;
    while (!ended) {
        struct epoll_event ev[BATCH];
        refill(begun_ms, &next);
        drip(&drip_ms);
        int n = epoll_wait(a.loop, ev, BATCH, 1);
        for (int i = 0; i < n; i++)
            on_event(&ev[i]);
    }
    for (int i = 0; i < a.count; i++)
        open += a.conn[i].up ? 1 : 0;
    printf("made %llu\nclosed %llu\nsent %llu\ngot %llu\nopen %d\n", (unsigned long long)a.made,
           (unsigned long long)a.closed, (unsigned long long)a.sent, (unsigned long long)a.got,
           open);
}

static void sink_event(int listener, int fd)
{
    static uint8_t octets[65536];
    struct epoll_event ev = {.events = EPOLLIN};
    if (fd == listener) {
        ev.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (ev.data.fd >= 0)
            (void)epoll_ctl(a.loop, EPOLL_CTL_ADD, ev.data.fd, &ev);
        return;
    }
    ssize_t n = recv(fd, octets, sizeof octets, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        (void)close(fd);
    else if (n > 0) {
        memcpy(octets + 2, "\0\0\0\x07\x01\x03\x04\0\0\0\0", 11); /* right for one read */
        (void)send(fd, octets, 13, MSG_NOSIGNAL | MSG_DONTWAIT);  /* deaf clients lose it */
    }
}

static int run_sink(void)
{
    struct epoll_event ev[BATCH] = {{.events = EPOLLIN}};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&a.to, sizeof a.to) != 0 || listen(listener, 4096) != 0)
        return 1;
    ev[0].data.fd = listener;
    (void)epoll_ctl(a.loop, EPOLL_CTL_ADD, listener, &ev[0]);
    while (!ended) {
        int n = epoll_wait(a.loop, ev, BATCH, -1);
        for (int i = 0; i < n; i++)
            sink_event(listener, ev[i].data.fd);
    }
    return 0;
}

static bool read_payload(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    a.len = fread(a.payload, 1, sizeof a.payload, f);
    (void)fclose(f);
    return true;
}

static bool options(int argc, char **argv)
{
    unsigned k = 0;
    if (argc < 6)
        return false;
    while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k], argv[2]) != 0)
        k++;
    a.kind = (enum kind)k;
    a.count = atoi(argv[3]);
    a.addresses = atoi(argv[4]);
    a.rate = atoi(argv[5]);
    a.len = a.kind == NOISE ? 1024 : 0;
    return k < sizeof kinds / sizeof *kinds && a.count > 0 && a.count <= MAX_CONNS &&
           a.addresses > 0 && a.rate > 0 && (argc == 6 || read_payload(argv[6]));
}

int main(int argc, char **argv)
{
    struct rlimit files;
    a.random = 1;
    (void)signal(SIGTERM, on_end);
    a.loop = epoll_create1(0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    a.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc > 1)
        a.to.sin_port = htons((uint16_t)atoi(argv[1]));
    if (argc == 3 && strcmp(argv[2], "sink") == 0)
        return run_sink();
    if (!options(argc, argv)) {
        fprintf(stderr, "usage: attack PORT KIND CONNECTIONS ADDRESSES RATE [FILE]\n");
        return 2;
    }
    run_attack();
    return 0;
}
