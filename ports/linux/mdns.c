/* mdns.c - see mdns.h. Avahi's client library, loaded only where the Avahi daemon runs: with
 * D-Bus behind it, it takes more memory than the gateway's own tables.
 *
 *   no daemon ── its socket is there ──▶ client ── RUNNING ──▶ announced, browsing
 *       ▲ every 5 s                        │ ▲ daemon away, daemon back
 *       └──────────── D-Bus gone ──────────┘ └─ the client library waits by itself (NO_FAIL)
 *
 * Callbacks only note what happened; what is to be done about it is done in serve(). */
#include "mdns.h"

#include "log.h"
#include "thread.h"

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/simple-watch.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define AVAHI_SOCKET "/run/avahi-daemon/socket" /* there while the daemon runs */
#define LIBRARY "libavahi-client.so.3"
#define LOOK_S 5
#define TYPE "_han2x._tcp"
#define ENTRIES_MAX (2u * HX_MDNS_PEERS) /* one per gateway, interface and protocol */
#define RENAMES_MAX 20u

#define FUNCTIONS(X)                                                                               \
    X(client_new)                                                                                  \
    X(client_free)                                                                                 \
    X(client_errno)                                                                                \
    X(client_get_state)                                                                            \
    X(entry_group_new)                                                                             \
    X(entry_group_free)                                                                            \
    X(entry_group_reset)                                                                           \
    X(entry_group_commit)                                                                          \
    X(entry_group_add_service_strlst)                                                              \
    X(entry_group_update_service_txt_strlst)                                                       \
    X(service_browser_new)                                                                         \
    X(service_browser_free)                                                                        \
    X(service_resolver_new)                                                                        \
    X(service_resolver_free)                                                                       \
    X(simple_poll_new)                                                                             \
    X(simple_poll_free)                                                                            \
    X(simple_poll_get)                                                                             \
    X(simple_poll_iterate)                                                                         \
    X(simple_poll_wakeup)                                                                          \
    X(string_list_add_printf)                                                                      \
    X(string_list_free)                                                                            \
    X(string_list_find)                                                                            \
    X(address_snprint)                                                                             \
    X(alternative_service_name)                                                                    \
    X(strerror)                                                                                    \
    X(free)

struct avahi {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name cannot stand in any */
#define X(name) __typeof__(&avahi_##name) name;
    FUNCTIONS(X)
#undef X
};

/* One announcement of another gateway, on one interface by one protocol. */
struct entry {
    AvahiServiceResolver *resolver; /* NULL: free */
    AvahiIfIndex interface;
    AvahiProtocol protocol;
    bool resolved, own;
    struct hx_mdns_peer peer;
};

struct hx_mdns {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* while there is no client to wait in */
    struct avahi avahi;
    AvahiSimplePoll *poll; /* made and freed under lock: hx_mdns_set wakes it */
    /* under lock */
    struct hx_mdns_config wanted;
    bool changed, stop, announced, ended;
    struct entry entry[ENTRIES_MAX]; /* written under lock by the thread */
    /* the thread's own */
    void *library;
    AvahiClient *client;
    AvahiEntryGroup *group;
    AvahiServiceBrowser *browser;
    struct hx_mdns_config config;
    char name[64]; /* announced: config.name, or another one after a collision */
    unsigned renames;
    bool failed, dirty, new_text; /* the client is dead; announce anew; only the TXT is new */
    bool told;
};

/* --- the library --- */

