/* web_server.c - sockets and requests of the web server: libmicrohttpd, and what it leaves to us.
 *
 * Found in libmicrohttpd 0.9.75, and answered here: its time limit begins anew with each octet, so
 * a client that sends one a minute stays for ever (deadlines of our own); both Content-Length and
 * Transfer-Encoding, two lengths, and a missing Host are let through (hx_web_framing_ok); answers
 * over TLS wait for acknowledgements unless the socket it listens on has TCP_NODELAY (own sockets);
 * with all slots taken nobody is served (the connection that has been idle longest goes). */
#include "web_assets.h"
#include "web_inside.h"

#include "clock.h"
#include "log.h"
#include "unconst.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_LIMIT 160u
#define TLS_LIMIT 96u
#define SPARE 24u /* slots kept free by dropping the longest idle: more than one turn takes */
#define ADDRESS_LIMIT 64u    /* connections of one address, of each listener */
#define MEMORY (16u * 1024u) /* octets of a connection: request line and headers */
#define IDLE_S 30u           /* silent connections, by the library */
#define HEAD_MS 10000u       /* from the start to the end of the headers */
#define BODY_MS 20000u
#define ANSWER_MS 60000u /* for taking an answer */
#define KEEP_MS 75000u   /* from one answer to the next whole request */
#define RETRY_MS 10000u  /* a port in use is asked for again */
#define RETIRE_MS 1500u  /* the answer that tells of a new port goes through the old one */
#define BACKLOG 64

/* --- connections --- */

static void unlink_conn(struct hx_web_conn *c)
{
    struct hx_web_listener *l = c->listener;

    *(c->newer != NULL ? &c->newer->older : &l->newest) = c->older;
    *(c->older != NULL ? &c->older->newer : &l->oldest) = c->newer;
}

static void push_conn(struct hx_web_conn *c)
{
    struct hx_web_listener *l = c->listener;

    c->newer = NULL;
    c->older = l->newest;
    *(l->newest != NULL ? &l->newest->newer : &l->oldest) = c;
    l->newest = c;
}

/* The library has no call that closes one: a socket that was shut down is at its end. */
static void drop_conn(struct hx_web_conn *c)
{
    (void)shutdown(c->fd, SHUT_RDWR); /* it may be gone already */
    c->deadline_ms = 0;
    c->dropped = true;
}

static void read_address(const struct sockaddr *a, struct hx_web_conn *c)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};

    if (a->sa_family == AF_INET6) {
        memcpy(c->address, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, 16);
    } else if (a->sa_family == AF_INET) {
        memcpy(c->address, mapped, sizeof mapped);
        memcpy(c->address + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    }
    if (memcmp(c->address, mapped, sizeof mapped) == 0)
        (void)snprintf(c->name, sizeof c->name, "%u.%u.%u.%u", c->address[12], c->address[13],
                       c->address[14], c->address[15]);
    else if (getnameinfo(a, sizeof(struct sockaddr_in6), c->name, sizeof c->name, NULL, 0,
                         NI_NUMERICHOST) != 0)
        (void)snprintf(c->name, sizeof c->name, "?");
}

/* The better one to drop: an idle one before one that is slow inside a request, then the older. */
static struct hx_web_conn *worse(struct hx_web_conn *older, struct hx_web_conn *c)
{
    return older == NULL || (older->busy && !c->busy) ? c : older;
}

/* Make room among those whose turn it is: of all when slots are few, of one address when that has
 * many. */
static void evict(struct hx_web_listener *l, const struct hx_web_conn *new)
{
    struct hx_web_conn *any = NULL, *same = NULL;
    unsigned of_same = 0, dying = 0;

    for (struct hx_web_conn *c = l->oldest; c != NULL; c = c->newer) {
        bool is_same = hx_web_is_same_client(c->address, new->address);

        dying += c->dropped ? 1u : 0u;
        of_same += is_same && !c->dropped ? 1u : 0u;
        if (c == new || c->dropped || c->deadline_ms == 0)
            continue;
        any = worse(any, c);
        same = is_same ? worse(same, c) : same;
    }
    if (of_same > ADDRESS_LIMIT && same != NULL)
        drop_conn(same);
    else if (l->conns - dying > l->limit - SPARE && any != NULL)
        drop_conn(any);
}

