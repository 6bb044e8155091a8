/* mbtcp_server.c - see mbtcp_server.h. */
#include "mbtcp_server.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SLAB_CONNS 64u        /* some 30 kB */
#define OTHER_DESCRIPTORS 64u /* ours beside the clients', with room to spare */

#include <event2/event_struct.h> /* struct event in place: nothing allocated per connection */

/* Answers that a client has not taken, and the requests behind them. */
struct block {
    uint16_t in_len, out_at, out_len;
    bool close_after;
    uint64_t since_ms;
    struct hx_mbtcp_conn *older; /* list of blocked connections */
    uint8_t in[HX_MBTCP_IN], out[HX_MBTCP_OUT];
};

struct hx_mbtcp_conn {
    struct event event;
    struct hx_mbtcp_server *server;
    struct hx_mbtcp_conn *newer, *older; /* in its queue; older also links free slots */
    struct hx_mbtcp_queue *queue;
    struct hx_mbtcp_conn *behind, *ahead; /* among those that wait their turn */
    struct block *block;                  /* NULL: not blocked */
    uint64_t active_ms;
    int fd;
    uint8_t host; /* its address, as index of server->of_host */
    bool waits;   /* its turn, instead of the loop */
    struct hx_mbtcp frame;
};

struct hx_mbtcp_slab {
    struct hx_mbtcp_slab *next;
    struct hx_mbtcp_conn conn[SLAB_CONNS];
};

_Static_assert(sizeof(struct hx_mbtcp_slab) <= SLAB_CONNS * 1024u, "1 KB a connection, at most");
_Static_assert(HX_MBTCP_IN <= UINT16_MAX && HX_MBTCP_OUT <= UINT16_MAX, "counted in 16 bits");

/* --- idle order --- */

static void leave_queue(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_queue *q = c->queue;

    *(c->newer != NULL ? &c->newer->older : &q->newest) = c->older;
    *(c->older != NULL ? &c->older->newer : &q->oldest) = c->newer;
}

static void enter_queue(struct hx_mbtcp_conn *c, struct hx_mbtcp_queue *q)
{
    c->queue = q;
    c->newer = NULL;
    c->older = q->newest;
    *(q->newest != NULL ? &q->newest->newer : &q->oldest) = c;
    q->newest = c;
}

/* Only an answer counts: octets that come to nothing do not keep a slot. The clock is that of the
 * last tick, so a busy client moves once a second and costs its neighbours' cache lines no more. */
static void touch(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_server *s = c->server;

    if (c->queue != &s->silent && c->active_ms == s->now_ms)
        return;
    c->active_ms = s->now_ms;
    leave_queue(c);
    enter_queue(c, c->queue == &s->silent ? &s->asked : &s->regular);
}

/* IPv4, also inside IPv6: the address; else the network of 64 bits, which is one household's. */
static uint8_t host_of(const struct sockaddr_storage *peer)
{
    const struct sockaddr_in6 *six = (const void *)peer;
    const struct sockaddr_in *four = (const void *)peer;
    const uint8_t *octets = six->sin6_addr.s6_addr;
    uint32_t hash = 2166136261u; /* FNV-1a */
    size_t n = 8;

    if (peer->ss_family == AF_INET) {
        octets = (const void *)&four->sin_addr;
        n = sizeof four->sin_addr;
    } else if (peer->ss_family != AF_INET6) {
        return 0;
    } else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        octets += 12;
        n = 4;
    }
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ octets[i]) * 16777619u;
    return (uint8_t)(hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24);
}

static void count_host(struct hx_mbtcp_server *s, uint8_t host)
{
    if (s->of_host[host]++ == 0)
        s->hosts++;
}

static void uncount_host(struct hx_mbtcp_server *s, uint8_t host)
{
    if (--s->of_host[host] == 0)
        s->hosts--;
}

#define LOOK_MAX 64u /* a full pool is not searched through for each newcomer */

/* The longest idle of those whose address has more than its share of the places. */
static struct hx_mbtcp_conn *greedy(const struct hx_mbtcp_server *s, const struct hx_mbtcp_queue *q)
{
    struct hx_mbtcp_conn *c = q->oldest;

    for (unsigned i = 0; i < LOOK_MAX && c != NULL; i++, c = c->newer)
        if ((uint32_t)s->of_host[c->host] * s->hosts > s->clients)
            return c;
    return NULL;
}