static bool load(struct hx_mdns *m)
{
    void *at;

    if (m->library != NULL)
        return true;
    m->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (m->library == NULL) {
        if (!m->told)
            hx_log(HX_LOG_INFO, "mdns: Avahi runs, but %s is not there: not announced", LIBRARY);
        m->told = true;
        return false;
    }
    /* ISO C has no cast from object to function pointers; POSIX wants their octets to be alike. */
#define X(function)                                                                                \
    at = dlsym(m->library, "avahi_" #function);                                                    \
    if (at == NULL)                                                                                \
        goto missing;                                                                              \
    memcpy(&m->avahi.function, &at, sizeof at);
    FUNCTIONS(X)
#undef X
    return true;
missing:
    (void)dlclose(m->library);
    m->library = NULL;
    return false;
}

static void complain(struct hx_mdns *m, const char *what, int error)
{
    if (!m->told)
        hx_log(HX_LOG_WARNING, "mdns: %s: %s", what, m->avahi.strerror(error));
    m->told = true;
}

/* --- the others --- */

static struct entry *find(struct hx_mdns *m, AvahiIfIndex interface, AvahiProtocol protocol,
                          const char *name)
{
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        struct entry *e = &m->entry[i];

        if (e->resolver != NULL && e->interface == interface && e->protocol == protocol &&
            strcmp(e->peer.name, name) == 0)
            return e;
    }
    return NULL;
}

static struct entry *find_free(struct hx_mdns *m)
{
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        if (m->entry[i].resolver == NULL)
            return &m->entry[i];
    return NULL; /* more than anybody looks through: left out */
}

static struct entry *entry_of(struct hx_mdns *m, const AvahiServiceResolver *r)
{
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        if (m->entry[i].resolver == r)
            return &m->entry[i];
    return NULL;
}

/* Under lock. */
static void forget(struct hx_mdns *m, struct entry *e)
{
    if (e->resolver != NULL)
        (void)m->avahi.service_resolver_free(e->resolver); /* gone at any rate */
    memset(e, 0, sizeof *e);
}

static void txt_value(struct hx_mdns *m, AvahiStringList *txt, const char *key, char *out,
                      size_t size)
{
    const AvahiStringList *item = m->avahi.string_list_find(txt, key);

    hx_mdns_txt_value(item != NULL ? (struct hx_span){item->text, item->size}
                                   : (struct hx_span){NULL, 0},
                      key, out, size);
}

static void put_address(struct hx_mdns *m, struct hx_mdns_peer *p, const AvahiAddress *a,
                        AvahiIfIndex interface)
{
    size_t n;

    (void)m->avahi.address_snprint(p->address, sizeof p->address, a);
    n = strlen(p->address);
    if (a->proto == AVAHI_PROTO_INET6 && strncmp(p->address, "fe80:", 5) == 0)
        (void)snprintf(p->address + n, sizeof p->address - n, "%%%d", interface);
}

static void on_resolved(AvahiServiceResolver *r, AvahiIfIndex interface, AvahiProtocol protocol,
                        AvahiResolverEvent event, const char *name, const char *type,
                        const char *domain, const char *host, const AvahiAddress *address,
                        uint16_t port, AvahiStringList *txt, AvahiLookupResultFlags flags,
                        void *arg)
{
    struct hx_mdns *m = arg;
    char web[4];
    struct entry *e;

    (void)protocol;
    (void)name;
    (void)type;
    (void)domain;
    (void)pthread_mutex_lock(&m->lock); /* our own, healthy lock: cannot fail */
    e = entry_of(m, r);
    if (e != NULL && event == AVAHI_RESOLVER_FOUND && address != NULL && host != NULL) {
        hx_mdns_copy(e->peer.host, sizeof e->peer.host, host);
        put_address(m, &e->peer, address, interface);
        e->peer.port = port;
        txt_value(m, txt, "tls", web, sizeof web);
        e->peer.tls = strcmp(web, "yes") == 0;
        txt_value(m, txt, "number", e->peer.number, sizeof e->peer.number);
        txt_value(m, txt, "maker", e->peer.maker, sizeof e->peer.maker);
        txt_value(m, txt, "version", e->peer.version, sizeof e->peer.version);
        e->own = ((unsigned)flags & (unsigned)AVAHI_LOOKUP_RESULT_OUR_OWN) != 0;
        e->resolved = true;
    } else if (e != NULL) {
        e->resolved = false; /* no answer in time: an announcement that is stale */
    }
    (void)pthread_mutex_unlock(&m->lock);
}