static void conn_started(struct hx_web_listener *l, struct MHD_Connection *mhd, void **context)
{
    struct hx_web_conn *c = calloc(1, sizeof *c);
    const union MHD_ConnectionInfo *info;

    *context = c;
    if (c == NULL)
        return; /* its requests are refused */
    c->listener = l;
    c->mhd = mhd;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    c->fd = info != NULL ? info->connect_fd : -1;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != NULL && info->client_addr != NULL)
        read_address(info->client_addr, c);
    c->deadline_ms = hx_clock_ms() + HEAD_MS;
    push_conn(c);
    l->conns++;
    evict(l, c);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct hx_web_listener *l = cls;
    struct hx_web_conn *c = *context;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_started(l, mhd, context);
    } else if (c != NULL) {
        unlink_conn(c);
        l->conns--;
        free(c);
        *context = NULL;
    }
}

static struct hx_web_conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

/* The request line is there. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct hx_web_conn *c = conn_of(mhd);

    (void)cls;
    (void)uri;
    if (c != NULL)
        c->deadline_ms = hx_clock_ms() + HEAD_MS;
    return NULL;
}

/* --- answers --- */

void hx_web_reply(struct hx_web_request *r, unsigned status)
{
    HX_ASSERT(!r->replied);
    r->status = status;
    r->replied = true;
    if (r->suspended) {
        r->suspended = false;
        r->conn->listener->suspended--;
        MHD_resume_connection(r->conn->mhd);
        hx_web_run(r->web);
    }
}

void hx_web_fail(struct hx_web_request *r, unsigned status, const char *code, const char *format,
                 ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    hx_web_out_free(&r->out);
    hx_web_open_object(&r->out, NULL);
    hx_web_text(&r->out, "error", code);
    hx_web_text_said(&r->out, "message", message);
    if (r->retry_s != 0)
        hx_web_int(&r->out, "retry_after_s", r->retry_s);
    hx_web_close_object(&r->out);
    r->type = NULL;
    hx_web_reply(r, status);
}

void hx_web_refuse(struct hx_web_request *r, const struct hx_web_faults *f)
{
    hx_web_open_object(&r->out, NULL);
    hx_web_text(&r->out, "error", "invalid");
    hx_web_text(&r->out, "message", "some values are not allowed; nothing was changed");
    hx_web_open_array(&r->out, "fields");
    for (unsigned i = 0; i < f->count; i++) {
        hx_web_open_object(&r->out, NULL);
        hx_web_text(&r->out, "key", f->fault[i].key);
        hx_web_text_said(&r->out, "message", f->fault[i].message);
        hx_web_text(&r->out, "allowed", f->fault[i].allowed);
        hx_web_close_object(&r->out);
    }
    hx_web_close_array(&r->out);
    hx_web_close_object(&r->out);
    hx_web_reply(r, 422);
}

void hx_web_refuse_field(struct hx_web_request *r, const char *key, const char *message,
                         const char *allowed)
{
    struct hx_web_faults *f = calloc(1, sizeof *f);

    if (f == NULL) {
        hx_web_fail(r, 503, "busy", "out of memory");
        return;
    }
    f->count = 1;
    (void)snprintf(f->fault[0].key, sizeof f->fault[0].key, "%s", key);
    (void)snprintf(f->fault[0].message, sizeof f->fault[0].message, "%s", message);
    (void)snprintf(f->fault[0].allowed, sizeof f->fault[0].allowed, "%s", allowed);
    hx_web_refuse(r, f);
    free(f);
}

const char *hx_web_query(const struct hx_web_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn->mhd, MHD_GET_ARGUMENT_KIND, name);
}

json_t *hx_web_body(struct hx_web_request *r)
{
    char why[HX_WEB_FAULT_TEXT];
    json_t *json = hx_web_json((struct hx_span){r->body, r->body_len}, why);

    if (json == NULL)
        hx_web_fail(r, 400, "bad_request", "%s", why);
    return json;
}

void hx_web_record(struct hx_web_request *r, enum hx_note note, const char *text)
{
    int64_t utc_ms = hx_clock_utc_ms();

    hx_audit_add(&r->web->audit, note, utc_ms >= HX_CLOCK_KNOWN_MS ? utc_ms : 0, r->conn->name,
                 text);
}

