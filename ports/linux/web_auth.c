/* web_auth.c - logins: who may look, who may change, and how long strangers wait.
 * A password is looked at on the worker, one at a time (yescrypt takes 18 ms and 17 MB here), in
 * the order they came; each is judged against the back-off when its turn comes, so that many sent
 * at once gain nothing. */
#include "web_inside.h"

#include "clock.h"
#include "log.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#define FACTORY_PASSWORD "vari" /* device manual, "Innlogging" */
#define NICE 10                 /* hashing gives way to everything else */
#define CACHE_MS 600000u        /* Basic: a script that asks every few minutes is hashed once */

/* --- who --- */

bool hx_web_factory_password(const struct hx_web *w)
{
    return w->settings.text[HX_S_WEB_PASSWORD_HASH][0] == '\0';
}

bool hx_web_read_only(const struct hx_web *w)
{
    return hx_web_factory_password(w) && w->settings.num[HX_S_WEB_FACTORY_LOGIN] == HX_FACTORY_LOOK;
}

static const char *cookie_name(const struct hx_web_request *r)
{
    return r->conn->listener->tls ? HX_WEB_COOKIE_TLS : HX_WEB_COOKIE;
}

static bool by_cookie(struct hx_web_request *r)
{
    const char *cookies = MHD_lookup_connection_value(r->conn->mhd, MHD_HEADER_KIND, "Cookie");
    struct hx_span token;

    if (cookies == NULL)
        return false;
    token = hx_web_cookie(cookies, cookie_name(r));
    if (!hx_web_session_touch(&r->web->sessions, token, hx_clock_ms()))
        return false;
    memcpy(r->token, token.ptr, token.len); /* a token that was found has the right length */
    return true;
}

static void digest(const struct hx_web *w, const struct hx_web_login *l, uint8_t out[32])
{
    uint8_t text[sizeof w->salt + sizeof *l] = {0};

    memcpy(text, w->salt, sizeof w->salt);
    memcpy(text + sizeof w->salt, l->username, strlen(l->username));
    memcpy(text + sizeof w->salt + sizeof l->username, l->password, strlen(l->password));
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, sizeof text, out) < 0)
        memset(out, 0, 32); /* never put in the cache: see cache_put */
    explicit_bzero(text, sizeof text);
}

static bool is_zero(const uint8_t d[32])
{
    unsigned all = 0;

    for (size_t i = 0; i < 32; i++)
        all |= d[i];
    return all == 0;
}

static bool cache_has(struct hx_web *w, const struct hx_web_login *l)
{
    uint64_t now_ms = hx_clock_ms();
    uint8_t d[32];
    bool found = false;

    digest(w, l, d);
    for (size_t i = 0; i < HX_WEB_CACHED; i++) {
        struct hx_web_cached *c = &w->cached[i];

        if (c->until_ms > now_ms && gnutls_memcmp(c->digest, d, sizeof d) == 0 && !is_zero(d)) {
            c->until_ms = now_ms + CACHE_MS;
            found = true;
        }
    }
    return found;
}

static void cache_put(struct hx_web *w, const struct hx_web_login *l)
{
    struct hx_web_cached *oldest = &w->cached[0];

    for (size_t i = 1; i < HX_WEB_CACHED; i++)
        if (w->cached[i].until_ms < oldest->until_ms)
            oldest = &w->cached[i];
    digest(w, l, oldest->digest);
    oldest->until_ms = hx_clock_ms() + CACHE_MS;
}

/* Whoever must wait is not told from the cache either: guesses would cost nothing. */
void hx_web_identify(struct hx_web_request *r)
{
    const char *text = MHD_lookup_connection_value(r->conn->mhd, MHD_HEADER_KIND, "Authorization");

    r->has_login = false;
    r->token[0] = '\0';
    r->logged_in = by_cookie(r);
    if (r->logged_in || text == NULL || hx_web_basic(text, &r->login) != HX_OK)
        return;
    r->has_login = true;
    r->logged_in = hx_web_backoff_wait_ms(&r->web->backoff, r->conn->address, hx_clock_ms()) == 0 &&
                   cache_has(r->web, &r->login);
}

/* --- looking at a password --- */

static bool is_same_text(const char *a, const char *b)
{
    char x[HX_WEB_PASSWORD_MAX + 1u] = {0}, y[HX_WEB_PASSWORD_MAX + 1u] = {0};
    bool same;

    (void)snprintf(x, sizeof x, "%s", a);
    (void)snprintf(y, sizeof y, "%s", b);
    same = gnutls_memcmp(x, y, sizeof x) == 0; /* all octets, whatever they are */
    explicit_bzero(x, sizeof x);
    explicit_bzero(y, sizeof y);
    return same;
}

static void pump(struct hx_web *w);
static void look_at(struct hx_web_request *r);

static void conclude(struct hx_web_request *r, bool good)
{
    struct hx_web *w = r->web;
    uint64_t now_ms = hx_clock_ms();
    struct hx_web_login *login = &r->login;

    good = good && is_same_text(r->login.username, w->settings.text[HX_S_WEB_USERNAME]);
    r->verdict = good ? HX_VERDICT_GOOD : HX_VERDICT_WRONG;
    if (good) {
        hx_web_backoff_good(&w->backoff, r->conn->address, now_ms);
        cache_put(w, &r->login);
        hx_web_record(r, HX_NOTE_LOGIN, "user name and password accepted");
    } else {
        hx_web_backoff_failed(&w->backoff, r->conn->address, now_ms);
        hx_web_record(r, HX_NOTE_LOGIN_FAILED, "wrong user name or password");
        r->wait_s =
            (unsigned)((hx_web_backoff_wait_ms(&w->backoff, r->conn->address, now_ms) + 999u) /
                       1000u);
    }
    r->after(r);
    explicit_bzero(login, sizeof *login);
}