static void add(struct hx_mdns *m, AvahiIfIndex interface, AvahiProtocol protocol, const char *name,
                const char *type, const char *domain)
{
    struct entry *e = find(m, interface, protocol, name) == NULL ? find_free(m) : NULL;
    AvahiServiceResolver *r =
        e != NULL ? m->avahi.service_resolver_new(m->client, interface, protocol, name, type,
                                                  domain, protocol, 0, on_resolved, m)
                  : NULL;

    if (r == NULL)
        return; /* known, no room, or the daemon refuses: one gateway fewer in the list */
    (void)pthread_mutex_lock(&m->lock);
    *e = (struct entry){.resolver = r, .interface = interface, .protocol = protocol};
    hx_mdns_copy(e->peer.name, sizeof e->peer.name, name);
    (void)pthread_mutex_unlock(&m->lock);
}

static void on_browsed(AvahiServiceBrowser *b, AvahiIfIndex interface, AvahiProtocol protocol,
                       AvahiBrowserEvent event, const char *name, const char *type,
                       const char *domain, AvahiLookupResultFlags flags, void *arg)
{
    struct hx_mdns *m = arg;
    struct entry *e;

    (void)b;
    (void)flags;
    switch (event) {
    case AVAHI_BROWSER_NEW:
        add(m, interface, protocol, name, type, domain);
        break;
    case AVAHI_BROWSER_REMOVE:
        (void)pthread_mutex_lock(&m->lock);
        e = find(m, interface, protocol, name);
        if (e != NULL)
            forget(m, e);
        (void)pthread_mutex_unlock(&m->lock);
        break;
    case AVAHI_BROWSER_FAILURE:
        m->failed = true;
        break;
    case AVAHI_BROWSER_CACHE_EXHAUSTED:
    case AVAHI_BROWSER_ALL_FOR_NOW:
        break;
    }
}

/* --- ourselves --- */

static void rename_us(struct hx_mdns *m)
{
    char *other = m->avahi.alternative_service_name(m->name);

    if (other == NULL || m->renames++ >= RENAMES_MAX) {
        complain(m, "no free name", AVAHI_ERR_COLLISION);
    } else {
        hx_mdns_copy(m->name, sizeof m->name, other);
        m->dirty = true;
    }
    m->avahi.free(other);
}

static void set_announced(struct hx_mdns *m, bool yes)
{
    (void)pthread_mutex_lock(&m->lock);
    m->announced = yes;
    (void)pthread_mutex_unlock(&m->lock);
}

static void on_group(AvahiEntryGroup *g, AvahiEntryGroupState state, void *arg)
{
    struct hx_mdns *m = arg;

    (void)g;
    switch (state) {
    case AVAHI_ENTRY_GROUP_ESTABLISHED:
        set_announced(m, true);
        hx_log(HX_LOG_INFO, "mdns: announced as \"%s\"", m->name);
        m->told = false;
        break;
    case AVAHI_ENTRY_GROUP_COLLISION:
        set_announced(m, false);
        rename_us(m);
        break;
    case AVAHI_ENTRY_GROUP_FAILURE:
        set_announced(m, false);
        complain(m, "not announced", m->avahi.client_errno(m->client));
        break;
    case AVAHI_ENTRY_GROUP_UNCOMMITED:
    case AVAHI_ENTRY_GROUP_REGISTERING:
        break;
    }
}