/* No page of ours needs anything from elsewhere, and no other page may frame or use ours. */
static const struct {
    const char *name, *value;
} always[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     "connect-src 'self'; manifest-src 'self'; worker-src 'self'; font-src 'self'; "
     "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
};

static void add(struct MHD_Response *m, const char *name, const char *value)
{
    if (value != NULL && *value != '\0')
        (void)MHD_add_response_header(m, name, value); /* no memory: the answer goes without it */
}

static void add_headers(const struct hx_web_request *r, struct MHD_Response *m)
{
    char text[160];

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        add(m, always[i].name, always[i].value);
    add(m, "Set-Cookie", r->cookie);
    add(m, "Allow", r->allow);
    if (r->challenge)
        add(m, "WWW-Authenticate", "Basic realm=\"han2x\", charset=\"UTF-8\"");
    if (r->close)
        add(m, "Connection", "close");
    if (r->retry_s != 0) {
        (void)snprintf(text, sizeof text, "%u", r->retry_s);
        add(m, "Retry-After", text);
    }
    if (r->download != NULL) {
        (void)snprintf(text, sizeof text, "attachment; filename=\"%s\"", r->download);
        add(m, "Content-Disposition", text);
    }
}

static struct MHD_Response *asset_response(struct hx_web_request *r)
{
    const struct hx_web_asset *a = r->asset;
    const char *known = MHD_lookup_connection_value(r->conn->mhd, MHD_HEADER_KIND, "If-None-Match");
    bool same = known != NULL && strstr(known, a->etag) != NULL;
    struct MHD_Response *m = MHD_create_response_from_buffer(same ? 0 : a->len, unconst(a->data),
                                                             MHD_RESPMEM_PERSISTENT);

    if (m == NULL)
        return NULL;
    r->status = same ? 304 : 200;
    add(m, "Content-Type", a->type);
    add(m, "ETag", a->etag);
    add(m, "Cache-Control", a->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    if (a->gzip && !same)
        add(m, "Content-Encoding", "gzip");
    return m;
}

static struct MHD_Response *text_response(struct hx_web_request *r)
{
    struct MHD_Response *m;

    if (r->out.failed) {
        hx_web_out_free(&r->out);
        r->status = 500;
    }
    m = MHD_create_response_from_buffer(r->out.len, r->out.ptr, MHD_RESPMEM_MUST_FREE);
    if (m == NULL)
        return NULL;
    r->out = (struct hx_web_out){.ptr = NULL}; /* the library's now */
    if (r->status != 204)
        add(m, "Content-Type", r->type != NULL ? r->type : "application/json");
    add(m, "Cache-Control", "no-store");
    return m;
}

static enum MHD_Result send_answer(struct hx_web_request *r)
{
    struct MHD_Response *m = r->stream != NULL  ? hx_web_events_response(r)
                             : r->asset != NULL ? asset_response(r)
                                                : text_response(r);
    enum MHD_Result result;

    if (m == NULL) {
        r->stream = NULL; /* it is gone */
        return MHD_NO;
    }
    add_headers(r, m);
    r->conn->deadline_ms = r->stream != NULL ? 0 : hx_clock_ms() + ANSWER_MS;
    r->stream = NULL; /* the answer's now */
    result = MHD_queue_response(r->conn->mhd, r->status, m);
    MHD_destroy_response(m);
    return result;
}

/* --- requests: the head --- */

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct hx_web_framing *f = cls;

    (void)kind;
    if (strcasecmp(name, "Host") == 0) {
        f->hosts++;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        f->lengths++;
        f->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        f->codings++;
        f->coding = value;
    }
    return MHD_YES;
}

static const char *header(const struct hx_web_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn->mhd, MHD_HEADER_KIND, name);
}

static bool framing_ok(struct hx_web_request *r, struct hx_web_framing *f)
{
    (void)MHD_get_connection_values(r->conn->mhd, MHD_HEADER_KIND, count_header, f);
    if (hx_web_framing_ok(f))
        return true;
    r->close = true;
    hx_web_fail(r, 400, "bad_request", "a request needs one Host, and one length of its body");
    return false;
}

