/* fuzz_http.c - any octets on a connection to the whole web server, pages, API and library
 * together. First octet: bit 0 the gateway refuses changes. The password, its session, and what a
 * password costs are the target's own: hashes and stretched keys are made cheap, brokers are not
 * called (see the __wrap_ functions). What must hold for any input:
 *   - what comes back is HTTP with the headers that every answer has, and JSON where it says so;
 *   - without password or session: nothing is asked of the gateway, the settings file stays as it
 *     is, and neither the meter's number nor the device's name is told;
 *   - secrets are never told;
 *   - when the connection is gone, nothing of it is left under way. */
#include "fuzz.h"

#include "clock.h"
#include "mqtt_link.h"
#include "web_inside.h"

#include "hx/gateway.h"

#include "vectors.h"

#include <arpa/inet.h>
#include <crypt.h>
#include <gnutls/crypto.h>
#include <poll.h>
#include <time.h>

#define INPUT_MAX 8192u
#define ANSWER_MAX (1u << 20)
#define IDLE_MS 20 /* for an answer to begin, unless one is worked at */
#define DONE_MS 4  /* then nothing more comes: kept alive, or a stream of events */
#define PASSWORD "only this one 7"
#define CONF                                                                                       \
    "[web]\nusername = bits\npassword_hash = $fuzz$\nlisten = 127.0.0.1\ntls_port = 0\nport = "    \
    "%u\n"                                                                                         \
    "[device]\nname = Hytta 4711\n[mqtt]\npassword = secret-4712\n"

static const uint8_t token[HX_WEB_TOKEN] = "session of fuzz";
static char token_text[2u * HX_WEB_TOKEN + 1u], conf[512], meter_id[HX_TEXT_MAX + 1u];
static struct hx_web *web;
static uint16_t port;
static int dir_fd;
static bool right_password; /* it was looked at */
static unsigned asked;      /* bit per command to the gateway */

/* ---- what would be slow, or leave the machine ---------------------------------------------- */

char *__wrap_crypt_r(const char *key, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *key, const char *setting, struct crypt_data *data)
{
    bool right = strcmp(key, PASSWORD) == 0;

    if (right)
        __atomic_store_n(&right_password, true, __ATOMIC_SEQ_CST);
    (void)snprintf(data->output, sizeof data->output, "%s%s", setting, right ? "" : "x");
    return data->output;
}

int __real_gnutls_pbkdf2(gnutls_mac_algorithm_t mac, const gnutls_datum_t *key,
                         const gnutls_datum_t *salt, unsigned rounds, void *out, size_t len);
int __wrap_gnutls_pbkdf2(gnutls_mac_algorithm_t mac, const gnutls_datum_t *key,
                         const gnutls_datum_t *salt, unsigned rounds, void *out, size_t len);
int __wrap_gnutls_pbkdf2(gnutls_mac_algorithm_t mac, const gnutls_datum_t *key,
                         const gnutls_datum_t *salt, unsigned rounds, void *out, size_t len)
{
    REQUIRE(rounds >= 1 && rounds <= 2000000);
    return __real_gnutls_pbkdf2(mac, key, salt, 1, out, len);
}

void __wrap_hx_mqtt_link_step(struct hx_mqtt_link *l, short revents, uint64_t now_ms);
void __wrap_hx_mqtt_link_step(struct hx_mqtt_link *l, short revents, uint64_t now_ms)
{
    (void)revents;
    (void)now_ms;
    if (strlen(l->config->urls) % 2u == 0)
        l->events->up(l->ctx);
    else
        l->events->down(l->ctx, false);
}

void __wrap_hx_mqtt_link_close(struct hx_mqtt_link *l, bool goodbye, unsigned wait_ms);
void __wrap_hx_mqtt_link_close(struct hx_mqtt_link *l, bool goodbye, unsigned wait_ms)
{
    (void)l;
    (void)goodbye;
    (void)wait_ms;
}