static AvahiStringList *txt_of(struct hx_mdns *m)
{
    const struct hx_mdns_config *c = &m->config;
    AvahiStringList *txt = NULL;

    /* The first one added stands last. */
    if (c->simulated)
        txt = m->avahi.string_list_add_printf(txt, "simulated=yes");
    if (c->web_port == 0)
        txt = m->avahi.string_list_add_printf(txt, "tls=yes");
    txt = m->avahi.string_list_add_printf(txt, "maker=%s", c->maker);
    txt = m->avahi.string_list_add_printf(txt, "number=%u", (unsigned)c->number);
    txt = m->avahi.string_list_add_printf(txt, "version=%s", HX_VERSION);
    return m->avahi.string_list_add_printf(txt, "txtvers=1"); /* RFC 6763 6.7 */
}

static int add_service(struct hx_mdns *m, const char *type, uint16_t port, AvahiStringList *txt)
{
    if (port == 0)
        return AVAHI_OK;
    return m->avahi.entry_group_add_service_strlst(m->group, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, 0,
                                                   m->name, type, NULL, NULL, port, txt);
}

static int announce(struct hx_mdns *m)
{
    const struct hx_mdns_config *c = &m->config;
    AvahiStringList *txt = txt_of(m);
    int err = add_service(m, TYPE, c->web_port != 0 ? c->web_port : c->tls_port, txt);

    if (err == AVAHI_OK)
        err = add_service(m, "_http._tcp", c->web_port, NULL);
    if (err == AVAHI_OK)
        err = add_service(m, "_https._tcp", c->tls_port, NULL);
    if (err == AVAHI_OK)
        err = add_service(m, "_modbus._tcp", c->modbus_port, txt);
    m->avahi.string_list_free(txt);
    if (err == AVAHI_OK && (c->web_port | c->tls_port | c->modbus_port) != 0)
        err = m->avahi.entry_group_commit(m->group);
    return err;
}

/* The TXT alone: the name stays ours, and nobody sees us go. */
static void update_text(struct hx_mdns *m)
{
    static const char *const types[] = {TYPE, "_modbus._tcp"};
    const bool has[] = {(m->config.web_port | m->config.tls_port) != 0, m->config.modbus_port != 0};
    AvahiStringList *txt = txt_of(m);
    int err = AVAHI_OK;

    m->new_text = false;
    for (size_t i = 0; i < 2 && err == AVAHI_OK; i++)
        if (has[i])
            err = m->avahi.entry_group_update_service_txt_strlst(
                m->group, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, 0, m->name, types[i], NULL, txt);
    m->avahi.string_list_free(txt);
    m->dirty = m->dirty || err != AVAHI_OK;
}

/* Say who we are, anew. */
static void publish(struct hx_mdns *m)
{
    int err;

    m->dirty = m->new_text = false;
    set_announced(m, false);
    if (m->group == NULL)
        m->group = m->avahi.entry_group_new(m->client, on_group, m);
    else
        (void)m->avahi.entry_group_reset(m->group); /* fails with the client: told there */
    if (m->group == NULL) {
        m->failed = true;
        return;
    }
    err = announce(m);
    if (err == AVAHI_ERR_COLLISION) /* with another program on this machine */
        rename_us(m);
    else if (err != AVAHI_OK)
        complain(m, "not announced", err);
}

/* --- the thread --- */

static void drop_group(struct hx_mdns *m)
{
    if (m->group != NULL)
        (void)m->avahi.entry_group_free(m->group); /* gone at any rate */
    m->group = NULL;
    set_announced(m, false);
}

static void drop_browser(struct hx_mdns *m)
{
    if (m->browser != NULL)
        (void)m->avahi.service_browser_free(m->browser); /* gone at any rate */
    m->browser = NULL;
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        forget(m, &m->entry[i]);
    (void)pthread_mutex_unlock(&m->lock);
}

static void drop_client(struct hx_mdns *m)
{
    if (m->client == NULL)
        return;
    drop_group(m);
    drop_browser(m);
    m->avahi.client_free(m->client);
    m->client = NULL;
    m->failed = false;
}