static bool host_ok(struct hx_web_request *r)
{
    const struct hx_web *w = r->web;
    const char *names[4] = {"han2x", w->names.hostname, w->names.configured, NULL};
    const char *host = header(r, "Host");

    if (host != NULL && strlen(host) < sizeof r->host && hx_web_host_ok(host, names)) {
        memcpy(r->host, host, strlen(host) + 1u);
        return true;
    }
    r->close = true;
    hx_web_fail(
        r, 403, "wrong_host",
        "this is not the name of the gateway; use its address, its host name or han2x.local");
    return false;
}

static bool origin_ok(struct hx_web_request *r)
{
    if (r->is_get || hx_web_origin_ok(r->host, header(r, "Origin"), header(r, "Sec-Fetch-Site")))
        return true;
    hx_web_fail(r, 403, "cross_site", "refused: the request came from the page of another site");
    return false;
}

static bool route_ok(struct hx_web_request *r, const char *path, const char *method)
{
    unsigned allow;
    enum hx_web_found found =
        hx_web_route_find(hx_web_routes, hx_web_route_count, path, method, &r->route, &allow);

    if (found == HX_WEB_FOUND)
        return true;
    if (found == HX_WEB_NO_PATH && strncmp(path, "/api/", 5) != 0) {
        r->asset = hx_web_asset_find(path);
        allow = r->asset != NULL ? 1u << HX_WEB_GET : 0;
        if (r->asset != NULL && r->is_get)
            return true;
        r->asset = NULL;
    }
    if (allow == 0) {
        hx_web_fail(r, 404, "not_found", "there is nothing at this path");
        return false;
    }
    hx_web_allow_text(allow, r->allow);
    hx_web_fail(r, 405, "method_not_allowed", "this path takes %s", r->allow);
    return false;
}

static bool login_ok(struct hx_web_request *r)
{
    const char *dest = header(r, "Sec-Fetch-Dest");

    if (r->asset != NULL)
        return true;
    hx_web_identify(r);
    if ((r->route->flags & HX_ROUTE_OPEN) != 0 || r->logged_in || r->has_login)
        return true;
    /* a page's own script has its own form for this: the browser's box would stand over it */
    r->challenge = dest == NULL || strcmp(dest, "document") == 0;
    hx_web_fail(r, 401, "unauthorized", "log in first");
    return false;
}

/* Known users may send more at once than strangers. */
static bool body_ok(struct hx_web_request *r, const struct hx_web_framing *f)
{
    size_t max = r->asset != NULL ? 0 : r->route->max;

    if (!r->logged_in && max > HX_WEB_BODY)
        max = HX_WEB_BODY;
    if (f->length != NULL && strtoul(f->length, NULL, 10) > max) {
        r->close = true;
        hx_web_fail(r, 413, "too_large", "the body may have %zu octets", max);
        return false;
    }
    if (r->asset != NULL || (r->route->flags & HX_ROUTE_BODY) == 0 ||
        hx_web_is_json_type(header(r, "Content-Type")))
        return true;
    r->close = true;
    hx_web_fail(r, 415, "unsupported_media_type", "the body must be application/json");
    return false;
}

static void check_head(struct hx_web_request *r, const char *path, const char *method)
{
    struct hx_web_framing f = {.hosts = 0};

    r->is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (framing_ok(r, &f) && host_ok(r) && route_ok(r, path, method) && origin_ok(r) && login_ok(r))
        (void)body_ok(r, &f);
}

/* --- requests: body and answer --- */

static void take_body(struct hx_web_request *r, const char *data, size_t len)
{
    size_t max = r->asset != NULL ? 0 : r->route->max;
    uint8_t *body;

    if (!r->logged_in && max > HX_WEB_BODY)
        max = HX_WEB_BODY;
    if (len > max - r->body_len) {
        r->close = true;
        hx_web_fail(r, 413, "too_large", "the body may have %zu octets", max);
        return;
    }
    body = realloc(r->body, r->body_len + len);
    if (body == NULL) {
        r->close = true;
        hx_web_fail(r, 503, "busy", "out of memory");
        return;
    }
    r->body = body;
    memcpy(r->body + r->body_len, data, len);
    r->body_len += len;
}

static void handle(struct hx_web_request *r)
{
    bool looks = r->is_get || (r->route->flags & (HX_ROUTE_LOOK | HX_ROUTE_OPEN)) != 0;

    if (!looks && hx_web_read_only(r->web))
        hx_web_fail(r, 403, "factory_password",
                    "the factory password is still in use: it opens everything for looking, and "
                    "for changing the password; change it first");
    else
        r->route->handle(r);
}

