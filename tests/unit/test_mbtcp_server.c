/* test_mbtcp_server.c - the Modbus TCP server on the loopback, with time as an argument: who goes
 * when it is full or idle, what a client that does not read costs. Requests are the manual's own
 * example, M17: voltage L1 at 40015, here unknown and so 0. */
#include "check.h"

#include "mbtcp_server.h"

#include "hx/gateway.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const uint8_t request[] = {0, 1, 0, 0, 0, 6, 1, 3, 0, 0x0E, 0, 2};
static const uint8_t answer[] = {0, 1, 0, 0, 0, 7, 1, 3, 4, 0, 0, 0, 0};

struct rig {
    struct event_base *base;
    struct hx_gateway gw;
    struct hx_mb_device dev;
    struct hx_mbtcp_server server;
    uint16_t port;
    unsigned writes;
};

static void on_write(void *ctx)
{
    ((struct rig *)ctx)->writes++;
}

/* Some turns, and time enough for the pause after an eviction. */
static void turn(struct rig *r)
{
    const struct timeval some = {.tv_usec = 4000};

    assert_int_equal(event_base_loopexit(r->base, &some), 0);
    (void)event_base_dispatch(r->base);
}

static struct hx_mbtcp_config config(uint32_t max_clients, uint32_t idle_s)
{
    return (struct hx_mbtcp_config){.enabled = true,
                                    .listen = "127.0.0.1",
                                    .max_clients = max_clients,
                                    .idle_timeout_s = idle_s};
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct hx_mbtcp_config c = config(3, 0);
    struct sockaddr_in a;
    socklen_t size = sizeof a;

    r->base = event_base_new();
    hx_gw_init(&r->gw, 0);
    r->dev = (struct hx_mb_device){.state = &r->gw.state,
                                   .regs = &r->gw.regs,
                                   .unit = 1,
                                   .any_unit = true,
                                   .allow_write = true};
    hx_mbtcp_server_init(&r->server, r->base, &r->dev, on_write, r);
    if (hx_mbtcp_server_set(&r->server, &c) != HX_OK ||
        getsockname(r->server.listen_fd, (struct sockaddr *)&a, &size) != 0)
        return -1;
    r->port = ntohs(a.sin_port);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    hx_mbtcp_server_close(&r->server);
    event_base_free(r->base);
    free(r);
    return 0;
}

static int connect_from(struct rig *r, uint32_t address)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(r->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(address)}};
    struct timeval limit = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    turn(r);
    return fd;
}

static int connect_client(struct rig *r)
{
    return connect_from(r, INADDR_LOOPBACK);
}

static void ask(struct rig *r, int fd)
{
    uint8_t got[64];

    assert_int_equal(send(fd, request, sizeof request, MSG_NOSIGNAL), sizeof request);
    turn(r);
    assert_int_equal(recv(fd, got, sizeof got, 0), sizeof answer);
    assert_memory_equal(got, answer, sizeof answer);
}

