/* source_tcp.c - a meter behind a serial server, tcp://HOST:PORT.
 *
 *   WAIT ─ time is up ─▶ LOOKUP ─▶ CONNECT ─▶ UP ─ closed, or silent for a minute ─▶ WAIT
 *            ▲             │ no such name  │ refused, silent: next address, then WAIT
 *            └─────────────┴───────────────┘  each WAIT twice as long as the last, up to a minute
 *
 * The look-up runs on the worker: it may hang for longer than this source lives. */
#include "clock.h"
#include "log.h"
#include "source.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MAX 2048u
#define CONNECT_MS 10000u
#define SILENT_MS 60000u /* six lists missed: the other end is gone without a word */
#define BACKOFF_MIN_MS 1000u
#define BACKOFF_MAX_MS 60000u

enum state { WAIT, LOOKUP, CONNECT, UP };

struct tcp;

/* Lives until the worker gives it back; owner NULL: nobody waits for it any more. */
struct lookup {
    struct hx_job job;
    struct tcp *owner;
    int error; /* of getaddrinfo */
    struct addrinfo *list;
    char host[HX_SOURCE_TEXT_MAX], port[8];
};

struct tcp {
    struct hx_source *source;
    enum state state;
    int fd; /* -1 none */
    struct event *event;
    struct lookup *lookup;
    struct addrinfo *list, *address; /* all of the name; the one being tried */
    uint64_t since_ms;               /* of CONNECT, or of the newest octet when UP */
    uint64_t wait_until_ms, backoff_ms;
    bool told; /* that it cannot be reached */
    char host[HX_SOURCE_TEXT_MAX], port[8];
};

static void close_fd(struct tcp *t)
{
    if (t->event != NULL)
        event_free(t->event);
    t->event = NULL;
    if (t->fd >= 0)
        (void)close(t->fd); /* nothing was sent */
    t->fd = -1;
}

/* A quarter at random, so that many gateways do not come back to a server all at once. */
static uint64_t jitter(uint64_t ms)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = (uint32_t)hx_clock_us();
    return ms - ms / 8u + random % (ms / 4u);
}

static void back_off(struct tcp *t, const char *why)
{
    close_fd(t);
    if (t->list != NULL)
        freeaddrinfo(t->list);
    t->list = NULL;
    t->address = NULL;
    if (!t->told)
        hx_log(HX_LOG_WARNING, "meter tcp://%s:%s: %s; trying again until it works", t->host,
               t->port, why);
    t->told = true;
    t->state = WAIT;
    t->wait_until_ms = hx_clock_ms() + jitter(t->backoff_ms);
    t->backoff_ms *= 2u;
    if (t->backoff_ms > BACKOFF_MAX_MS)
        t->backoff_ms = BACKOFF_MAX_MS;
}

static void connect_next(struct tcp *t, int err);

static void on_up(struct tcp *t)
{
    int err = 0;
    socklen_t size = sizeof err;

    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0 || err != 0) {
        connect_next(t, err != 0 ? err : errno);
        return;
    }
    t->state = UP;
    t->since_ms = hx_clock_ms();
    t->told = false;
    hx_log(HX_LOG_NOTICE, "meter tcp://%s:%s: connected", t->host, t->port);
}

static void on_bytes(struct tcp *t)
{
    const struct hx_source_env *env = &t->source->env;
    uint8_t in[READ_MAX];
    ssize_t n = recv(t->fd, in, sizeof in, 0);

    if (n > 0) {
        t->since_ms = hx_clock_ms();
        t->backoff_ms = BACKOFF_MIN_MS; /* only octets prove that it works */
        env->rx(env->ctx, (struct hx_span){in, (size_t)n});
    } else if (n == 0) {
        back_off(t, "the other end closed the connection");
    } else if (errno != EAGAIN && errno != EINTR) {
        back_off(t, strerror(errno));
    }
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct tcp *t = arg;

    (void)fd;
    (void)what;
    if (t->state == CONNECT)
        on_up(t);
    if (t->state != UP)
        return;
    if (event_get_events(t->event) & EV_WRITE) { /* connected just now: from here on we read */
        event_free(t->event);
        t->event = event_new(t->source->env.base, t->fd, EV_READ | EV_PERSIST, on_io, t);
        if (t->event == NULL || event_add(t->event, NULL) != 0)
            back_off(t, "out of memory");
        return;
    }
    on_bytes(t);
}