static void on_client(AvahiClient *c, AvahiClientState state, void *arg)
{
    struct hx_mdns *m = arg;

    (void)c; /* called inside client_new too, before we have it */
    switch (state) {
    case AVAHI_CLIENT_S_RUNNING:
        m->dirty = true;
        break;
    case AVAHI_CLIENT_FAILURE:
        m->failed = true;
        break;
    case AVAHI_CLIENT_S_COLLISION: /* the machine's own name: Avahi finds another */
    case AVAHI_CLIENT_S_REGISTERING:
    case AVAHI_CLIENT_CONNECTING:
        break;
    }
}

static bool open_client(struct hx_mdns *m)
{
    int err = 0;
    AvahiSimplePoll *p;

    if (access(AVAHI_SOCKET, F_OK) != 0 || !load(m))
        return false;
    if (m->poll == NULL) {
        p = m->avahi.simple_poll_new();
        (void)pthread_mutex_lock(&m->lock);
        m->poll = p;
        (void)pthread_mutex_unlock(&m->lock);
    }
    if (m->poll == NULL)
        return false;
    m->failed = false;
    m->client = m->avahi.client_new(m->avahi.simple_poll_get(m->poll), AVAHI_CLIENT_NO_FAIL,
                                    on_client, m, &err);
    if (m->client == NULL)
        complain(m, "no connection to Avahi", err);
    return m->client != NULL;
}

static bool has_same_services(const struct hx_mdns_config *a, const struct hx_mdns_config *b)
{
    return strcmp(a->name, b->name) == 0 && a->web_port == b->web_port &&
           a->tls_port == b->tls_port && a->modbus_port == b->modbus_port;
}

static bool has_same_text(const struct hx_mdns_config *a, const struct hx_mdns_config *b)
{
    return a->number == b->number && a->simulated == b->simulated &&
           strcmp(a->maker, b->maker) == 0;
}

/* Under lock. */
static void use(struct hx_mdns *m)
{
    if (strcmp(m->config.name, m->wanted.name) != 0) {
        memcpy(m->name, m->wanted.name, sizeof m->name);
        m->renames = 0;
    }
    m->new_text = m->new_text || !has_same_text(&m->config, &m->wanted);
    m->dirty = m->dirty || !has_same_services(&m->config, &m->wanted);
    m->config = m->wanted;
}

/* @return true to stop. */
static bool take_config(struct hx_mdns *m)
{
    bool stop;

    (void)pthread_mutex_lock(&m->lock);
    stop = m->stop;
    if (m->changed)
        use(m);
    m->changed = false;
    (void)pthread_mutex_unlock(&m->lock);
    return stop;
}

/* What the callbacks noted. */
static void serve(struct hx_mdns *m)
{
    AvahiClientState state = m->avahi.client_get_state(m->client);

    if (state == AVAHI_CLIENT_CONNECTING) { /* the daemon went: what it knew of us is gone */
        drop_group(m);
        drop_browser(m);
    }
    if (m->failed || state != AVAHI_CLIENT_S_RUNNING)
        return;
    if (m->browser == NULL)
        m->browser = m->avahi.service_browser_new(m->client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                                  TYPE, NULL, 0, on_browsed, m);
    if (m->new_text && !m->dirty && m->group != NULL)
        update_text(m);
    while (m->dirty && !m->failed)
        publish(m);
}