/* @return true when the server has closed this connection. */
static bool is_closed(int fd)
{
    uint8_t octet;
    ssize_t n = recv(fd, &octet, 1, MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void one_asks_and_is_answered(void **state)
{
    struct rig *r = *state;
    int fd = connect_client(r);

    ask(r, fd);
    ask(r, fd);
    assert_int_equal(r->server.clients, 1);
    close(fd);
    turn(r);
    assert_int_equal(r->server.clients, 0);
}

static void the_longest_idle_goes(void **state)
{
    struct rig *r = *state;
    int a = connect_client(r), b = connect_client(r), c = connect_client(r), d;

    ask(r, a); /* now b is the one that has been idle longest */
    d = connect_client(r);
    assert_int_equal(r->server.clients, 3);
    assert_true(is_closed(b));
    ask(r, c);
    ask(r, a);
    ask(r, d);
    close(a);
    close(b);
    close(c);
    close(d);
}

static void a_flood_pushes_out_itself(void **state)
{
    struct rig *r = *state;
    int master = connect_client(r), flood[20];

    ask(r, master);
    for (unsigned i = 0; i < 20; i++) /* the table has 3 places */
        flood[i] = connect_client(r);
    assert_int_equal(r->server.clients, 3);
    ask(r, master);
    ask(r, flood[19]);
    for (unsigned i = 0; i < 20; i++)
        close(flood[i]);
    close(master);
}

/* Each of them asks once, as masters do, and all come from one address, another than the master. */
static void a_flood_that_asks_pushes_out_itself(void **state)
{
    struct rig *r = *state;
    int master = connect_client(r), flood[20];

    ask(r, master);
    for (unsigned i = 0; i < 20; i++) { /* the table has 3 places */
        flood[i] = connect_from(r, 0x7F000002);
        ask(r, flood[i]);
    }
    assert_int_equal(r->server.clients, 3);
    ask(r, master);
    ask(r, flood[19]);
    for (unsigned i = 0; i < 20; i++)
        close(flood[i]);
    close(master);
}

/* From 20 addresses: who asks for more than a second stays before who comes and goes. */
static void a_flood_from_many_addresses_pushes_out_itself(void **state)
{
    struct rig *r = *state;
    int master = connect_client(r), flood[20];

    hx_mbtcp_server_tick(&r->server, 1000);
    ask(r, master);
    hx_mbtcp_server_tick(&r->server, 2000);
    ask(r, master);
    for (unsigned i = 0; i < 20; i++) {
        flood[i] = connect_from(r, 0x7F000002 + i);
        ask(r, flood[i]);
    }
    ask(r, master);
    for (unsigned i = 0; i < 20; i++)
        close(flood[i]);
    close(master);
}

/* 500 requests at once: a neighbour's one request is not behind them all. */
static void much_at_once_waits_its_turn(void **state)
{
    enum { MANY = 500 };
    static uint8_t lot[MANY * sizeof request], got[MANY * sizeof answer];
    struct rig *r = *state;
    int greedy = connect_client(r), other = connect_client(r);
    size_t have = 0;
    ssize_t n;

    for (size_t i = 0; i < MANY; i++)
        memcpy(lot + i * sizeof request, request, sizeof request);
    assert_int_equal(send(greedy, lot, sizeof lot, 0), sizeof lot);
    assert_int_equal(send(other, request, sizeof request, 0), sizeof request);
    (void)event_base_loop(r->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(recv(other, got, sizeof got, MSG_DONTWAIT), sizeof answer);
    n = recv(greedy, got, sizeof got, MSG_DONTWAIT);
    assert_in_range(n, sizeof answer, 32 * sizeof answer);
    for (have = (size_t)n; have < sizeof got; have += (size_t)n) { /* and all are answered */
        turn(r);
        n = recv(greedy, got + have, sizeof got - have, MSG_DONTWAIT);
        n = n < 0 ? 0 : n;
    }
    ask(r, greedy);
    close(greedy);
    close(other);
}

static void who_waits_its_turn_may_leave(void **state)
{
    static uint8_t lot[100 * sizeof request];
    struct rig *r = *state;
    int a = connect_client(r), b = connect_client(r), c = connect_client(r), d;

    for (size_t i = 0; i < 100; i++)
        memcpy(lot + i * sizeof request, request, sizeof request);
    assert_int_equal(send(a, lot, sizeof lot, 0), sizeof lot);
    assert_int_equal(send(b, lot, sizeof lot, 0), sizeof lot);
    assert_int_equal(send(c, lot, sizeof lot, 0), sizeof lot);
    (void)event_base_loop(r->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    d = connect_from(r, 0x7F000002); /* pushes one of them out */
    assert_int_equal(r->server.clients, 3);
    ask(r, d);
    close(a);
    close(b);
    close(c);
    for (int i = 0; i < 20; i++)
        turn(r);
    assert_int_equal(r->server.clients, 1);
    assert_null(r->server.first);
    ask(r, d);
    close(d);
}

/* Others of this process have taken all descriptors: a master at work is not given up for one. */
static void who_asked_stays_when_descriptors_run_out(void **state)
{
    struct rig *r = *state;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(r->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct rlimit all, none;
    int master = connect_client(r), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), free_fd;

    ask(r, master);
    free_fd = dup(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)free_fd, .rlim_max = all.rlim_max};
    close(free_fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    ask(r, master);
    assert_int_equal(r->server.clients, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    close(fd);
    close(master);
}

static void octets_without_a_request_keep_no_place(void **state)
{
    struct rig *r = *state;
    int slow = connect_client(r), a = connect_client(r), b = connect_client(r), c;

    assert_int_equal(send(slow, request, 5, 0), 5);
    turn(r);
    c = connect_client(r);
    assert_true(is_closed(slow));
    ask(r, a);
    close(slow);
    close(a);
    close(b);
    close(c);
}

static void idle_clients_go_after_the_time_set(void **state)
{
    struct rig *r = *state;
    struct hx_mbtcp_config c = config(3, 10);
    int a, b;

    c.port = 0; /* as before: no new socket */
    assert_int_equal(hx_mbtcp_server_set(&r->server, &c), HX_OK);
    hx_mbtcp_server_tick(&r->server, 1000);
    a = connect_client(r);
    b = connect_client(r);
    hx_mbtcp_server_tick(&r->server, 6000);
    ask(r, b);
    hx_mbtcp_server_tick(&r->server, 10999);
    assert_int_equal(r->server.clients, 2);
    hx_mbtcp_server_tick(&r->server, 11000);
    assert_int_equal(r->server.clients, 1);
    assert_true(is_closed(a));
    hx_mbtcp_server_tick(&r->server, 16000);
    assert_int_equal(r->server.clients, 0);
    close(a);
    close(b);
}

static void a_broken_stream_is_closed_after_its_answers(void **state)
{
    static const uint8_t broken[] = {0, 2, 0, 0, 0, 1, 1}; /* length 1 cannot be */
    struct rig *r = *state;
    int fd = connect_client(r);
    uint8_t both[sizeof request + sizeof broken], got[64];

    memcpy(both, request, sizeof request);
    memcpy(both + sizeof request, broken, sizeof broken);
    assert_int_equal(send(fd, both, sizeof both, 0), sizeof both);
    turn(r);
    assert_int_equal(recv(fd, got, sizeof got, 0), sizeof answer);
    assert_true(is_closed(fd));
    assert_int_equal(r->server.broken, 1);
    close(fd);
}

static void a_half_closed_client_is_answered(void **state)
{
    struct rig *r = *state;
    int fd = connect_client(r);
    uint8_t got[64];

    assert_int_equal(send(fd, request, sizeof request, 0), sizeof request);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    turn(r);
    assert_int_equal(recv(fd, got, sizeof got, 0), sizeof answer);
    assert_true(is_closed(fd));
    close(fd);
}

#define LOT                                                                                        \
    256u /* requests in one write: many small ones would clog the kernel's queues instead          \
          */

/* Ask for the whole map without reading, until the server has answers that it cannot send.
 * @return requests that were sent. */
static size_t fill_up(struct rig *r, int fd)
{
    static const uint8_t all[] = {0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 51};
    uint8_t lot[LOT * sizeof all];
    size_t sent = 0;

    for (size_t i = 0; i < LOT; i++)
        memcpy(lot + i * sizeof all, all, sizeof all);
    while (r->server.blocks == 0 &&
           sent < 1000 * LOT) { /* some 4 MB of answers fit in the kernel */
        assert_int_equal(send(fd, lot, sizeof lot, MSG_DONTWAIT), sizeof lot);
        sent += LOT;
        turn(r);
    }
    assert_int_equal(r->server.blocks, 1);
    return sent;
}

static void answers_that_wait_come_whole(void **state)
{
    enum { ANSWER = 9 + 102 }; /* MBAP, function, count, 51 registers */
    struct rig *r = *state;
    int fd = connect_client(r);
    size_t want = fill_up(r, fd) * ANSWER, have = 0;
    uint8_t got[4096], first[ANSWER];

    while (have < want) {
        ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);

        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        for (ssize_t i = 0; i < n; i++, have++) {
            if (have < ANSWER)
                first[have] = got[i];
            else if (got[i] != first[have % ANSWER])
                fail_msg("octet %zu of the answers is not as in the first", have);
        }
        turn(r);
    }
    assert_int_equal(first[5], ANSWER - 6);
    assert_int_equal(r->server.blocks, 0);
    ask(r, fd);
    close(fd);
}

static void who_never_reads_goes(void **state)
{
    struct rig *r = *state;
    int fd, other;

    hx_mbtcp_server_tick(&r->server, 1000);
    fd = connect_client(r);
    other = connect_client(r);
    (void)fill_up(r, fd);
    hx_mbtcp_server_tick(&r->server, 1000 + HX_MBTCP_WRITE_MS - 1);
    ask(r, other);
    assert_int_equal(r->server.clients, 2);
    hx_mbtcp_server_tick(&r->server, 1000 + HX_MBTCP_WRITE_MS);
    assert_int_equal(r->server.clients, 1);
    assert_int_equal(r->server.blocks, 0);
    ask(r, other);
    close(fd);
    close(other);
}

static void each_write_is_told(void **state)
{
    /* 40049-50 = 2000, then 40050 = 3000 in the same piece of the stream */
    static const uint8_t two[] = {0, 1,    0, 0, 0, 11, 1, 0x10, 0, 0x30, 0, 2,    4,    0,   0,
                                  7, 0xD0, 0, 2, 0, 0,  0, 6,    1, 6,    0, 0x31, 0x0B, 0xB8};
    struct rig *r = *state;
    int fd = connect_client(r);
    uint8_t got[64];

    assert_int_equal(send(fd, two, sizeof two, 0), sizeof two);
    turn(r);
    assert_int_equal(recv(fd, got, sizeof got, 0), 24);
    assert_int_equal(r->writes, 2);
    assert_int_equal(r->gw.state.scale, 3000);
    close(fd);
}

static void fewer_places_and_switching_off(void **state)
{
    struct rig *r = *state;
    struct hx_mbtcp_config c = config(1, 0);
    int a = connect_client(r), b = connect_client(r);

    assert_int_equal(hx_mbtcp_server_set(&r->server, &c), HX_OK);
    assert_int_equal(r->server.clients, 1);
    assert_true(is_closed(a));
    ask(r, b);
    c.enabled = false;
    assert_int_equal(hx_mbtcp_server_set(&r->server, &c), HX_OK);
    assert_int_equal(r->server.listen_fd, -1);
    assert_true(is_closed(b));
    close(a);
    close(b);
}

static void a_port_in_use_leaves_the_old_one(void **state)
{
    struct rig *r = *state, *other;
    void *second = NULL;
    struct hx_mbtcp_config c = config(3, 0);
    int fd;

    assert_int_equal(set_up(&second), 0);
    other = second;
    c.port = other->port;
    assert_int_equal(hx_mbtcp_server_set(&r->server, &c), HX_E_IO);
    fd = connect_client(r);
    ask(r, fd);
    close(fd);
    assert_int_equal(tear_down(&second), 0);
}

static void another_address_on_the_same_port(void **state)
{
    struct rig *r = *state;
    struct hx_mbtcp_config off = {.enabled = false}, c = config(3, 0), bad = config(3, 0);
    int fd;

    c.port = bad.port = r->port;
    assert_int_equal(hx_mbtcp_server_set(&r->server, &off), HX_OK); /* so that it knows its port */
    assert_int_equal(hx_mbtcp_server_set(&r->server, &c), HX_OK);
    memcpy(c.listen, "0.0.0.0", sizeof "0.0.0.0"); /* in the way of 127.0.0.1 while that stands */
    assert_int_equal(hx_mbtcp_server_set(&r->server, &c), HX_OK);
    fd = connect_client(r);
    ask(r, fd);
    close(fd);
    memcpy(bad.listen, "192.0.2.1", sizeof "192.0.2.1"); /* TEST-NET-1: nobody's address */
    assert_int_equal(hx_mbtcp_server_set(&r->server, &bad), HX_E_IO);
    fd = connect_client(r);
    ask(r, fd);
    close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_asks_and_is_answered),
        TEST(the_longest_idle_goes),
        TEST(a_flood_pushes_out_itself),
        TEST(a_flood_that_asks_pushes_out_itself),
        TEST(a_flood_from_many_addresses_pushes_out_itself),
        TEST(much_at_once_waits_its_turn),
        TEST(who_waits_its_turn_may_leave),
        TEST(who_asked_stays_when_descriptors_run_out),
        TEST(octets_without_a_request_keep_no_place),
        TEST(idle_clients_go_after_the_time_set),
        TEST(a_broken_stream_is_closed_after_its_answers),
        TEST(a_half_closed_client_is_answered),
        TEST(answers_that_wait_come_whole),
        TEST(who_never_reads_goes),
        TEST(each_write_is_told),
        TEST(fewer_places_and_switching_off),
        TEST(a_port_in_use_leaves_the_old_one),
        TEST(another_address_on_the_same_port),
    };
    return cmocka_run_group_tests_name("mbtcp_server", tests, NULL, NULL);
}