static void after_login(struct hx_web_request *r)
{
    r->logged_in = r->verdict == HX_VERDICT_GOOD;
    if (r->logged_in)
        handle(r);
    else
        hx_web_answer_verdict(r);
}

static void start(struct hx_web_request *r)
{
    r->conn->deadline_ms = 0; /* it is our turn */
    if (r->asset != NULL)
        hx_web_reply(r, 200);
    else if (!login_ok(r)) /* again: the body took its time, and a session may have ended */
        return;            /* answered */
    else if (r->logged_in || (r->route->flags & HX_ROUTE_OPEN) != 0)
        handle(r);
    else
        hx_web_verify(r, after_login);
}

static struct hx_web_request *begin(struct hx_web_listener *l, struct MHD_Connection *mhd)
{
    struct hx_web_conn *c = conn_of(mhd);
    struct hx_web_request *r = c != NULL ? calloc(1, sizeof *r) : NULL;

    if (r == NULL)
        return NULL;
    r->web = l->web;
    r->conn = c;
    c->busy = true;
    c->deadline_ms = hx_clock_ms() + BODY_MS;
    unlink_conn(c);
    push_conn(c);
    return r;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct hx_web_request *r = *context;

    (void)version;
    if (r == NULL) {
        *context = r = begin(cls, mhd);
        if (r == NULL)
            return MHD_NO;
        check_head(r, path, method);
        return r->replied ? send_answer(r) : MHD_YES;
    }
    if (*size != 0) {
        if (!r->replied)
            take_body(r, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!r->started && !r->replied) {
        r->started = true;
        start(r);
    }
    if (r->replied)
        return send_answer(r);
    r->suspended = true;
    r->conn->listener->suspended++;
    MHD_suspend_connection(mhd);
    return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode why)
{
    struct hx_web_request *r = *context;

    (void)cls;
    (void)mhd;
    (void)why;
    if (r == NULL)
        return;
    r->conn->busy = false;
    r->conn->deadline_ms = hx_clock_ms() + KEEP_MS;
    hx_web_out_free(&r->out);
    if (r->stream != NULL)
        hx_web_events_forget(r->stream);
    if (r->body != NULL)
        explicit_bzero(r->body, r->body_len); /* there may be a password in it */
    free(r->body);
    if (r->before != NULL)
        explicit_bzero(r->before, sizeof *r->before);
    free(r->before);
    explicit_bzero(r, sizeof *r);
    free(r);
    *context = NULL;
}

/* --- listening --- */

static void set_int(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* an improvement, no need */
}

static int listen_on(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* connections inherit it */
    if (a->ai_family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    (void)close(fd); /* nothing came through it */
    return -1;
}

/* IPv6 first when all addresses are meant: its socket takes IPv4 too. */
static int open_socket(const char *listen_text, uint16_t port)
{
    bool all = strcmp(listen_text, "all") == 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list;
    char service[8];
    int fd = -1, err = EADDRNOTAVAIL;

    (void)snprintf(service, sizeof service, "%u", port);
    for (int round = 0; round < (all ? 2 : 1) && fd < 0; round++) {
        hints.ai_family = !all ? AF_UNSPEC : round == 0 ? AF_INET6 : AF_INET;
        if (getaddrinfo(all ? NULL : listen_text, service, &hints, &list) != 0)
            continue;
        fd = listen_on(list);
        err = errno;
        freeaddrinfo(list);
        if (fd < 0 && err == EADDRINUSE)
            break;
    }
    errno = err;
    return fd;
}

int hx_web_try_address(const char *listen_text)
{
    int fd = open_socket(listen_text, 0); /* any port: the one that is meant may be ours already */

    if (fd < 0)
        return errno;
    (void)close(fd); /* nothing came through it */
    return 0;
}

static void run_listener(struct hx_web_listener *l)
{
    if (l->mhd != NULL)
        (void)MHD_run(l->mhd); /* fails only on daemons with threads of their own */
}

/* The library may have more to do than it does in one turn. */
static void go_on(struct hx_web *w)
{
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++) {
        MHD_UNSIGNED_LONG_LONG wait_ms;

        if (w->listener[i].mhd != NULL &&
            MHD_get_timeout(w->listener[i].mhd, &wait_ms) == MHD_YES && wait_ms == 0)
            hx_web_run(w);
    }
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct hx_web_listener *l = arg;

    (void)fd;
    (void)what;
    run_listener(l);
    go_on(l->web);
}

static struct MHD_Daemon *start_daemon(struct hx_web_listener *l)
{
    const struct hx_web_tls *tls = &l->web->tls;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, l->fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)l->limit, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, l},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, l},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_uri, l},
        {l->tls ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, tls->key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, tls->cert},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, unconst("SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2")},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (l->tls ? MHD_USE_TLS : 0u),
                            0, NULL, NULL, on_request, l, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