static void rest(struct hx_mdns *m)
{
    const struct timespec until = hx_thread_deadline(CLOCK_MONOTONIC, LOOK_S * 1000u);

    (void)pthread_mutex_lock(&m->lock);
    while (!m->stop && pthread_cond_clockwait(&m->wake, &m->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    (void)pthread_mutex_unlock(&m->lock);
}

static void *thread(void *arg)
{
    struct hx_mdns *m = arg;

    while (!take_config(m)) {
        if (m->client == NULL && !open_client(m)) {
            rest(m);
            continue;
        }
        serve(m);
        if (!m->failed && m->avahi.simple_poll_iterate(m->poll, -1) != 0)
            m->failed = true;
        if (m->failed) {
            drop_client(m);
            rest(m);
        }
    }
    drop_client(m);
    (void)pthread_mutex_lock(&m->lock);
    m->ended = true;
    (void)pthread_cond_broadcast(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* --- the other threads' side --- */

enum hx_err hx_mdns_open(const struct hx_mdns_config *config, struct hx_mdns **out)
{
    struct hx_mdns *m = calloc(1, sizeof *m);
    int err;

    if (m == NULL) {
        hx_log(HX_LOG_ERROR, "mdns: out of memory");
        return HX_E_IO;
    }
    (void)pthread_mutex_init(&m->lock, NULL); /* cannot fail with default attributes */
    (void)pthread_cond_init(&m->wake, NULL);
    m->wanted = *config;
    m->changed = true;
    err = pthread_create(&m->thread, NULL, thread, m);
    if (err != 0) {
        hx_log(HX_LOG_ERROR, "mdns: cannot start its thread: %s", strerror(err));
        free(m);
        return HX_E_IO;
    }
    *out = m;
    return HX_OK;
}

/* Under lock. The poll's wake-up is a write to a pipe that never blocks. */
static void wake(struct hx_mdns *m)
{
    (void)pthread_cond_broadcast(&m->wake);
    if (m->poll != NULL)
        m->avahi.simple_poll_wakeup(m->poll);
}

void hx_mdns_set(struct hx_mdns *m, const struct hx_mdns_config *config)
{
    (void)pthread_mutex_lock(&m->lock);
    if (!has_same_services(&m->wanted, config) || !has_same_text(&m->wanted, config)) {
        m->wanted = *config;
        m->changed = true;
        wake(m);
    }
    (void)pthread_mutex_unlock(&m->lock);
}

/* One gateway can be there several times: over each interface, by IPv4 and IPv6. */
static void merge(const struct hx_mdns_peer *p, struct hx_mdns_peer *out, size_t *n)
{
    size_t i = 0;

    while (i < *n && strcmp(out[i].name, p->name) < 0)
        i++;
    if (i < *n && strcmp(out[i].name, p->name) == 0) {
        if (strchr(out[i].address, ':') != NULL) /* IPv4 is what people can type */
            out[i] = *p;
        return;
    }
    if (*n == HX_MDNS_PEERS)
        return;
    memmove(&out[i + 1u], &out[i], (*n - i) * sizeof *out);
    out[i] = *p;
    ++*n;
}

size_t hx_mdns_peers(struct hx_mdns *m, struct hx_mdns_peer out[HX_MDNS_PEERS])
{
    size_t n = 0;

    if (m == NULL)
        return 0;
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        if (m->entry[i].resolved && !m->entry[i].own)
            merge(&m->entry[i].peer, out, &n);
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}

bool hx_mdns_is_announced(struct hx_mdns *m)
{
    bool yes;

    if (m == NULL)
        return false;
    (void)pthread_mutex_lock(&m->lock);
    yes = m->announced;
    (void)pthread_mutex_unlock(&m->lock);
    return yes;
}

bool hx_mdns_close(struct hx_mdns *m, unsigned wait_ms)
{
    const struct timespec until = hx_thread_deadline(CLOCK_MONOTONIC, wait_ms);
    bool ended;

    (void)pthread_mutex_lock(&m->lock);
    m->stop = true;
    wake(m);
    while (!m->ended && pthread_cond_clockwait(&m->wake, &m->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    ended = m->ended;
    (void)pthread_mutex_unlock(&m->lock);
    if (!ended)
        return false;                    /* inside a call over D-Bus, which may take 25 s */
    (void)pthread_join(m->thread, NULL); /* its last act was to say so */
    if (m->poll != NULL)
        m->avahi.simple_poll_free(m->poll);
    (void)pthread_cond_destroy(&m->wake);
    (void)pthread_mutex_destroy(&m->lock);
    free(m); /* the library stays loaded: its own libraries do not all like to be unloaded */
    return true;
}
