/* source_serial.c - a meter on a tty: plugged in, unplugged, with speed and parity to be found.
 *
 *   WAIT ─ device is there ─▶ OPEN ─ hang-up ─▶ WAIT     (tried again at each tick, once a second)
 *   auto: OPEN ─ nothing to be had from this one ─▶ the next adapter */
#include "clock.h"
#include "log.h"
#include "probe.h"
#include "source.h"
#include "unmark.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_MAX 1024u
/* Auto: how long one adapter is listened to. A list comes at least every 10 s. */
#define SILENT_MS 15000u
/* Auto: an adapter that had a meter is left when it has been without for so long. */
#define LOST_MS 600000u

struct serial {
    struct hx_source *source;
    bool scan; /* auto */
    int fd;    /* -1: waiting */
    struct event *event;
    struct hx_probe probe;
    struct hx_unmark unmark;
    struct hx_log_limit try_log;
    bool was_open;  /* for the words in the log */
    bool denied;    /* no permission once: udev sets it a moment after the name is there */
    bool had_good;  /* auto: the present adapter has a meter */
    bool good_gone; /* auto: good_path was unplugged */
    int told;       /* errno that was last logged; 0 none */
    uint64_t open_ms, byte_ms, good_ms;
    bool any_byte;
    char path[HX_SOURCE_TEXT_MAX];      /* auto: the adapter in use or last tried; "" none yet */
    char good_path[HX_SOURCE_TEXT_MAX]; /* auto: the adapter that had a meter last */
};

static void close_fd(struct serial *s)
{
    if (s->event != NULL)
        event_free(s->event);
    s->event = NULL;
    if (s->fd >= 0)
        (void)close(s->fd); /* at once, or the adapter comes back under another name */
    s->fd = -1;
}

static void apply_line(struct serial *s)
{
    const struct hx_line *line = hx_probe_line(&s->probe);
    char text[24];

    if (hx_tty_set(s->fd, line) != HX_OK)
        hx_log(HX_LOG_WARNING, "meter line %s: cannot set %s: %s", s->path,
               hx_line_text(line, text), strerror(errno));
    else
        hx_log_limited(&s->try_log, hx_clock_ms(), HX_LOG_INFO,
                       "meter line %s: no good frame so far, trying %s", s->path,
                       hx_line_text(line, text));
    s->unmark = (struct hx_unmark){0};
}

/* One run of octets; the last of them is damaged when @p error. */
static void deliver(struct serial *s, struct hx_span run, bool error)
{
    const struct hx_source_env *env = &s->source->env;

    if (error) {
        env->rx(env->ctx, (struct hx_span){run.ptr, run.len - 1u});
        env->line_error(env->ctx);
        run = (struct hx_span){run.ptr + run.len - 1u, 1};
    }
    env->rx(env->ctx, run);
}