/* ---- the server ---------------------------------------------------------------------------- */

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

/* A meter's telegrams, so that the pages have something to tell. */
static void fill(void)
{
    static struct hx_gateway g;
    uint64_t now_ms = hx_clock_ms();

    hx_gw_init(&g, now_ms);
    g.state.utc_known = true;
    g.state.utc_ms = 1744538405000;
    for (size_t i = 0; i < NORWAY_COUNT; i++) {
        struct hx_span in = norway[i].bytes;
        struct hx_event ev;

        while (in.len > 0) {
            (void)fuzz_take(&in, hx_gw_rx(&g, in, now_ms));
            while (hx_gw_next(&g, &ev))
                if (ev.kind == HX_EV_TELEGRAM || ev.kind == HX_EV_DROPPED)
                    hx_web_telegram(web, &g.state, ev.raw, ev.telegram, ev.err);
            hx_web_post(web, &g.state);
        }
    }
    REQUIRE(g.state.meter.id.len > 0);
    memcpy(meter_id, g.state.meter.id.s, g.state.meter.id.len);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static struct config_source config;
    static struct hx_settings s;
    struct hx_settings_fault fault;
    static char path[96];

    (void)argc;
    (void)argv;
    (void)snprintf(path, sizeof path, "%s/han2x.conf", fuzz_folder());
    dir_fd = fuzz_open_folder();
    port = free_port();
    (void)snprintf(conf, sizeof conf, CONF, port);
    config.path = path;
    hx_settings_init(&s);
    REQUIRE(hx_settings_parse(&s, (struct hx_span){(const uint8_t *)conf, strlen(conf)}, &fault) ==
            HX_OK);
    fuzz_put_file(dir_fd, "han2x.conf", (struct hx_span){(const uint8_t *)conf, strlen(conf)});
    REQUIRE(hx_web_open(&config, &s, fuzz_folder(), &web) == HX_OK);
    fill();
    return 0;
}

static void pause_ms(unsigned ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000L};

    (void)nanosleep(&t, NULL);
}

static bool is_busy(void)
{
    return __atomic_load_n(&web->change.step, __ATOMIC_SEQ_CST) != HX_CHANGE_IDLE ||
           __atomic_load_n(&web->hashing.request, __ATOMIC_SEQ_CST) != NULL ||
           __atomic_load_n(&web->seal.request, __ATOMIC_SEQ_CST) != NULL ||
           __atomic_load_n(&web->mqtt_test.request, __ATOMIC_SEQ_CST) != NULL;
}

/* The gateway thread's part. */
static void obey(bool refuse)
{
    enum hx_web_command c;

    while (hx_web_take(web, &c)) {
        asked |= 1u << c;
        if (c == HX_WEB_RESTART)
            continue; /* asked for, not waited for */
        hx_web_answer(web, c == HX_WEB_FACTORY_RESET ? c : HX_WEB_RELOAD, !refuse,
                      refuse ? "the fuzz target said no" : "");
    }
}

static void settle(bool refuse)
{
    for (unsigned ms = 0; is_busy(); ms++) {
        REQUIRE(ms < 30000);
        pause_ms(1);
        obey(refuse);
    }
    for (unsigned ms = 0; ms < 30; ms++) { /* streams are gone within a second: not waited for */
        if (__atomic_load_n(&web->listener[0].conns, __ATOMIC_SEQ_CST) == 0)
            break;
        pause_ms(1);
        obey(refuse);
    }
}

/* Every input finds the same world. */
static void begin(void)
{
    memset(&web->sessions, 0, sizeof web->sessions);
    memset(&web->backoff, 0, sizeof web->backoff);
    memset(web->cached, 0, sizeof web->cached);
    hx_web_session_begin(&web->sessions, token, hx_clock_ms(), token_text);
    right_password = false;
    asked = 0;
}

/* ---- the client ---------------------------------------------------------------------------- */

