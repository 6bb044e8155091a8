/* mqtt_link.c - see mqtt_link.h. */
#include "mqtt_link.h"

#include "clock.h"
#include "mqtt_reason.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>

#define SECOND_MS 1000u
#define DRAINING 1024 /* octets: more than a PINGREQ, less than the announcement */

static void enter(struct hx_mqtt_link *l, enum hx_mqtt_link_state state, uint64_t now_ms)
{
    l->state = state;
    l->since_ms = now_ms;
}

static void say(struct hx_mqtt_link *l, const char *text)
{
    (void)snprintf(l->said, sizeof l->said, "%s", text);
}

/* ---- what the library tells, inside its calls ---------------------------------------------- */

static void on_connect(struct mosquitto *m, void *ctx, int code, int flags,
                       const mosquitto_property *p)
{
    struct hx_mqtt_link *l = ctx;
    uint8_t retain = 1;

    (void)m;
    (void)flags;
    if (l->greeted) { /* MQTT 5.0, 3.2: at most one; the library takes one after the other */
        l->refused = true;
        say(l, "the broker greets again and again");
        return;
    }
    l->greeted = code == 0;
    l->refused = code != 0;
    if (code != 0) {
        l->old_asked = l->v5 && code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION;
        say(l, hx_mqtt_reason_broker(code, l->v5));
    }
    if (code == MQTT_RC_RETAIN_NOT_SUPPORTED)
        l->no_retain = true;
    if (mosquitto_property_read_byte(p, MQTT_PROP_RETAIN_AVAILABLE, &retain, false) != NULL &&
        retain == 0)
        l->no_retain = true;
    l->qos_max = 2;
    (void)mosquitto_property_read_byte(p, MQTT_PROP_MAXIMUM_QOS, &l->qos_max, false);
}

static void on_disconnect(struct mosquitto *m, void *ctx, int code, const mosquitto_property *p)
{
    struct hx_mqtt_link *l = ctx;

    (void)m;
    (void)p;
    if (l->v5 && code >= MQTT_RC_UNSPECIFIED)
        say(l, hx_mqtt_reason_broker(code, true));
}

static void on_publish(struct mosquitto *m, void *ctx, int mid, int code,
                       const mosquitto_property *p)
{
    struct hx_mqtt_link *l = ctx;

    (void)m;
    (void)p;
    for (unsigned i = 0; i < HX_MQTT_WINDOW; i++) {
        if (!l->slot[i].used || l->slot[i].mid != mid)
            continue;
        l->slot[i].used = false;
        l->in_flight--;
        l->events->acked(l->ctx, l->slot[i].tag,
                         code >= MQTT_RC_UNSPECIFIED ? hx_mqtt_reason_broker(code, true) : NULL);
        return;
    }
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *msg,
                       const mosquitto_property *p)
{
    struct hx_mqtt_link *l = ctx;

    (void)m;
    (void)p;
    if (msg->topic == NULL || msg->payloadlen < 0)
        return;
    l->events->message(
        l->ctx, (struct hx_span){(const uint8_t *)msg->topic, strlen(msg->topic)},
        (struct hx_span){msg->payload, msg->payload != NULL ? (size_t)msg->payloadlen : 0});
}

