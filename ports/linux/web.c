/* web.c - the web thread, and what the gateway thread hands to it: see web.h. */
#include "web.h"

#include "clock.h"
#include "log.h"
#include "thread.h"
#include "web_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NAMES_MS 10000u /* a new address shows in the certificate after this */
#define CERTIFICATE_MS (3600u * 1000u)
#define NICE 5 /* below the gateway thread where the processor is short */
#define WORKER_WAIT_MS 200u

/* --- gateway thread --- */

static void lock(struct hx_web *w)
{
    (void)pthread_mutex_lock(&w->lock); /* our own, healthy lock: cannot fail */
}

static void unlock(struct hx_web *w)
{
    (void)pthread_mutex_unlock(&w->lock);
}

void hx_web_attach(struct hx_web *w, struct hx_network *network, struct hx_mdns *mdns)
{
    lock(w);
    w->network = network;
    w->mdns = mdns;
    unlock(w);
}

void hx_web_post(struct hx_web *w, const struct hx_state *s)
{
    hx_mailbox_post(&w->mailbox, s, false);
}

void hx_web_telegram(struct hx_web *w, const struct hx_state *s, struct hx_span raw,
                     const struct hx_telegram *t, enum hx_err err)
{
    struct hx_web_entry *e;

    lock(w);
    e = &w->ring[w->telegrams % HX_WEB_TELEGRAMS];
    e->number = ++w->telegrams;
    e->at_ms = s->now_ms;
    e->utc_ms = s->utc_known ? s->utc_ms : 0;
    e->err = err;
    e->len = raw.len;
    memcpy(e->raw, raw.ptr, raw.len < HX_WEB_RAW ? raw.len : HX_WEB_RAW);
    e->decoded = t != NULL;
    if (t != NULL)
        e->telegram = *t;
    unlock(w);
}

bool hx_web_wants_peers(const struct hx_web *w)
{
    return hx_clock_ms() < w->peers_until_ms;
}

void hx_web_set_figures(struct hx_web *w, const struct hx_web_figures *f)
{
    lock(w);
    w->figures = *f;
    unlock(w);
}

void hx_web_set_settings(struct hx_web *w, const struct hx_settings *s)
{
    lock(w);
    w->posted = *s;
    w->posted_new = true;
    unlock(w);
    hx_mailbox_wake(&w->mailbox);
}

void hx_web_note(struct hx_web *w, enum hx_note note, const char *from, const char *text)
{
    struct hx_web_pending_note *n;

    lock(w);
    if (w->notes < HX_WEB_NOTES) { /* else the web thread hangs: the log on stderr has it */
        n = &w->note[w->notes++];
        n->note = note;
        (void)snprintf(n->from, sizeof n->from, "%s", from);
        (void)snprintf(n->text, sizeof n->text, "%s", text);
    }
    unlock(w);
    hx_mailbox_wake(&w->mailbox);
}

int hx_web_fd(const struct hx_web *w)
{
    return w->command_fd;
}

bool hx_web_take(struct hx_web *w, enum hx_web_command *out)
{
    uint64_t count;
    bool any;

    lock(w);
    any = w->commands != 0;
    if (any) {
        *out = w->command[0];
        w->commands--;
        memmove(w->command, w->command + 1, w->commands * sizeof *w->command);
    }
    unlock(w);
    if (!any && read(w->command_fd, &count, sizeof count) != (ssize_t)sizeof count)
        return false; /* nothing was written */
    return any;
}

void hx_web_answer(struct hx_web *w, enum hx_web_command c, bool ok, const char *why)
{
    struct hx_web_answer *a = &w->answer[c];

    lock(w);
    a->given = true;
    a->ok = ok;
    (void)snprintf(a->why, sizeof a->why, "%s", why);
    unlock(w);
    hx_mailbox_wake(&w->mailbox);
}

/* --- web thread: mail --- */

static void take_notes(struct hx_web *w)
{
    int64_t utc_ms = hx_clock_utc_ms();
    struct hx_web_pending_note n;

    for (;;) {
        bool any;

        lock(w);
        any = w->notes != 0;
        if (any) {
            n = w->note[0];
            w->notes--;
            memmove(w->note, w->note + 1, w->notes * sizeof *w->note);
        }
        unlock(w);
        if (!any)
            return;
        hx_audit_add(&w->audit, n.note, utc_ms >= HX_CLOCK_KNOWN_MS ? utc_ms : 0, n.from, n.text);
    }
}

static bool is_other(const struct hx_settings *a, const struct hx_settings *b,
                     enum hx_setting_id id)
{
    return hx_web_setting_differs(a, b, id);
}