static int call(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    REQUIRE(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

static size_t talk(struct hx_span in, bool refuse, char *out)
{
    struct pollfd p[2] = {{.fd = call(), .events = POLLIN},
                          {.fd = hx_web_fd(web), .events = POLLIN}};
    size_t n = 0;
    ssize_t got = 1;

    (void)send(p[0].fd, in.ptr, in.len, MSG_NOSIGNAL); /* it may have hung up */
    while (got > 0 && n < ANSWER_MAX) {
        if (poll(p, 2, n == 0 ? IDLE_MS : DONE_MS) == 0 && !is_busy())
            break;
        obey(refuse);
        if (p[0].revents != 0) {
            got = recv(p[0].fd, out + n, ANSWER_MAX - n, 0);
            n += got > 0 ? (size_t)got : 0;
        }
    }
    (void)close(p[0].fd);
    settle(refuse);
    out[n] = '\0';
    return n;
}

/* ---- what must hold ------------------------------------------------------------------------ */

static bool has(const void *p, size_t n, const char *text)
{
    return memmem(p, n, text, strlen(text)) != NULL;
}

/* The first answer; those behind it begin where only the method tells. */
static void check_answer(const char *p, size_t n, bool head)
{
    const char *body = memmem(p, n, "\r\n\r\n", 4), *length;
    unsigned status = 0;
    size_t len, heads;

    if (n == 0)
        return;
    REQUIRE(sscanf(p, "HTTP/1.%*1[01] %3u ", &status) == 1 && status >= 100 && status <= 599);
    if (body == NULL)
        return; /* cut off: it was dropped */
    heads = (size_t)(body - p) + 2u;
    if (!has(p, heads, "Content-Security-Policy: default-src 'none'"))
        REQUIRE(status == 100 ||
                (status >= 400 && !has(p, heads, "Cache-Control"))); /* library's */
    REQUIRE(status < 500 || status == 501 || status == 503 || status == 505 ||
            (status == 500 && has(p, n, "\"message\":\"nothing was changed: ")));
    length = memmem(p, heads, "Content-Length: ", 16);
    if (head || length == NULL || !has(p, heads, "Content-Type: application/json\r\n"))
        return;
    len = strtoul(length + 16, NULL, 10);
    if (len <= n - heads - 2u) {
        json_t *json = json_loadb(body + 4, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        REQUIRE(json != NULL);
        json_decref(json);
    }
}

/* Not what the client itself said, plainly or in a way of JSON's. */
static bool told(const char *p, size_t n, struct hx_span in, const char *text)
{
    return has(p, n, text) && !has(in.ptr, in.len, text) && !has(in.ptr, in.len, "\\u");
}

static void check_file(bool granted)
{
    char text[sizeof conf] = "";
    int fd = openat(dir_fd, "han2x.conf", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;

    if (fd >= 0)
        (void)close(fd);
    if (n == (ssize_t)strlen(conf) && memcmp(text, conf, (size_t)n) == 0)
        return;
    REQUIRE(granted);
    fuzz_put_file(dir_fd, "han2x.conf", (struct hx_span){(const uint8_t *)conf, strlen(conf)});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answers[ANSWER_MAX + 1u];
    struct hx_span in = {data, size < INPUT_MAX ? size : INPUT_MAX};
    bool refuse = (fuzz_octet(&in) & 1u) != 0, granted;
    size_t n;

    begin();
    n = talk(in, refuse, answers);
    granted = right_password || has(in.ptr, in.len, token_text);
    check_answer(answers, n, has(in.ptr, in.len, "HEAD "));
    REQUIRE(granted || asked == 0);
    REQUIRE(granted || (!told(answers, n, in, meter_id) && !told(answers, n, in, "Hytta 4711")));
    REQUIRE(!told(answers, n, in, "secret-4712") && !told(answers, n, in, "$fuzz$"));
    check_file(granted);
    return 0;
}