/* Who goes first: one whose address has more than its share, else the longest idle; and before
 * those that have asked for more than a second those that asked just now, and before these those
 * that never did. A flood of connections then pushes out itself, not a master between two polls,
 * be it from one address or be its connections short. */
static struct hx_mbtcp_conn *first_to_go(const struct hx_mbtcp_server *s)
{
    const struct hx_mbtcp_queue *const order[] = {&s->silent, &s->asked, &s->regular};
    struct hx_mbtcp_conn *c = NULL;

    for (size_t i = 0; i < 3 && c == NULL; i++)
        c = greedy(s, order[i]);
    for (size_t i = 0; i < 3 && c == NULL; i++)
        c = order[i]->oldest;
    return c;
}

/* --- slots --- */

static struct hx_mbtcp_conn *take_slot(struct hx_mbtcp_server *s)
{
    struct hx_mbtcp_conn *c = s->free;

    if (c == NULL) {
        struct hx_mbtcp_slab *slab = malloc(sizeof *slab); /* untouched slots cost no memory */

        if (slab == NULL)
            return NULL;
        slab->next = s->slabs;
        s->slabs = slab;
        s->slots += SLAB_CONNS;
        for (size_t i = SLAB_CONNS; i-- > 0;) {
            slab->conn[i].older = s->free;
            s->free = &slab->conn[i];
        }
        c = s->free;
    }
    s->free = c->older;
    return c;
}

static void give_slot(struct hx_mbtcp_conn *c)
{
    c->older = c->server->free;
    c->server->free = c;
}

/* --- blocked clients --- */

static void release_block(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_server *s = c->server;
    struct hx_mbtcp_conn **at = &s->blocked;

    if (c->block == NULL)
        return;
    while (*at != c)
        at = &(*at)->block->older;
    *at = c->block->older;
    free(c->block);
    c->block = NULL;
    s->blocks--;
}

static struct block *take_block(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_server *s = c->server;
    struct block *b = s->blocks < HX_MBTCP_BLOCKS ? malloc(sizeof *b) : NULL;

    if (b == NULL)
        return NULL;
    b->since_ms = s->now_ms;
    b->older = s->blocked;
    s->blocked = c;
    s->blocks++;
    c->block = b;
    return b;
}

/* --- clients that ask for much at once --- */

/* Who has more to ask than fits in one reading is not left to the loop, which would come back to it
 * at once for ever: it waits its turn. A few turns a millisecond: 20 µs each for those who ask one
 * thing at a time. */
#define TURN_PAUSE_MS 1u
#define TURNS 4u

static void leave_line(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_server *s = c->server;

    if (!c->waits)
        return;
    *(c->ahead != NULL ? &c->ahead->behind : &s->first) = c->behind;
    *(c->behind != NULL ? &c->behind->ahead : &s->last) = c->ahead;
    c->waits = false;
}

/* @return false: no memory, the loop goes on with it. */
static bool enter_line(struct hx_mbtcp_conn *c)
{
    const struct timeval wait = {.tv_usec = TURN_PAUSE_MS * 1000u};
    struct hx_mbtcp_server *s = c->server;

    if (s->turn == NULL || (s->first == NULL && event_add(s->turn, &wait) != 0))
        return false;
    c->behind = NULL;
    c->ahead = s->last;
    *(s->last != NULL ? &s->last->behind : &s->first) = c;
    s->last = c;
    c->waits = true;
    return true;
}

/* --- connections --- */

static void drop(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_server *s = c->server;

    (void)event_del(&c->event);
    release_block(c);
    leave_line(c);
    leave_queue(c);
    uncount_host(s, c->host);
    /* Octets that nobody reads would turn the close into a reset, and answers that are on their
     * way would be lost with it: tcp(7), MSG_TRUNC throws them away. */
    (void)recv(c->fd, NULL, 1u << 20, MSG_TRUNC | MSG_DONTWAIT);
    (void)close(c->fd); /* a lost connection has nothing to tell us */
    c->fd = -1;
    give_slot(c);
    s->clients--;
}

static void name_peer(int fd, const char *between, char out[HX_MBTCP_PEER])
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    char host[HX_MBTCP_PEER - 16u] = "?", port[8] = "?";
    const char *name = host;

    if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
        (void)getnameinfo((struct sockaddr *)&peer, size, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV); /* else "?" */
    if (strncmp(host, "::ffff:", 7) == 0)
        name = host + 7; /* IPv4 on our dual-stack socket */
    (void)snprintf(out, HX_MBTCP_PEER, "%s%s%s", name, between, port);
}