/* The only place where the library shows OpenSSL's errors, and that a packet came. */
static void on_log(struct mosquitto *m, void *ctx, int level, const char *text)
{
    struct hx_mqtt_link *l = ctx;
    const char *why;

    (void)m;
    if (strstr(text, " received ") != NULL)
        l->packets++;
    if (level != MOSQ_LOG_ERR || strncmp(text, "OpenSSL Error", 13) != 0 || l->said[0] != '\0')
        return;
    why = hx_mqtt_reason_tls(text);
    if (why != NULL)
        say(l, why);
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void drop(struct hx_mqtt_link *l)
{
    if (l->mosq != NULL)
        mosquitto_destroy(l->mosq);
    l->mosq = NULL;
    hx_mqtt_tls_close(&l->tls);
    memset(l->slot, 0, sizeof l->slot);
    l->in_flight = 0;
    l->greeted = l->refused = l->old_asked = false;
    l->packets = l->packets_seen = l->packet_octets = 0;
}

static void drop_lookup(struct hx_mqtt_link *l)
{
    hx_lookup_end(l->lookup);
    l->lookup = NULL;
    l->address = NULL;
}

/* Between base and twice the base: gateways that lost their broker together do not come back
 * together. */
static uint64_t with_jitter(uint64_t base_ms)
{
    uint32_t random = 0;
    uint64_t ms;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = (uint32_t)hx_clock_us(); /* a kernel before its first random octet */
    ms = base_ms + random % base_ms;
    return ms < HX_MQTT_BACKOFF_MAX_MS ? ms : HX_MQTT_BACKOFF_MAX_MS;
}

/* This broker is no use now: the next one, after a while. */
static void next_broker(struct hx_mqtt_link *l, uint64_t now_ms)
{
    struct hx_mqtt_url url;
    bool was_up = l->state == HX_MQTT_UP;

    if (was_up && now_ms - l->since_ms >= HX_MQTT_STABLE_MS)
        l->backoff_ms = HX_MQTT_BACKOFF_MIN_MS;
    drop(l);
    drop_lookup(l);
    l->no_retain = false;
    l->wait_until_ms = now_ms + with_jitter(l->backoff_ms);
    l->url_index++;
    if (l->url_index >= HX_MQTT_URLS_MAX ||
        hx_mqtt_url_parse(l->config->urls, l->url_index, l->config->port, &url) != HX_OK) {
        l->url_index = 0;
        l->backoff_ms = l->backoff_ms * 2u < HX_MQTT_BACKOFF_MAX_MS ? l->backoff_ms * 2u
                                                                    : HX_MQTT_BACKOFF_MAX_MS;
    }
    enter(l, HX_MQTT_WAIT, now_ms);
    l->events->down(l->ctx, was_up);
}

static void fail(struct hx_mqtt_link *l, const char *why, uint64_t now_ms)
{
    (void)snprintf(l->why, sizeof l->why, "%s", why);
    next_broker(l, now_ms);
}

/* ---- one attempt --------------------------------------------------------------------------- */

static const char *address_text(const struct addrinfo *a, char text[64])
{
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, 64, NULL, 0, NI_NUMERICHOST) != 0)
        text[0] = '\0';
    return text;
}

/* Brokers keep to the size of messages that they are told (MQTT 5.0, 3.1.2.11.4). The library takes
 * properties of CONNECT only in the call that blocks; without a host that one stores them, says
 * that the host is missing, and does nothing else. */
static void limit_packets(struct hx_mqtt_link *l)
{
    mosquitto_property *p = NULL;

    if (l->v5 && mosquitto_property_add_int32(&p, MQTT_PROP_MAXIMUM_PACKET_SIZE, HX_MQTT_IN_MAX) ==
                     MOSQ_ERR_SUCCESS)
        (void)mosquitto_connect_bind_v5(l->mosq, NULL, 1, HX_MQTT_KEEPALIVE_S, NULL, p);
    mosquitto_property_free_all(&p);
}

static void set_callbacks(struct mosquitto *m)
{
    mosquitto_connect_v5_callback_set(m, on_connect);
    mosquitto_disconnect_v5_callback_set(m, on_disconnect);
    mosquitto_publish_v5_callback_set(m, on_publish);
    mosquitto_message_v5_callback_set(m, on_message);
    mosquitto_log_callback_set(m, on_log);
}

static int set_will(struct hx_mqtt_link *l)
{
    const struct hx_mqtt_msg *will;

    if (l->events->will == NULL)
        return mosquitto_will_set(l->mosq, l->config->will_topic, 7, "offline",
                                  l->qos_max > 0 ? 1 : 0, !l->no_retain);
    will = l->events->will(l->ctx);
    if (will == NULL)
        return MOSQ_ERR_SUCCESS;
    return mosquitto_will_set(l->mosq, will->name, (int)will->len, will->payload, 1, false);
}