static bool start_listener(struct hx_web_listener *l)
{
    const union MHD_DaemonInfo *info;

    l->mhd = start_daemon(l);
    if (l->mhd == NULL)
        return false;
    info = MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    if (info != NULL)
        l->event = event_new(l->web->base, info->epoll_fd, EV_READ | EV_PERSIST, on_ready, l);
    if (l->event != NULL && event_add(l->event, NULL) == 0)
        return true;
    MHD_stop_daemon(l->mhd);
    l->mhd = NULL;
    return false;
}

/* Nobody may be suspended when a daemon stops: whoever waits gets an error that nobody reads. */
static void resume_all(struct hx_web_listener *l)
{
    for (struct hx_web_conn *c = l->newest; c != NULL; c = c->older) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);

        if (info != NULL && info->suspended == MHD_YES)
            MHD_resume_connection(c->mhd);
    }
}

static void close_listener(struct hx_web_listener *l)
{
    if (l->mhd == NULL)
        return;
    event_free(l->event);
    l->event = NULL;
    resume_all(l);
    MHD_stop_daemon(l->mhd); /* closes the socket too */
    l->mhd = NULL;
    l->fd = -1;
}

static struct hx_web_listener *current(struct hx_web *w, bool tls)
{
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++)
        if (w->listener[i].mhd != NULL && w->listener[i].retire_ms == 0 &&
            w->listener[i].tls == tls)
            return &w->listener[i];
    return NULL;
}

/* @return true while an old one still holds the port. */
static bool is_retiring(const struct hx_web *w, uint16_t port)
{
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++)
        if (w->listener[i].mhd != NULL && w->listener[i].retire_ms != 0 &&
            w->listener[i].port == port)
            return true;
    return false;
}

static void retire(struct hx_web_listener *l)
{
    if (l == NULL)
        return;
    l->retire_ms = hx_clock_ms() + RETIRE_MS;
    hx_web_events_end(l->web, NULL);
}

static struct hx_web_listener *free_slot(struct hx_web *w)
{
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++)
        if (w->listener[i].mhd == NULL)
            return &w->listener[i];
    return NULL; /* settings change faster than sockets close: the next tick finds one */
}

static const char *where(const char *listen_text, const char *all)
{
    return strcmp(listen_text, "all") == 0 ? all : listen_text;
}

static void say_failed(struct hx_web *w, bool tls, uint16_t port, int err)
{
    if (!w->listen_failed[tls])
        hx_log(HX_LOG_ERROR,
               "web pages cannot be served on %s port %u: %s; choose another with %s, or "
               "web.enabled = no; trying again every %u s",
               where(w->settings.text[HX_S_WEB_LISTEN], "any address,"), port, strerror(err),
               tls ? "web.tls_port" : "web.port", RETRY_MS / 1000u);
    w->listen_failed[tls] = true;
}

/* Pages on no address cannot be put right from a page: those that are there wait for the new one.
 * @param now  NULL: none are there; there is nothing to keep. */
static bool has_address(struct hx_web *w, const struct hx_web_listener *now, uint16_t port)
{
    const char *want = w->settings.text[HX_S_WEB_LISTEN];
    int err = now != NULL && strcmp(now->listen, want) != 0 ? hx_web_try_address(want) : 0;

    if (err == 0)
        return true;
    if (!w->listen_failed[now->tls])
        hx_log(HX_LOG_ERROR,
               "web pages cannot be served on %s port %u: %s; they stay on %s port %u; choose "
               "another with web.listen; trying again every %u s",
               want, port,
               err == EADDRNOTAVAIL ? "this machine has no such address" : strerror(err),
               where(now->listen, "all addresses,"), now->port, RETRY_MS / 1000u);
    w->listen_failed[now->tls] = true;
    return false;
}