static void take(struct serial *s, struct hx_span in, uint64_t now_ms)
{
    while (in.len != 0) {
        uint8_t out[READ_MAX + 1u];
        size_t used, len;
        bool error = hx_unmark_next(&s->unmark, in, &used, out, &len);

        hx_probe_rx(&s->probe, (uint32_t)len, error ? 1 : 0, now_ms);
        if (len != 0)
            deliver(s, (struct hx_span){out, len}, error);
        in = (struct hx_span){in.ptr + used, in.len - used};
    }
    s->any_byte = true;
    s->byte_ms = now_ms;
    if (hx_probe_step(&s->probe, now_ms))
        apply_line(s);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct serial *s = arg;
    uint8_t in[READ_MAX];
    ssize_t n = read(fd, in, sizeof in);

    (void)what;
    if (n > 0) {
        take(s, (struct hx_span){in, (size_t)n}, hx_clock_ms());
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    hx_log(HX_LOG_WARNING, "meter line %s: unplugged; waiting for it to come back", s->path);
    s->told = ENOENT; /* said */
    s->good_gone = s->good_gone || s->had_good;
    s->had_good = false;
    close_fd(s);
}

static void log_open(struct serial *s)
{
    char text[24];

    hx_log(HX_LOG_NOTICE, "meter line %s: %s, %s", s->path, s->was_open ? "open again" : "open",
           hx_line_text(hx_probe_line(&s->probe), text));
}

static bool open_path(struct serial *s, uint64_t now_ms)
{
    const struct hx_source_env *env = &s->source->env;
    char text[96];

    if (hx_tty_open(s->path, hx_probe_line(&s->probe), &s->fd) != HX_OK) {
        bool wait = errno == EACCES && s->was_open && !s->denied;

        s->denied = errno == EACCES;
        if (!wait && errno != s->told)
            hx_log(HX_LOG_WARNING, "meter line %s: %s", s->path,
                   hx_tty_advice(errno, text, sizeof text));
        s->told = wait ? s->told : errno;
        return false;
    }
    hx_tty_low_latency(s->fd);
    s->event = event_new(env->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    if (s->event == NULL || event_add(s->event, NULL) != 0) {
        close_fd(s);
        return false;
    }
    s->unmark = (struct hx_unmark){0};
    hx_probe_restart(&s->probe);
    log_open(s);
    s->was_open = true;
    s->told = 0;
    s->denied = false;
    s->any_byte = false;
    s->open_ms = now_ms;
    return true;
}

/* --- auto --- */

static bool is_usable(const struct serial *s, const char *path)
{
    const char *reserved = s->source->config.reserved;

    return strlen(path) < sizeof s->path && (*reserved == '\0' || !hx_tty_is_same(path, reserved));
}

static bool is_repeated(char *const *paths, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (hx_tty_is_same(paths[k], paths[i]))
            return true; /* a by-id name of it came before */
    return false;
}

/* USB adapters only, by lasting names first: a machine's own UARTs may carry its console or its
 * radio, so those are named in the setting. */
static size_t find_adapters(glob_t *g)
{
    static const char *const patterns[] = {"/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*"};

    memset(g, 0, sizeof *g);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        (void)glob(patterns[i], i != 0 ? GLOB_APPEND : 0, NULL, g); /* no match is no error */
    return g->gl_pathc;
}

/* @return the adapter after s->path, round and round; NULL when there is none. */
static const char *next_adapter(const struct serial *s, const glob_t *g, size_t count)
{
    const char *first = NULL;
    bool passed = false;

    for (size_t i = 0; i < count; i++) {
        const char *path = g->gl_pathv[i];

        if (!is_usable(s, path) || is_repeated(g->gl_pathv, i))
            continue;
        if (passed)
            return path;
        if (first == NULL)
            first = path;
        passed = strcmp(path, s->path) == 0;
    }
    return first;
}

static void reset_probe(struct serial *s)
{
    const struct hx_source_config *c = &s->source->config;

    hx_probe_init(&s->probe, c->baud, c->parity);
}

/* The adapter that had a meter goes before all others when it comes back.
 * @return true when it is open, or will be at a next tick. */
static bool take_back(struct serial *s, uint64_t now_ms)
{
    if (!s->good_gone || access(s->good_path, F_OK) != 0)
        return false;
    close_fd(s);
    memcpy(s->path, s->good_path, sizeof s->path);
    s->was_open = true;
    s->had_good = true;
    s->good_ms = now_ms;
    s->good_gone = !open_path(s, now_ms);
    return true;
}

static void open_next(struct serial *s, uint64_t now_ms)
{
    glob_t g;
    const char *path = next_adapter(s, &g, find_adapters(&g));

    if (path == NULL) {
        if (s->told != ENODEV)
            hx_log(HX_LOG_WARNING, "meter.source auto: no USB serial adapter is plugged in; "
                                   "waiting for one");
        s->told = ENODEV;
    } else if (s->fd < 0 || strcmp(path, s->path) != 0) {
        bool other = strcmp(path, s->path) != 0;

        close_fd(s);
        if (other) {
            s->was_open = false;
            s->told = s->told == ENODEV ? 0 : s->told;
            memcpy(s->path, path, strlen(path) + 1u);
        }
        s->had_good = false;
        reset_probe(s);
        (void)open_path(s, now_ms); /* fails: logged, the next tick takes the next one */
    } else {
        s->open_ms = now_ms; /* there is no other: stay, look again later */
        s->any_byte = false;
    }
    globfree(&g);
}

static bool is_fruitless(const struct serial *s, uint64_t now_ms)
{
    if (s->had_good)
        return now_ms - s->good_ms >= LOST_MS;
    if (!s->any_byte)
        return now_ms - s->open_ms >= SILENT_MS;
    return hx_probe_is_exhausted(&s->probe) || now_ms - s->byte_ms >= SILENT_MS;
}

/* --- the kind --- */

static void tick(void *impl, uint64_t now_ms)
{
    struct serial *s = impl;

    if (s->scan) {
        if (take_back(s, now_ms))
            return;
        if (s->fd < 0 || is_fruitless(s, now_ms)) {
            open_next(s, now_ms);
            return;
        }
    } else if (s->fd < 0) {
        (void)open_path(s, now_ms); /* fails: logged, tried again at the next tick */
        return;
    }
    if (hx_probe_step(&s->probe, now_ms))
        apply_line(s);
}

static void good(void *impl, uint64_t now_ms)
{
    struct serial *s = impl;
    char text[24];

    if (hx_probe_good(&s->probe))
        hx_log(HX_LOG_NOTICE, "meter line %s: good frames at %s", s->path,
               hx_line_text(hx_probe_line(&s->probe), text));
    s->had_good = true;
    s->good_gone = false;
    s->good_ms = now_ms;
    memcpy(s->good_path, s->path, sizeof s->good_path);
}

static void *open_serial(struct hx_source *source, const char *path)
{
    struct serial *s = calloc(1, sizeof *s);

    if (s == NULL || strlen(path) >= sizeof s->path) {
        hx_log(HX_LOG_ERROR, "meter.source: out of memory");
        free(s);
        return NULL;
    }
    s->source = source;
    s->fd = -1;
    s->scan = strcmp(source->config.text, "auto") == 0;
    memcpy(s->path, path, strlen(path) + 1u);
    reset_probe(s);
    tick(s, hx_clock_ms());
    return s;
}

static void close_serial(void *impl)
{
    close_fd(impl);
    free(impl);
}

const struct hx_source_kind hx_source_serial = {
    .prefix = "serial:", .open = open_serial, .tick = tick, .good = good, .close = close_serial};
const struct hx_source_kind hx_source_auto = {.prefix = "auto",
                                              .whole = true,
                                              .open = open_serial,
                                              .tick = tick,
                                              .good = good,
                                              .close = close_serial};