static void log_peer_write(struct hx_mbtcp_conn *c, uint32_t before, uint32_t after)
{
    struct hx_mbtcp_server *s = c->server;

    name_peer(c->fd, " port ", s->writer);
    hx_log_limited(&s->write_log, s->now_ms, HX_LOG_NOTICE,
                   "Modbus TCP client %s wrote the scale factor: %u.%03u, before %u.%03u",
                   s->writer, after / 1000u, after % 1000u, before / 1000u, before % 1000u);
}

/* Answer what is in @p in until it is used up or the output is full. */
static enum hx_err feed(struct hx_mbtcp_conn *c, struct hx_span *in, struct hx_wr *out)
{
    struct hx_mbtcp_server *s = c->server;
    struct hx_mb_write write = {0};
    uint32_t before = s->dev->state->scale;
    enum hx_err err;

    while ((err = hx_mbtcp_feed(&c->frame, s->dev, in, out, &write)) == HX_OK) {
        log_peer_write(c, before, write.scale);
        before = write.scale;
        write.done = false;
        s->on_write(s->ctx);
        s->writer[0] = '\0';
    }
    return err;
}

static void on_io(evutil_socket_t fd, short what, void *arg);

static void wait_for(struct hx_mbtcp_conn *c, short what)
{
    (void)event_del(&c->event);
    (void)event_assign(&c->event, c->server->base, c->fd, (short)(what | EV_PERSIST), on_io, c);
    if (event_add(&c->event, NULL) != 0)
        drop(c);
}

/* The client does not take its answers: keep them, and ask it for nothing more until it does. */
static void block(struct hx_mbtcp_conn *c, struct hx_span out, struct hx_span in, bool close_after)
{
    struct block *b = take_block(c);

    if (b == NULL) {
        drop(c);
        return;
    }
    memcpy(b->out, out.ptr, out.len);
    memcpy(b->in, in.ptr, in.len);
    b->out_at = 0;
    b->out_len = (uint16_t)out.len;
    b->in_len = (uint16_t)in.len;
    b->close_after = close_after;
    wait_for(c, EV_WRITE);
}