static int set_options(struct hx_mqtt_link *l)
{
    const struct hx_mqtt_link_config *c = l->config;
    int rc = mosquitto_int_option(l->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                                  l->v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);

    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_int_option(l->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    if (rc == MOSQ_ERR_SUCCESS && c->username[0] != '\0')
        rc = mosquitto_username_pw_set(l->mosq, c->username,
                                       c->password[0] != '\0' ? c->password : NULL);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = set_will(l);
    if (rc == MOSQ_ERR_SUCCESS && l->url.tls)
        rc = mosquitto_int_option(l->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    if (rc == MOSQ_ERR_SUCCESS && l->url.tls)
        rc = mosquitto_void_option(l->mosq, MOSQ_OPT_SSL_CTX, l->tls.ctx);
    return rc;
}

/* Why a call of the library failed: the most exact of what is known. @param shaking  TLS had not
 * agreed yet. */
static const char *reason(const struct hx_mqtt_link *l, int rc, int err, bool shaking)
{
    if (l->tls.why[0] != '\0')
        return l->tls.why;
    if (l->said[0] != '\0')
        return l->said;
    if (l->tls.asked && l->state != HX_MQTT_UP)
        return l->tls.shown ? "closed by the broker: does it accept our client certificate?"
                            : "the broker asks for a client certificate";
    if (rc == MOSQ_ERR_TLS || err == EPROTO || (shaking && rc != MOSQ_ERR_ERRNO))
        return "TLS failed: connection closed by the broker";
    return rc == MOSQ_ERR_ERRNO ? strerror(err) : hx_mqtt_reason_library(rc);
}

static void next_address(struct hx_mqtt_link *l, const char *why, uint64_t now_ms);

/* @return false: why is said. */
static bool prepare(struct hx_mqtt_link *l)
{
    const struct hx_mqtt_link_config *c = l->config;
    int rc;

    drop(l);
    l->said[0] = '\0';
    l->qos_max = l->qos_max != 0 ? 2 : 0; /* what the last attempt learnt */
    if (l->url.tls && hx_mqtt_tls_open(&l->tls, l->url.host, c->ca_file, c->client_cert,
                                       c->client_key) != HX_OK) {
        say(l, l->tls.why);
        return false;
    }
    l->mosq = mosquitto_new(c->client_id, true, l);
    rc = l->mosq != NULL ? set_options(l) : MOSQ_ERR_NOMEM;
    if (rc != MOSQ_ERR_SUCCESS) {
        say(l, hx_mqtt_reason_library(rc));
        return false;
    }
    set_callbacks(l->mosq);
    limit_packets(l);
    return true;
}

static void connect_address(struct hx_mqtt_link *l, uint64_t now_ms)
{
    char address[64], why[HX_MQTT_WHY];
    int rc;

    if (!prepare(l)) {
        (void)snprintf(why, sizeof why, "%s", l->said);
        fail(l, why, now_ms);
        return;
    }
    enter(l, HX_MQTT_CONNECT, now_ms);
    rc = mosquitto_connect_bind_async(l->mosq, address_text(l->address, address), l->url.port,
                                      HX_MQTT_KEEPALIVE_S, NULL);
    if (rc != MOSQ_ERR_SUCCESS) /* refused at once, or the whole handshake was over at once */
        next_address(l, reason(l, rc, errno, false), now_ms);
}

static void next_address(struct hx_mqtt_link *l, const char *why, uint64_t now_ms)
{
    char text[HX_MQTT_WHY];

    (void)snprintf(text, sizeof text, "%s", why); /* it may stand where drop() clears */
    if (l->address == NULL || l->address->ai_next == NULL) {
        fail(l, text, now_ms);
        return;
    }
    drop(l);
    l->address = l->address->ai_next;
    enter(l, HX_MQTT_WAIT, now_ms); /* the next step begins it: no recursion down a long list */
    l->wait_until_ms = now_ms;
}

static void begin(struct hx_mqtt_link *l, uint64_t now_ms)
{
    if (l->address != NULL) { /* another address of the same name */
        connect_address(l, now_ms);
        return;
    }
    if (hx_mqtt_url_parse(l->config->urls, l->url_index, l->config->port, &l->url) != HX_OK) {
        fail(l, "no broker is set", now_ms);
        return;
    }
    l->v5 = (l->old_protocol & 1u << l->url_index) == 0;
    l->qos_max = 2;
    enter(l, HX_MQTT_LOOKUP, now_ms);
    if (hx_lookup_begin(l->url.host, l->url.port, &l->lookup) != HX_OK) {
        l->lookup = NULL;
        fail(l, "the name server does not answer", now_ms); /* earlier look-ups hang still */
    }
}

static void look(struct hx_mqtt_link *l, uint64_t now_ms)
{
    int error;
    enum hx_err err = hx_lookup_result(l->lookup, &l->address, &error);

    if (err == HX_OK)
        connect_address(l, now_ms);
    else if (err != HX_MORE)
        fail(l, hx_mqtt_reason_lookup(error), now_ms);
    else if (now_ms - l->since_ms >= HX_MQTT_LOOKUP_MS)
        fail(l, "the name server does not answer", now_ms);
}

/* ---- an open socket ------------------------------------------------------------------------ */

static bool is_shaking_hands(const struct hx_mqtt_link *l)
{
    const SSL *ssl = mosquitto_ssl_get(l->mosq);

    return ssl != NULL && SSL_in_init(ssl);
}

/* The broker closed after CONNECT, or said so: one that knows MQTT 3.1.1 only. Asked at once
 * again, in its language. One that fails in the old language too is asked in the new one again. */
static bool try_old_protocol(struct hx_mqtt_link *l, bool closed, uint64_t now_ms)
{
    uint32_t bit = 1u << l->url_index;

    if (l->state != HX_MQTT_HELLO || (!closed && !l->old_asked) || l->tls.why[0] != '\0')
        return false;
    if (!l->v5) {
        l->old_protocol &= ~bit;
        return false;
    }
    l->old_protocol |= bit;
    l->v5 = false;
    connect_address(l, now_ms);
    return true;
}

static void lost(struct hx_mqtt_link *l, int rc, int err, bool shaking, uint64_t now_ms)
{
    const char *why;
    bool closed;

    if (rc == MOSQ_ERR_ERRNO && err == 0) /* what the library makes of an end inside a packet */
        rc = MOSQ_ERR_CONN_LOST;
    closed = (rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_PROTOCOL ||
              rc == MOSQ_ERR_MALFORMED_PACKET || rc == MOSQ_ERR_SUCCESS) &&
             !l->refused && !shaking;

    if (try_old_protocol(l, closed, now_ms))
        return;
    if (l->state == HX_MQTT_HELLO && closed && l->said[0] == '\0' && !l->tls.asked)
        why = l->url.tls ? "closed by the broker without an answer"
                         : "closed by the broker without an answer: does it want mqtts:// here?";
    else
        why = reason(l, rc, err, shaking);
    fail(l, why, now_ms);
}

/* Octets that came since the newest whole packet: a message larger than we asked for is on its way,
 * which the library would gather in memory whatever its size. */
static bool is_flooded(struct hx_mqtt_link *l)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (getsockopt(mosquitto_socket(l->mosq), IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return false; /* a kernel that does not count */
    if (l->packets_seen != l->packets) {
        l->packets_seen = l->packets;
        l->packet_octets = info.tcpi_bytes_received;
    }
    return info.tcpi_bytes_received - l->packet_octets > 2u * HX_MQTT_IN_MAX;
}

/* The library takes an end during a handshake for a handshake that goes on. */
static bool is_closed(const struct hx_mqtt_link *l)
{
    char octet;
    ssize_t n = recv(mosquitto_socket(l->mosq), &octet, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void note_progress(struct hx_mqtt_link *l, bool received, uint64_t now_ms)
{
    int unsent = 0;

    if (ioctl(mosquitto_socket(l->mosq), SIOCOUTQ, &unsent) != 0)
        unsent = 0;
    /* A slow line drains a long queue; a short one drains into any dead peer's kernel too. */
    if (received || (unsent < l->unsent && l->unsent > DRAINING) || l->in_flight == 0)
        l->progress_ms = now_ms;
    l->unsent = unsent;
}

static void io(struct hx_mqtt_link *l, short revents, uint64_t now_ms)
{
    bool shaking = is_shaking_hands(l), readable = (revents & (POLLIN | POLLHUP | POLLERR)) != 0;
    int rc = MOSQ_ERR_SUCCESS, err;

    errno = 0;
    if (readable ||
        l->state == HX_MQTT_HELLO) /* a refusal is read before writing meets the reset */
        rc = mosquitto_loop_read(l->mosq, 1);
    if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(l->mosq) >= 0 && mosquitto_want_write(l->mosq))
        rc = mosquitto_loop_write(l->mosq, 1);
    if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(l->mosq) >= 0)
        rc = mosquitto_loop_misc(l->mosq);
    err = errno;
    if (rc == MOSQ_ERR_SUCCESS && shaking && readable && mosquitto_socket(l->mosq) >= 0 &&
        is_shaking_hands(l) && is_closed(l))
        rc = MOSQ_ERR_CONN_LOST;
    if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(l->mosq) < 0 || l->refused) {
        lost(l, rc, err, shaking, now_ms);
        return;
    }
    if (readable && is_flooded(l))
        fail(l, "the broker sends messages that are too large", now_ms);
    else
        note_progress(l, readable, now_ms);
}

static void connected(struct hx_mqtt_link *l, uint64_t now_ms)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(mosquitto_socket(l->mosq), SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        next_address(l, strerror(error), now_ms);
        return;
    }
    enter(l, HX_MQTT_HELLO, now_ms);
    io(l, POLLOUT, now_ms);
}

static void wait_connected(struct hx_mqtt_link *l, short revents, uint64_t now_ms)
{
    if ((revents & (POLLOUT | POLLERR | POLLHUP)) != 0)
        connected(l, now_ms);
    else if (now_ms - l->since_ms >= HX_MQTT_CONNECT_MS)
        next_address(l, "no answer from this address", now_ms);
}

static void greet(struct hx_mqtt_link *l, short revents, uint64_t now_ms)
{
    io(l, revents, now_ms);
    if (l->state != HX_MQTT_HELLO)
        return;
    if (l->greeted) {
        enter(l, HX_MQTT_UP, now_ms);
        l->progress_ms = now_ms;
        l->events->up(l->ctx);
    } else if (now_ms - l->since_ms >= HX_MQTT_HELLO_MS) {
        next_address(l, "the broker does not answer", now_ms);
    }
}

static void serve(struct hx_mqtt_link *l, short revents, uint64_t now_ms)
{
    io(l, revents, now_ms);
    if (l->state == HX_MQTT_UP && l->in_flight > 0 && now_ms - l->progress_ms >= HX_MQTT_STALL_MS)
        fail(l, "the broker does not answer", now_ms);
}

/* ---- the face ------------------------------------------------------------------------------ */

void hx_mqtt_link_init(struct hx_mqtt_link *l, const struct hx_mqtt_link_config *config,
                       const struct hx_mqtt_link_events *events, void *ctx)
{
    *l = (struct hx_mqtt_link){.config = config,
                               .events = events,
                               .ctx = ctx,
                               .backoff_ms = HX_MQTT_BACKOFF_MIN_MS,
                               .qos_max = 2};
}

bool hx_mqtt_link_poll(const struct hx_mqtt_link *l, struct pollfd *out)
{
    bool write = l->state == HX_MQTT_CONNECT;

    *out = (struct pollfd){.fd = -1, .events = POLLIN};
    if (l->state == HX_MQTT_LOOKUP)
        out->fd = hx_lookup_fd(l->lookup);
    if (l->mosq != NULL)
        out->fd = mosquitto_socket(l->mosq);
    if (l->mosq != NULL && l->state != HX_MQTT_CONNECT) /* in a handshake it may wait to read */
        write = is_shaking_hands(l) ? SSL_want_write((const SSL *)mosquitto_ssl_get(l->mosq))
                                    : mosquitto_want_write(l->mosq);
    if (write)
        out->events |= POLLOUT;
    return out->fd >= 0;
}

uint64_t hx_mqtt_link_deadline_ms(const struct hx_mqtt_link *l, uint64_t now_ms)
{
    switch (l->state) {
    case HX_MQTT_WAIT:
        return l->wait_until_ms;
    case HX_MQTT_LOOKUP:
        return l->since_ms + HX_MQTT_LOOKUP_MS;
    case HX_MQTT_CONNECT:
        return l->since_ms + HX_MQTT_CONNECT_MS;
    case HX_MQTT_HELLO:
    case HX_MQTT_UP:
        return now_ms + SECOND_MS; /* the library's own clock counts seconds */
    }
    HX_UNREACHABLE();
}

void hx_mqtt_link_step(struct hx_mqtt_link *l, short revents, uint64_t now_ms)
{
    switch (l->state) {
    case HX_MQTT_WAIT:
        if (now_ms >= l->wait_until_ms)
            begin(l, now_ms);
        return;
    case HX_MQTT_LOOKUP:
        look(l, now_ms);
        return;
    case HX_MQTT_CONNECT:
        wait_connected(l, revents, now_ms);
        return;
    case HX_MQTT_HELLO:
        greet(l, revents, now_ms);
        return;
    case HX_MQTT_UP:
        serve(l, revents, now_ms);
        return;
    }
    HX_UNREACHABLE();
}

static struct hx_mqtt_slot *free_slot(struct hx_mqtt_link *l)
{
    for (unsigned i = 0; i < HX_MQTT_WINDOW; i++)
        if (!l->slot[i].used)
            return &l->slot[i];
    return NULL;
}

enum hx_err hx_mqtt_link_publish(struct hx_mqtt_link *l, const char *topic, struct hx_span payload,
                                 unsigned qos, bool retain, uint64_t tag)
{
    struct hx_mqtt_slot *slot = free_slot(l);
    int rc;

    if (l->state != HX_MQTT_UP || slot == NULL)
        return HX_MORE;
    qos = qos < l->qos_max ? qos : l->qos_max;
    *slot = (struct hx_mqtt_slot){.used = true, .tag = tag};
    l->in_flight++;
    /* The library writes the number before it sends: at QoS 0 the acknowledgement comes inside. */
    rc = mosquitto_publish_v5(l->mosq, &slot->mid, topic, (int)payload.len, payload.ptr, (int)qos,
                              retain && !l->no_retain, NULL);
    if (rc == MOSQ_ERR_SUCCESS)
        return HX_OK;
    if (slot->used)
        l->in_flight--;
    slot->used = false;
    return rc == MOSQ_ERR_NO_CONN || rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_ERRNO ||
                   rc == MOSQ_ERR_NOMEM
               ? HX_E_IO
               : HX_E_VALUE;
}

void hx_mqtt_link_subscribe(struct hx_mqtt_link *l, const char *topic, int qos)
{
    if (l->state == HX_MQTT_UP)
        (void)mosquitto_subscribe_v5(l->mosq, NULL, topic, qos, 0, NULL); /* else the next time */
}

/* Until everything is acknowledged: a socket that is closed with octets unread takes back what the
 * broker has not read yet (RFC 1122, 4.2.2.13). */
static void flush(struct hx_mqtt_link *l, unsigned wait_ms)
{
    uint64_t until = hx_clock_ms() + wait_ms, now;
    struct pollfd p;

    while (l->in_flight > 0 && (now = hx_clock_ms()) < until && hx_mqtt_link_poll(l, &p)) {
        if (poll(&p, 1, (int)(until - now)) <= 0)
            continue;
        if ((p.revents & ~POLLOUT) != 0 && mosquitto_loop_read(l->mosq, 1) != MOSQ_ERR_SUCCESS)
            return;
        if ((p.revents & POLLOUT) != 0 && mosquitto_loop_write(l->mosq, 1) != MOSQ_ERR_SUCCESS)
            return;
    }
}

void hx_mqtt_link_close(struct hx_mqtt_link *l, bool goodbye, unsigned wait_ms)
{
    if (goodbye && l->state == HX_MQTT_UP) {
        flush(l, wait_ms);
        if (l->in_flight == 0) /* else the broker sends the will after all */
            (void)mosquitto_disconnect_v5(l->mosq, 0, NULL);
    }
    drop(l);
    drop_lookup(l);
    l->state = HX_MQTT_WAIT;
    l->wait_until_ms = 0;
}

const char *hx_mqtt_link_broker(const struct hx_mqtt_link *l, char *text, size_t size)
{
    char url[300], address[64];

    (void)hx_mqtt_url_text(&l->url, url, sizeof url);
    if (l->address == NULL || strcmp(address_text(l->address, address), l->url.host) == 0)
        (void)snprintf(text, size, "%s", url);
    else
        (void)snprintf(text, size, "%s (%s)", url, address);
    return text;
}