/* @return true when there were new settings. */
static bool take_settings(struct hx_web *w)
{
    struct hx_settings *old = malloc(sizeof *old);
    bool any, cert;

    if (old == NULL)
        return false; /* the next wake-up tries again */
    *old = w->settings;
    lock(w);
    any = w->posted_new;
    if (any)
        w->settings = w->posted;
    w->posted_new = false;
    unlock(w);
    cert = is_other(old, &w->settings, HX_S_WEB_TLS_CERT) ||
           is_other(old, &w->settings, HX_S_WEB_TLS_KEY);
    if (any) {
        hx_web_fixed_find(w->config, &w->settings, &w->fixed);
        /* by the page itself: its own sessions are dealt with where the answer is made */
        if (w->change.step == HX_CHANGE_IDLE &&
            (is_other(old, &w->settings, HX_S_WEB_USERNAME) ||
             is_other(old, &w->settings, HX_S_WEB_PASSWORD_HASH)))
            hx_web_forget_logins(w);
        if (cert)
            hx_web_new_certificate(w);
        hx_web_listen(w);
    }
    explicit_bzero(old, sizeof *old);
    free(old);
    return any;
}

/* The factor that counts may have been written over Modbus: it is what pages show and change. */
static void take_scale(struct hx_web *w)
{
    if (w->state != &w->blank && !w->fixed.is[HX_S_DEVICE_SCALE])
        w->settings.num[HX_S_DEVICE_SCALE] = w->state->scale;
}

/* The gateway thread gives an answer after the settings and the state that it tells of: what was
 * answered is collected before these are looked at, and put to use after. */
static void collect_answers(struct hx_web *w, struct hx_web_answer answer[HX_WEB_COMMAND_COUNT])
{
    lock(w);
    for (size_t i = 0; i < HX_WEB_COMMAND_COUNT; i++) {
        answer[i] = w->answer[i];
        w->answer[i].given = false;
    }
    unlock(w);
}

static void use_answers(struct hx_web *w, const struct hx_web_answer answer[HX_WEB_COMMAND_COUNT])
{
    if (answer[HX_WEB_RELOAD].given)
        hx_web_change_answer(w, answer[HX_WEB_RELOAD].ok, answer[HX_WEB_RELOAD].why);
    if (answer[HX_WEB_FACTORY_RESET].given)
        hx_web_reset_answer(w, answer[HX_WEB_FACTORY_RESET].ok, answer[HX_WEB_FACTORY_RESET].why);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct hx_web *w = arg;
    struct hx_web_answer answer[HX_WEB_COMMAND_COUNT];
    const struct hx_state *s;
    bool stop;

    (void)fd;
    (void)what;
    hx_mailbox_woken(&w->mailbox);
    lock(w);
    stop = w->stop;
    unlock(w);
    collect_answers(w, answer);
    if (stop) {
        use_answers(w, answer); /* of a reset: it is why we stop */
        hx_web_flush(w);
        (void)event_base_loopbreak(w->base); /* cannot fail on a base that runs */
        return;
    }
    s = hx_mailbox_newest(&w->mailbox);
    if (s != NULL) {
        w->state = s;
        hx_history_add(&w->history, s);
        hx_web_events_post(w, hx_clock_ms());
    }
    (void)take_settings(w);
    take_scale(w);
    use_answers(w, answer);
    take_notes(w);
}

/* --- web thread: time --- */

/* Addresses come and go with DHCP: the certificate follows, once they have settled. */
static void look_at_names(struct hx_web *w, uint64_t now_ms)
{
    struct hx_web_names names;

    if (now_ms - w->names_ms < NAMES_MS)
        return;
    w->names_ms = now_ms;
    hx_web_names_find(w->settings.text[HX_S_NETWORK_HOSTNAME], &names);
    if (hx_web_names_same(&names, &w->names))
        return;
    w->names = names;
    if (w->tls.own)
        hx_web_new_certificate(w);
}

/* Its end comes while the program runs, and the clock may be known only some time after the start.
 */
static void look_at_certificate(struct hx_web *w, uint64_t now_ms)
{
    int64_t utc_ms = hx_clock_utc_ms();

    if (now_ms - w->certificate_ms < CERTIFICATE_MS)
        return;
    w->certificate_ms = now_ms;
    if (hx_web_tls_is_due(&w->tls, &w->names, utc_ms >= HX_CLOCK_KNOWN_MS ? utc_ms / 1000 : 0))
        hx_web_new_certificate(w);
}

/* Something was resumed, or the library has more to do than it does in one turn. */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct hx_web *w = arg;

    (void)fd;
    (void)what;
    hx_web_turn(w);
}

/* A timer of its own, so that no traffic can put it off. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct hx_web *w = arg;
    uint64_t now_ms = hx_clock_ms();

    (void)fd;
    (void)what;
    look_at_names(w, now_ms);
    look_at_certificate(w, now_ms);
    hx_web_events_post(w, now_ms);
    hx_web_events_tick(w, now_ms);
    hx_web_listen_tick(w, now_ms);
    hx_web_turn(w);
}

/* --- start and end --- */