static void hash_run(struct hx_job *job)
{
    struct hx_web_hashing *h = (struct hx_web_hashing *)(void *)job; /* its first member */
    struct crypt_data *data = calloc(1, sizeof *data);               /* 32 kB */
    const char *text = NULL;

    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone: setpriority(2), BUGS */
    if (data != NULL)
        text = crypt_r(h->login.password, h->hash, data);
    h->good = text != NULL && text[0] != '*' && is_same_text(text, h->hash);
    if (data != NULL)
        explicit_bzero(data, sizeof *data);
    free(data);
}

static void hash_done(struct hx_job *job)
{
    struct hx_web_hashing *h = (struct hx_web_hashing *)(void *)job;
    struct hx_web_request *r = h->request;

    explicit_bzero(&h->login, sizeof h->login);
    h->request = NULL;
    if (strcmp(h->hash, h->web->settings.text[HX_S_WEB_PASSWORD_HASH]) == 0)
        conclude(r, h->good);
    else
        look_at(r); /* another password since: this one must not outlive it */
    pump(h->web);
}

static void hash(struct hx_web_request *r)
{
    struct hx_web *w = r->web;

    w->hashing.request = r;
    w->hashing.login = r->login;
    w->hashing.good = false;
    memcpy(w->hashing.hash, w->settings.text[HX_S_WEB_PASSWORD_HASH], sizeof w->hashing.hash);
    (void)hx_worker_submit(&w->fast, &w->hashing.job); /* idle: that is why we are here */
}

/* Its turn has come. */
static void look_at(struct hx_web_request *r)
{
    struct hx_web *w = r->web;
    uint64_t wait_ms = hx_web_backoff_wait_ms(&w->backoff, r->conn->address, hx_clock_ms());

    if (wait_ms != 0) {
        r->verdict = HX_VERDICT_WAIT;
        r->wait_s = (unsigned)((wait_ms + 999u) / 1000u);
        r->after(r);
    } else if (cache_has(w, &r->login)) { /* somebody before it in the queue was the same */
        r->verdict = HX_VERDICT_GOOD;
        r->after(r);
    } else if (hx_web_factory_password(w)) {
        conclude(r, is_same_text(r->login.password, FACTORY_PASSWORD));
    } else {
        hash(r);
    }
}

static void pump(struct hx_web *w)
{
    while (w->hashing.request == NULL && w->waiting != NULL) {
        struct hx_web_request *r = w->waiting;

        w->waiting = r->next;
        w->waiting_count--;
        look_at(r);
    }
}

void hx_web_verify(struct hx_web_request *r, void (*after)(struct hx_web_request *r))
{
    struct hx_web *w = r->web;
    struct hx_web_request **last = &w->waiting;

    r->after = after;
    r->next = NULL;
    if (w->waiting_count >= HX_WEB_WAITING) {
        r->verdict = HX_VERDICT_BUSY;
        after(r);
        return;
    }
    while (*last != NULL)
        last = &(*last)->next;
    *last = r;
    w->waiting_count++;
    pump(w);
}

void hx_web_answer_verdict(struct hx_web_request *r)
{
    r->retry_s = r->wait_s;
    if (r->verdict == HX_VERDICT_WAIT) {
        hx_web_fail(r, 429, "too_many_attempts",
                    "too many failed logins; the next one is looked at in %u s", r->wait_s);
    } else if (r->verdict == HX_VERDICT_BUSY) {
        r->retry_s = 1;
        hx_web_fail(r, 503, "busy", "too many logins at once; try again in a second");
    } else if (r->wait_s != 0) {
        hx_web_fail(r, 401, "unauthorized",
                    "wrong user name or password; the next try is looked at in %u s", r->wait_s);
    } else {
        r->challenge = r->has_login;
        hx_web_fail(r, 401, "unauthorized", "wrong user name or password");
    }
}

/* --- sessions --- */

void hx_web_log_in(struct hx_web_request *r)
{
    uint8_t random[HX_WEB_TOKEN];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        hx_log(HX_LOG_ERROR, "no random numbers: nobody can log in");
        return; /* no cookie: the next request is a stranger's */
    }
    hx_web_session_begin(&r->web->sessions, random, hx_clock_ms(), r->token);
    (void)snprintf(r->cookie, sizeof r->cookie,
                   "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000%s", cookie_name(r),
                   r->token, r->conn->listener->tls ? "; Secure" : "");
}

void hx_web_forget_logins(struct hx_web *w)
{
    hx_web_session_end_all(&w->sessions);
    explicit_bzero(w->cached, sizeof w->cached);
    hx_web_events_end(w, NULL);
}

enum hx_err hx_web_hash_new(const char *password, char out[HX_SETTING_TEXT_MAX + 1u])
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *text = NULL;
    enum hx_err err = HX_E_IO;

    if (data != NULL && crypt_gensalt_rn("$y$", 0, NULL, 0, salt, (int)sizeof salt) != NULL)
        text = crypt_r(password, salt, data);
    if (text != NULL && text[0] != '*' && strlen(text) <= HX_SETTING_TEXT_MAX) {
        memcpy(out, text, strlen(text) + 1u);
        err = HX_OK;
    }
    if (data != NULL)
        explicit_bzero(data, sizeof *data);
    free(data);
    return err;
}

void hx_web_auth_init(struct hx_web *w)
{
    w->hashing.web = w;
    w->hashing.job.run = hash_run;
    w->hashing.job.done = hash_done;
    if (getrandom(w->salt, sizeof w->salt, 0) != (ssize_t)sizeof w->salt)
        memset(w->salt, 0x5A, sizeof w->salt); /* the salt only keeps digests of one run apart */
}