static void set_int(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* our own timeout does too */
}

/* @return 0 connecting, else errno. */
static int start_connect(struct tcp *t)
{
    const struct addrinfo *a = t->address;

    t->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->fd < 0)
        return errno;
    set_int(t->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(t->fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set_int(t->fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_int(t->fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    if (connect(t->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        return errno;
    t->event = event_new(t->source->env.base, t->fd, EV_WRITE | EV_PERSIST, on_io, t);
    if (t->event == NULL || event_add(t->event, NULL) != 0)
        return ENOMEM;
    t->state = CONNECT;
    t->since_ms = hx_clock_ms();
    return 0;
}

/* The address being tried failed with @p err: go on to the next. */
static void connect_next(struct tcp *t, int err)
{
    while (t->address != NULL) {
        close_fd(t);
        t->address = t->address->ai_next;
        if (t->address == NULL)
            break;
        err = start_connect(t);
        if (err == 0)
            return;
    }
    back_off(t, strerror(err));
}

static void lookup_run(struct hx_job *job)
{
    struct lookup *l = (struct lookup *)(void *)job; /* first member */
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};

    l->error = getaddrinfo(l->host, l->port, &hints, &l->list);
}

static void lookup_done(struct hx_job *job)
{
    struct lookup *l = (struct lookup *)(void *)job; /* first member */
    struct tcp *t = l->owner;
    int err;

    if (t != NULL) {
        t->lookup = NULL;
        if (l->error != 0) {
            back_off(t, gai_strerror(l->error));
        } else {
            t->list = l->list;
            t->address = l->list;
            l->list = NULL;
            err = start_connect(t);
            if (err != 0)
                connect_next(t, err);
        }
    }
    if (l->list != NULL)
        freeaddrinfo(l->list);
    free(l);
}

static void start_lookup(struct tcp *t)
{
    struct lookup *l = calloc(1, sizeof *l);

    if (l == NULL) {
        back_off(t, "out of memory");
        return;
    }
    l->job = (struct hx_job){.run = lookup_run, .done = lookup_done};
    l->owner = t;
    l->error = EAI_AGAIN;
    memcpy(l->host, t->host, sizeof l->host);
    memcpy(l->port, t->port, sizeof l->port);
    t->lookup = l;
    t->state = LOOKUP;
    (void)hx_worker_submit(t->source->env.worker, &l->job); /* new: cannot be busy */
}

static void tick(void *impl, uint64_t now_ms)
{
    struct tcp *t = impl;

    switch (t->state) {
    case WAIT:
        if (now_ms >= t->wait_until_ms)
            start_lookup(t);
        return;
    case LOOKUP: /* the worker tells */
        return;
    case CONNECT:
        if (now_ms - t->since_ms >= CONNECT_MS)
            connect_next(t, ETIMEDOUT);
        return;
    case UP:
        if (now_ms - t->since_ms >= SILENT_MS)
            back_off(t, "connected, but nothing came for a minute");
        return;
    }
}

/* HOST:PORT or [ADDRESS]:PORT. */
static bool split(struct tcp *t, const char *rest)
{
    const char *colon = strrchr(rest, ':');
    size_t n = colon != NULL ? (size_t)(colon - rest) : 0;

    if (n >= 2 && rest[0] == '[' && rest[n - 1] == ']') {
        rest++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof t->host || strlen(colon + 1) >= sizeof t->port)
        return false;
    memcpy(t->host, rest, n);
    (void)snprintf(t->port, sizeof t->port, "%s", colon + 1);
    return true;
}

static void *open_tcp(struct hx_source *source, const char *rest)
{
    struct tcp *t = calloc(1, sizeof *t);

    if (t == NULL || !split(t, rest)) {
        hx_log(HX_LOG_ERROR, "meter.source: tcp://%s is not tcp://HOST:PORT", rest);
        free(t);
        return NULL;
    }
    t->source = source;
    t->fd = -1;
    t->backoff_ms = BACKOFF_MIN_MS;
    start_lookup(t);
    return t;
}

static void close_tcp(void *impl)
{
    struct tcp *t = impl;

    close_fd(t);
    if (t->lookup != NULL)
        t->lookup->owner = NULL;
    if (t->list != NULL)
        freeaddrinfo(t->list);
    free(t);
}

const struct hx_source_kind hx_source_tcp = {
    .prefix = "tcp://", .open = open_tcp, .tick = tick, .close = close_tcp};