static void *run(void *arg)
{
    struct hx_web *w = arg;

    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone: setpriority(2), BUGS */
    if (event_base_dispatch(w->base) < 0)
        hx_log(HX_LOG_ERROR, "the web thread's loop failed: %s", strerror(errno));
    return NULL;
}

static bool open_base(struct hx_web *w)
{
    const struct timeval now = {0}, second = {.tv_sec = 1};
    struct event_config *c = event_config_new();

    if (c != NULL && event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK) == 0)
        w->base = event_base_new_with_config(c);
    if (c != NULL)
        event_config_free(c);
    if (w->base == NULL)
        return false;
    w->mail = event_new(w->base, w->mailbox.fd, EV_READ | EV_PERSIST, on_mail, w);
    w->again = evtimer_new(w->base, on_again, w);
    w->tick = event_new(w->base, -1, EV_PERSIST, on_tick, w);
    return w->mail != NULL && w->again != NULL && w->tick != NULL &&
           event_add(w->mail, NULL) == 0 && event_add(w->again, &now) == 0 &&
           event_add(w->tick, &second) == 0;
}

static enum hx_err open_all(struct hx_web *w)
{
    if (hx_mailbox_open(&w->mailbox) != HX_OK)
        return HX_E_IO;
    w->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->command_fd < 0 || !open_base(w))
        return HX_E_IO;
    w->fast_open = hx_worker_open(&w->fast, w->base) == HX_OK;
    w->slow_open = w->fast_open && hx_worker_open(&w->slow, w->base) == HX_OK;
    if (!w->slow_open)
        return HX_E_IO;
    hx_web_auth_init(w);
    hx_web_change_init(w);
    hx_web_mqtt_test_init(w);
    hx_audit_open(&w->audit, w->state_dir);
    hx_web_fixed_find(w->config, &w->settings, &w->fixed);
    hx_web_names_find(w->settings.text[HX_S_NETWORK_HOSTNAME], &w->names);
    w->names_ms = w->listen_ms = w->certificate_ms = hx_clock_ms();
    hx_web_listen(w);
    return pthread_create(&w->thread, NULL, run, w) == 0 ? HX_OK : HX_E_IO;
}

/* @return false when a job still runs. */
static bool close_all(struct hx_web *w, unsigned wait_ms)
{
    if (w->slow_open && !hx_worker_close(&w->slow, wait_ms))
        return false;
    if (w->fast_open && !hx_worker_close(&w->fast, wait_ms))
        return false;
    if (w->base != NULL)
        hx_web_listen_close(w);
    hx_web_events_close(w);
    hx_audit_close(&w->audit);
    if (w->mail != NULL)
        event_free(w->mail);
    if (w->again != NULL)
        event_free(w->again);
    if (w->tick != NULL)
        event_free(w->tick);
    if (w->base != NULL)
        event_base_free(w->base);
    if (w->command_fd >= 0)
        (void)close(w->command_fd); /* an eventfd has nothing to lose */
    hx_mailbox_close(&w->mailbox);
    (void)pthread_mutex_destroy(&w->lock);
    explicit_bzero(&w->settings, sizeof w->settings);
    explicit_bzero(&w->posted, sizeof w->posted);
    free(w);
    return true;
}

enum hx_err hx_web_open(const struct config_source *config, const struct hx_settings *settings,
                        const char *state_dir, struct hx_web **out)
{
    struct hx_web *w = calloc(1, sizeof *w);

    if (w == NULL) {
        hx_log(HX_LOG_ERROR, "out of memory");
        return HX_E_IO;
    }
    w->config = config;
    w->settings = *settings;
    w->state_dir = state_dir;
    w->command_fd = w->mailbox.fd = w->audit.fd = -1;
    w->blank.scale = HX_SCALE_DEFAULT;
    w->blank.started_ms = w->blank.now_ms = hx_clock_ms();
    w->state = &w->blank;
    for (size_t i = 0; i < HX_WEB_LISTENERS; i++)
        w->listener[i].fd = -1;
    if (pthread_mutex_init(&w->lock, NULL) == 0 && open_all(w) == HX_OK) {
        *out = w;
        return HX_OK;
    }
    hx_log(HX_LOG_ERROR, "the web server cannot start: %s", strerror(errno));
    (void)close_all(w, WORKER_WAIT_MS); /* no job was begun */
    return HX_E_IO;
}

bool hx_web_close(struct hx_web *w, unsigned wait_ms)
{
    lock(w);
    w->stop = true;
    unlock(w);
    hx_mailbox_wake(&w->mailbox);
    return hx_thread_join(w->thread, wait_ms) && close_all(w, wait_ms);
}