/* @return octets sent, 0 when the socket is full, -1 when it is broken. */
static ssize_t send_some(int fd, struct hx_span out)
{
    ssize_t n = send(fd, out.ptr, out.len, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
        return 0;
    return n;
}

static void serve(struct hx_mbtcp_conn *c, struct hx_span in)
{
    struct hx_mbtcp_server *s = c->server;
    enum hx_err err;

    do {
        struct hx_wr out = {.ptr = s->out, .cap = sizeof s->out};
        ssize_t n = 0;

        err = feed(c, &in, &out);
        if (out.len != 0) {
            n = send_some(c->fd, (struct hx_span){s->out, out.len});
            if (n < 0) {
                drop(c);
                return;
            }
            touch(c);
        }
        if ((size_t)n != out.len) {
            block(c, (struct hx_span){s->out + n, out.len - (size_t)n}, in, err == HX_E_VALUE);
            return;
        }
    } while (err == HX_E_SPACE);
    if (err == HX_E_VALUE) {
        s->broken++;
        drop(c);
    }
}

/* @return true when there is certainly more. */
static bool read_some(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_server *s = c->server;
    ssize_t n = recv(c->fd, s->in, sizeof s->in, 0);

    if (n > 0)
        serve(c, (struct hx_span){s->in, (size_t)n});
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        drop(c); /* end of the stream: what was asked before it has been answered */
    return n == (ssize_t)sizeof s->in;
}

static bool is_there(const struct hx_mbtcp_conn *c)
{
    return c->fd >= 0;
}

static void on_readable(struct hx_mbtcp_conn *c)
{
    if (read_some(c) && is_there(c) && c->block == NULL && enter_line(c))
        (void)event_del(&c->event);
}

static void take_turn(struct hx_mbtcp_conn *c)
{
    bool more;

    leave_line(c);
    more = read_some(c);
    if (!is_there(c) || c->block != NULL || (more && enter_line(c)))
        return;
    if (event_add(&c->event, NULL) != 0)
        drop(c);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval wait = {.tv_usec = TURN_PAUSE_MS * 1000u};
    struct hx_mbtcp_server *s = arg;

    (void)fd;
    (void)what;
    for (unsigned i = 0; i < TURNS && s->first != NULL; i++)
        take_turn(s->first);
    if (s->first != NULL)
        (void)event_add(s->turn, &wait); /* it was added before: no memory is needed */
}

static void on_writable(struct hx_mbtcp_conn *c)
{
    struct hx_mbtcp_server *s = c->server;
    struct block *b = c->block;
    ssize_t n =
        send_some(c->fd, (struct hx_span){b->out + b->out_at, (size_t)(b->out_len - b->out_at)});
    struct hx_span in;

    if (n > 0) {
        b->out_at = (uint16_t)(b->out_at + n);
        b->since_ms = s->now_ms;
    }
    if (n < 0 || (b->out_at == b->out_len && b->close_after)) {
        drop(c);
        return;
    }
    if (b->out_at != b->out_len)
        return;
    in = (struct hx_span){s->in, b->in_len};
    memcpy(s->in, b->in, b->in_len);
    release_block(c);
    (void)event_del(&c->event);
    (void)event_assign(&c->event, s->base, c->fd, EV_READ | EV_PERSIST, on_io, c);
    if (event_add(&c->event, NULL) != 0)
        drop(c);
    else
        serve(c, in);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct hx_mbtcp_conn *c = arg;

    (void)fd;
    (void)what; /* one direction at a time is asked for */
    if (c->block != NULL)
        on_writable(c);
    else
        on_readable(c);
}

/* --- new connections --- */

/* Clients that come and go, or are thrown out and come again, as fast as they can must not cost
 * those who work: a rest after so many. The loop's clock makes 4 ms of it where the kernel has
 * HZ = 250: 4000 clients a second at 20 µs. Who waits does so in the kernel, in a queue of 4096; a
 * master behind a flood of them is served after a second. */
#define ACCEPT_BURST 16u
#define ACCEPT_PAUSE_MS 1u
#define NO_DESCRIPTOR_PAUSE_MS 1000u /* nobody is dropped for one: else the loop would spin */

static void pause_accepting(struct hx_mbtcp_server *s, unsigned pause_ms)
{
    const struct timeval wait = {.tv_sec = pause_ms / 1000u, .tv_usec = pause_ms % 1000u * 1000};

    (void)event_del(s->listener);
    (void)event_add(s->resume, &wait); /* it was added before: no memory is needed */
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct hx_mbtcp_server *s = arg;

    (void)fd;
    (void)what;
    (void)event_add(s->listener, NULL); /* fails: tried again by the next reload */
}

static void evict(struct hx_mbtcp_server *s)
{
    struct hx_mbtcp_conn *c = first_to_go(s);

    hx_log_limited(&s->evict_log, s->now_ms, HX_LOG_WARNING,
                   "Modbus TCP: all %u places are taken; the client idle for %" PRIu64
                   " s was dropped for a new one (modbus_tcp.max_clients)",
                   s->clients, (s->now_ms - c->active_ms) / 1000u);
    s->evicted++;
    drop(c);
}

static void admit(struct hx_mbtcp_server *s, int fd, uint8_t host)
{
    struct hx_mbtcp_conn *c;

    if (s->clients >= s->limit)
        evict(s);
    c = take_slot(s);
    if (c == NULL) {
        (void)close(fd); /* no memory: the client tries again */
        return;
    }
    c->server = s;
    c->block = NULL;
    c->fd = fd;
    c->host = host;
    c->waits = false;
    c->active_ms = s->now_ms;
    hx_mbtcp_init(&c->frame);
    if (event_assign(&c->event, s->base, fd, EV_READ | EV_PERSIST, on_io, c) != 0 ||
        event_add(&c->event, NULL) != 0) {
        (void)close(fd); /* no memory: the client tries again */
        give_slot(c);
        return;
    }
    enter_queue(c, &s->silent);
    count_host(s, host);
    s->clients++;
    s->accepted++;
}

static void accept_failed(struct hx_mbtcp_server *s, int err)
{
    const struct hx_mbtcp_conn *c = first_to_go(s);

    if (err != EMFILE && err != ENFILE && err != ENOBUFS && err != ENOMEM)
        return; /* nobody is there any more, or an error of that one connection: accept(2) */
    hx_log_limited(&s->accept_log, s->now_ms, HX_LOG_WARNING, "Modbus TCP: cannot accept: %s",
                   strerror(err));
    if (c == NULL || c->queue != &s->silent) { /* the pages' visitors have taken the others */
        pause_accepting(s, NO_DESCRIPTOR_PAUSE_MS);
        return;
    }
    evict(s); /* gives a descriptor back */
    pause_accepting(s, ACCEPT_PAUSE_MS);
}

/* One client a turn of the loop: who comes in costs system calls that those who are there wait for.
 */
static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct hx_mbtcp_server *s = arg;
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof peer;
    int client = accept4(fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    if (client < 0) {
        accept_failed(s, errno);
        return;
    }
    if (++s->burst % ACCEPT_BURST == 0)
        pause_accepting(s, ACCEPT_PAUSE_MS);
    admit(s, client, host_of(&peer));
}

/* --- listening --- */

static void set_int(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* the default does too */
}

/* Accepted sockets inherit these on Linux: no system call per client. */
static void set_options(int fd)
{
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

static int listen_on(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

    if (fd < 0)
        return -1;
    set_options(fd);
    if (a->ai_family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0); /* IPv4 too where it is [::] */
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    err = errno;
    (void)close(fd); /* never listened */
    errno = err;
    return -1;
}

/* "all": [::] answers IPv4 too; a kernel without IPv6 has 0.0.0.0. */
static int open_listener(const struct hx_mbtcp_config *c)
{
    static const char *const all[] = {"::", "0.0.0.0"};
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    bool any = strcmp(c->listen, "all") == 0;
    char port[8];
    int fd = -1;

    (void)snprintf(port, sizeof port, "%u", c->port);
    for (size_t i = 0; i < (any ? 2u : 1u) && fd < 0; i++) {
        struct addrinfo *a;

        if (i != 0 && errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
            break; /* IPv6 is there; the port is not to be had */
        errno = EADDRNOTAVAIL;
        if (getaddrinfo(any ? all[i] : c->listen, port, &hints, &a) != 0)
            continue;
        fd = listen_on(a);
        freeaddrinfo(a);
    }
    return fd;
}

static void log_refused(const struct hx_mbtcp_config *c, int err)
{
    const char *way_out = "choose another with modbus_tcp.port or modbus_tcp.listen";

    if (err == EADDRINUSE)
        way_out = "another program has it: end that program or choose another modbus_tcp.port";
    else if (err == EACCES)
        way_out = "ports below 1024 need CAP_NET_BIND_SERVICE (the service has it): choose another "
                  "modbus_tcp.port, such as 5020";
    else if (err == EADDRNOTAVAIL)
        way_out = "this machine has no such address: set modbus_tcp.listen to all or one it has";
    hx_log(HX_LOG_ERROR, "Modbus TCP cannot listen on %s port %u: %s; %s",
           strcmp(c->listen, "all") == 0 ? "any address," : c->listen, c->port, strerror(err),
           way_out);
}

static void stop_listening(struct hx_mbtcp_server *s)
{
    if (s->listener != NULL)
        event_free(s->listener);
    if (s->resume != NULL)
        event_free(s->resume);
    if (s->listen_fd >= 0)
        (void)close(s->listen_fd); /* only listened */
    s->listener = s->resume = NULL;
    s->listen_fd = -1;
}

static enum hx_err start_listening(struct hx_mbtcp_server *s, const struct hx_mbtcp_config *c)
{
    int fd = open_listener(c);

    if (fd < 0) {
        log_refused(c, errno);
        return HX_E_IO;
    }
    stop_listening(s);
    s->listen_fd = fd;
    s->listener = event_new(s->base, fd, EV_READ | EV_PERSIST, on_accept, s);
    s->resume = evtimer_new(s->base, on_resume, s);
    if (s->listener == NULL || s->resume == NULL || event_add(s->listener, NULL) != 0) {
        stop_listening(s);
        hx_log(HX_LOG_ERROR, "Modbus TCP cannot listen: out of memory");
        return HX_E_IO;
    }
    hx_log(HX_LOG_INFO, "Modbus TCP listens on %s port %u",
           strcmp(c->listen, "all") == 0 ? "all addresses," : c->listen, c->port);
    return HX_OK;
}

/* Another port: the old socket goes when the new one stands. The same port on other addresses is
 * free only without the old socket, which comes back when the new one cannot be. */
static enum hx_err relisten(struct hx_mbtcp_server *s, const struct hx_mbtcp_config *c)
{
    bool same_port = s->listen_fd >= 0 && s->config.port == c->port;

    if (same_port)
        stop_listening(s);
    if (start_listening(s, c) == HX_OK)
        return HX_OK;
    if (same_port)
        (void)start_listening(s, &s->config); /* logged */
    return HX_E_IO;
}

/* As many descriptors as the clients need; fewer clients where the system gives fewer. */
static uint32_t limit_for(uint32_t max_clients)
{
    struct rlimit r;
    rlim_t need = (rlim_t)max_clients + OTHER_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= need)
        return max_clients;
    r.rlim_cur = r.rlim_max < need ? r.rlim_max : need;
    if (setrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur >= need)
        return max_clients;
    max_clients = (uint32_t)(r.rlim_cur > 2u * OTHER_DESCRIPTORS ? r.rlim_cur - OTHER_DESCRIPTORS
                                                                 : r.rlim_cur / 2u + 1u);
    hx_log(HX_LOG_WARNING,
           "Modbus TCP: the open file limit of %llu leaves room for %u clients; raise LimitNOFILE "
           "for more",
           (unsigned long long)r.rlim_cur, max_clients);
    return max_clients;
}

void hx_mbtcp_server_init(struct hx_mbtcp_server *s, struct event_base *base,
                          struct hx_mb_device *dev, void (*on_write)(void *ctx), void *ctx)
{
    memset(s, 0, offsetof(struct hx_mbtcp_server, in)); /* the buffers stay untouched pages */
    s->base = base;
    s->dev = dev;
    s->on_write = on_write;
    s->ctx = ctx;
    s->listen_fd = -1;
    s->turn = evtimer_new(base, on_turn, s); /* no memory: done without */
}

/* Drop clients until only @p keep are left. */
static void drop_down_to(struct hx_mbtcp_server *s, uint32_t keep)
{
    while (s->clients > keep)
        drop(first_to_go(s));
}

static void drop_idle(struct hx_mbtcp_server *s, struct hx_mbtcp_queue *q, uint64_t idle_ms)
{
    while (q->oldest != NULL && s->now_ms - q->oldest->active_ms >= idle_ms)
        drop(q->oldest);
}

static bool is_same_socket(const struct hx_mbtcp_config *a, const struct hx_mbtcp_config *b)
{
    return a->port == b->port && strcmp(a->listen, b->listen) == 0;
}

enum hx_err hx_mbtcp_server_set(struct hx_mbtcp_server *s, const struct hx_mbtcp_config *c)
{
    bool listening = s->listen_fd >= 0;

    if (c->enabled && !(listening && is_same_socket(&s->config, c)) && relisten(s, c) != HX_OK)
        return HX_E_IO;
    if (!c->enabled) {
        stop_listening(s);
        drop_down_to(s, 0);
    }
    s->limit = limit_for(c->max_clients);
    drop_down_to(s, s->limit);
    s->config = *c;
    return HX_OK;
}

void hx_mbtcp_server_tick(struct hx_mbtcp_server *s, uint64_t now_ms)
{
    uint64_t idle_ms = (uint64_t)s->config.idle_timeout_s * 1000u;
    struct hx_mbtcp_conn *next;

    s->now_ms = now_ms;
    for (struct hx_mbtcp_conn *c = s->blocked; c != NULL; c = next) {
        next = c->block->older;
        if (now_ms - c->block->since_ms >= HX_MBTCP_WRITE_MS)
            drop(c);
    }
    if (idle_ms != 0) {
        drop_idle(s, &s->regular, idle_ms);
        drop_idle(s, &s->asked, idle_ms);
        drop_idle(s, &s->silent, idle_ms);
    }
}

uint32_t hx_mbtcp_server_peers(const struct hx_mbtcp_server *s, struct hx_mbtcp_peer *out,
                               uint32_t max)
{
    const struct hx_mbtcp_conn *first[3] = {s->regular.newest, s->asked.newest, s->silent.newest};
    uint32_t n = 0;

    for (size_t i = 0; i < 3; i++)
        for (const struct hx_mbtcp_conn *c = first[i]; c != NULL && n < max; c = c->older, n++) {
            name_peer(c->fd, " ", out[n].address);
            out[n].idle_s = (uint32_t)((s->now_ms - c->active_ms) / 1000u);
        }
    return n;
}

void hx_mbtcp_server_close(struct hx_mbtcp_server *s)
{
    stop_listening(s);
    drop_down_to(s, 0);
    if (s->turn != NULL)
        event_free(s->turn);
    s->turn = NULL;
    while (s->slabs != NULL) {
        struct hx_mbtcp_slab *next = s->slabs->next;

        free(s->slabs);
        s->slabs = next;
    }
    s->free = NULL;
}