static bool open_listener(struct hx_web *w, bool tls, const char *listen_text, uint16_t port)
{
    struct hx_web_listener *l = free_slot(w);

    if (l == NULL)
        return false;
    *l = (struct hx_web_listener){
        .web = w, .tls = tls, .port = port, .limit = tls ? TLS_LIMIT : HTTP_LIMIT};
    (void)snprintf(l->listen, sizeof l->listen, "%s", listen_text);
    l->fd = open_socket(listen_text, port);
    if (l->fd < 0) {
        say_failed(w, tls, port, errno);
        return false;
    }
    if (!start_listener(l)) {
        (void)close(l->fd); /* nothing came through it */
        say_failed(w, tls, port, EIO);
        return false;
    }
    w->listen_failed[tls] = false;
    hx_log(HX_LOG_NOTICE, "web pages on %s port %u%s", where(listen_text, "all addresses,"), port,
           tls ? " (HTTPS)" : "");
    return true;
}

static void set_listener(struct hx_web *w, bool tls)
{
    const struct hx_settings *s = &w->settings;
    struct hx_web_listener *now = current(w, tls);
    uint16_t port = (uint16_t)s->num[tls ? HX_S_WEB_TLS_PORT : HX_S_WEB_PORT];
    const char *listen_text = s->text[HX_S_WEB_LISTEN];

    if (s->num[HX_S_WEB_ENABLED] == 0 || port == 0) {
        retire(now);
        return;
    }
    if (now != NULL && now->port == port && strcmp(now->listen, listen_text) == 0)
        return;
    if (!has_address(w, now, port))
        return;
    if (now != NULL && now->port == port)
        retire(now); /* another address, same port: one after the other */
    if (is_retiring(w, port))
        return; /* the tick that closes it comes back here */
    if (tls && w->tls.key == NULL &&
        hx_web_tls_load(
            &w->tls, s->text[HX_S_WEB_TLS_CERT], s->text[HX_S_WEB_TLS_KEY], w->state_dir, &w->names,
            hx_clock_utc_ms() >= HX_CLOCK_KNOWN_MS ? hx_clock_utc_ms() / 1000 : 0) != HX_OK)
        return; /* logged */
    if (open_listener(w, tls, listen_text, port))
        retire(now);
}

void hx_web_listen(struct hx_web *w)
{
    set_listener(w, false);
    set_listener(w, true);
}

void hx_web_new_certificate(struct hx_web *w)
{
    hx_web_tls_free(&w->tls);
    if (current(w, true) != NULL)
        retire(current(w, true)); /* the tick that closes it makes another */
    else
        set_listener(w, true);
}

/* --- time --- */

static void sweep(struct hx_web_listener *l, uint64_t now_ms)
{
    for (struct hx_web_conn *c = l->newest; c != NULL; c = c->older)
        if (c->deadline_ms != 0 && now_ms >= c->deadline_ms)
            drop_conn(c);
}

void hx_web_listen_tick(struct hx_web *w, uint64_t now_ms)
{
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++) {
        struct hx_web_listener *l = &w->listener[i];

        if (l->mhd == NULL)
            continue;
        sweep(l, now_ms);
        if (l->retire_ms != 0 && now_ms >= l->retire_ms && l->suspended == 0) {
            close_listener(l);
            w->listen_ms = 0; /* its port is free now */
        }
    }
    if (now_ms - w->listen_ms >= RETRY_MS) {
        w->listen_ms = now_ms;
        hx_web_listen(w);
    }
}

void hx_web_run(struct hx_web *w)
{
    const struct timeval now = {0};

    (void)event_add(w->again, &now); /* it was added at the start: no memory is needed */
}

void hx_web_turn(struct hx_web *w)
{
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++)
        run_listener(&w->listener[i]);
    go_on(w);
}

void hx_web_flush(struct hx_web *w)
{
    for (int turn = 0; turn < 3; turn++) /* resumed, asked for its answer, sent */
        for (size_t i = 0; i < HX_WEB_LISTENERS; i++)
            run_listener(&w->listener[i]);
}

void hx_web_listen_close(struct hx_web *w)
{
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++)
        close_listener(&w->listener[i]);
    hx_web_tls_free(&w->tls);
}
