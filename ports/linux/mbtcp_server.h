/* mbtcp_server.h - Modbus TCP sockets: many clients, one loop, nothing allocated per request.
 * In:     connections.  Out: answers from hx_mbtcp_feed; writes that were carried out, told.
 * State:  struct hx_mbtcp_server, owned by the caller; loop thread. Connections stand in the order
 * of their last answered request, in three queues: those that never asked, those that asked within
 * one second only, those that asked for longer. When a new client finds no room, one of an address
 * that has more than its share goes, else the longest idle of the first queue that has any. A
 * client with more to ask than one reading takes waits its turn. One that does not read its answers
 * gets a block from a bounded pool and is not read from until it has taken them. Source: Modbus
 * Messaging on TCP/IP V1.0b, 4.2 (connection pool: the oldest unused is closed). */
#ifndef HX_MBTCP_SERVER_H
#define HX_MBTCP_SERVER_H

#include "log.h"

#include "hx/modbus.h"

#include <event2/event.h>
#include <sys/socket.h>

#define HX_MBTCP_IN 260u    /* octets read at once: 21 of the usual requests, one of the longest */
#define HX_MBTCP_OUT 8192u  /* octets sent at once: 31 of the longest answer */
#define HX_MBTCP_BLOCKS 64u /* clients that may leave answers unread at once */
#define HX_MBTCP_WRITE_MS 10000u /* … and for how long */
#define HX_MBTCP_ADDRESS_MAX 64u
#define HX_MBTCP_PEER 72u /* address and port as text */

struct hx_mbtcp_config {
    bool enabled;
    char listen[HX_MBTCP_ADDRESS_MAX + 1u]; /* "all" or an address */
    uint16_t port;
    uint32_t max_clients, idle_timeout_s;
};

struct hx_mbtcp_conn; /* some 450 octets, in slabs that are allocated when first needed */
struct hx_mbtcp_slab;

/** Clients in the order of their last answer. */
struct hx_mbtcp_queue {
    struct hx_mbtcp_conn *newest, *oldest;
};

struct hx_mbtcp_server {
    struct event_base *base;
    struct hx_mb_device *dev;
    void (*on_write)(void *ctx); /* a write was carried out (and logged) */
    void *ctx;
    struct hx_mbtcp_config config;
    int listen_fd; /* -1: not listening */
    struct event *listener;
    struct event *resume;    /* accepts again after a pause */
    uint32_t burst;          /* clients accepted, for rests between them */
    struct event *turn;      /* serves those that wait their turn */
    uint64_t now_ms;         /* of the newest tick: what times are measured with, one second fine */
    uint32_t clients, limit; /* limit: max_clients, or fewer where descriptors do not reach */
    struct hx_mbtcp_queue silent, asked, regular; /* never answered; in one second; for longer */
    struct hx_mbtcp_conn *first, *last;           /* those that wait their turn */
    uint32_t hosts;                               /* in of_host that are not 0 */
    uint16_t of_host[256]; /* clients of each address; few addresses share one by chance */
    struct hx_mbtcp_conn *free;
    struct hx_mbtcp_slab *slabs;
    uint32_t slots;                /* in all slabs */
    struct hx_mbtcp_conn *blocked; /* with unread answers */
    uint32_t blocks;
    uint64_t accepted, evicted, broken; /* shown on the status page */
    char writer[HX_MBTCP_PEER];         /* who carried out the newest write, while on_write runs */
    struct hx_log_limit evict_log, accept_log, write_log;
    uint8_t in[HX_MBTCP_IN], out[HX_MBTCP_OUT]; /* shared by all: used within one callback */
};

/** Prepare; nothing listens yet. @param dev  must outlive the server. */
void hx_mbtcp_server_init(struct hx_mbtcp_server *s, struct event_base *base,
                          struct hx_mb_device *dev, void (*on_write)(void *ctx), void *ctx);
/** Listen as @p c says; at first and at each reload. Clients stay, but for those that are too many;
 * all go when it is disabled.
 * @return HX_OK; HX_E_IO: logged in one line with the way out, the old socket still listens. */
enum hx_err hx_mbtcp_server_set(struct hx_mbtcp_server *s, const struct hx_mbtcp_config *c);
/** Time passed: idle and write timeouts. About once a second. */
void hx_mbtcp_server_tick(struct hx_mbtcp_server *s, uint64_t now_ms);
/** A client, for the status page. */
struct hx_mbtcp_peer {
    char address[HX_MBTCP_PEER];
    uint32_t idle_s;
};
/** The clients that asked last, newest first. @return how many, at most @p max. */
uint32_t hx_mbtcp_server_peers(const struct hx_mbtcp_server *s, struct hx_mbtcp_peer *out,
                               uint32_t max);
void hx_mbtcp_server_close(struct hx_mbtcp_server *s);

#endif
