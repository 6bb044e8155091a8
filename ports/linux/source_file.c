/* source_file.c - telegrams that do not come from a meter's line: a recording at line speed,
 * standard input as it comes, and the simulator. */
#include "clock.h"
#include "hex_text.h"
#include "log.h"
#include "sim.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX 1024u
/* 2400 baud 8N1 is 240 octets a second: reference for both replay numbers. */
#define PACE_MS 100u
#define PACE_OCTETS 24u

/* --- octets from a descriptor, raw or as hex text --- */

struct stream {
    struct hx_source *source;
    struct event *event;
    int fd;
    bool paced; /* line speed by a timer; else as it comes */
    bool told;  /* complained about the text */
    uint64_t octets;
    struct hex_text text;
    size_t at, have; /* octets of buf that are given out, and that are there */
    uint8_t buf[READ_MAX + HEX_TEXT_HELD_MAX];
    char name[HX_SOURCE_TEXT_MAX];
};

enum more { MORE_OCTETS, MORE_LATER, MORE_NEVER };

/* Read and decode; s->buf must be used up. MORE_OCTETS: there are some in it now. */
static enum more fill(struct stream *s)
{
    struct hx_wr out = {.ptr = s->buf, .cap = sizeof s->buf};
    uint8_t in[READ_MAX];
    ssize_t n = read(s->fd, in, sizeof in);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return MORE_LATER;
    if (n < 0)
        hx_log(HX_LOG_WARNING, "meter %s: %s", s->name, strerror(errno));
    if (n > 0)
        hex_text_feed(&s->text, (struct hx_span){in, (size_t)n}, &out);
    else
        hex_text_end(&s->text, &out);
    if (s->text.faults != 0 && !s->told) {
        hx_log(HX_LOG_WARNING, "meter %s: line %u is not hex text; what is not is passed over",
               s->name, s->text.fault_line);
        s->told = true;
    }
    s->at = 0;
    s->have = out.len;
    if (out.len != 0)
        return MORE_OCTETS; /* at the end: asked again, and then there is nothing */
    return n > 0 ? MORE_LATER : MORE_NEVER;
}

static void end(struct stream *s)
{
    hx_log(HX_LOG_NOTICE, "meter %s: ended after %" PRIu64 " octets", s->name, s->octets);
    event_free(s->event);
    s->event = NULL;
}

/* Give out what there is, at most @p max octets. */
static void give(struct stream *s, size_t max)
{
    size_t n = s->have - s->at < max ? s->have - s->at : max;

    s->at += n;
    s->octets += n;
    s->source->env.rx(s->source->env.ctx, (struct hx_span){s->buf + s->at - n, n});
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;
    enum more more = s->at < s->have ? MORE_OCTETS : fill(s);

    (void)fd;
    (void)what;
    if (more == MORE_OCTETS)
        give(s, s->paced ? PACE_OCTETS : sizeof s->buf);
    else if (more == MORE_NEVER)
        end(s);
}

static enum hx_err start(struct stream *s)
{
    const struct timeval pace = {.tv_usec = PACE_MS * 1000};
    struct event_base *base = s->source->env.base;

    if (s->paced)
        s->event = event_new(base, -1, EV_PERSIST, on_more, s);
    else
        s->event = event_new(base, s->fd, EV_READ | EV_PERSIST, on_more, s);
    if (s->event == NULL || event_add(s->event, s->paced ? &pace : NULL) != 0) {
        hx_log(HX_LOG_ERROR, "meter %s: cannot be waited for", s->name);
        return HX_E_IO;
    }
    return HX_OK;
}

static void close_stream(void *impl)
{
    struct stream *s = impl;

    if (s->event != NULL)
        event_free(s->event);
    if (s->fd > STDIN_FILENO)
        (void)close(s->fd); /* only read */
    free(s);
}

static void *open_stream(struct hx_source *source, const char *name, int fd)
{
    struct stream *s = calloc(1, sizeof *s);
    struct stat st;

    /* Standard input stays blocking, for it may be shared with a shell: when the loop says that
     * there is something, a read takes that and returns. */
    if (s == NULL || fstat(fd, &st) != 0) {
        hx_log(HX_LOG_ERROR, "meter %s: %s", name, strerror(errno));
        free(s);
        return NULL;
    }
    s->source = source;
    s->fd = fd;
    hex_text_init(&s->text);
    /* epoll knows neither files nor /dev/null: those are read by the clock. */
    s->paced = fd != STDIN_FILENO || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(fd));
    memcpy(s->name, name, strlen(name) + 1u); /* meter.source or "stdin": fits */
    if (start(s) == HX_OK)
        return s;
    s->fd = -1; /* the caller's again */
    close_stream(s);
    return NULL;
}

static void *open_file(struct hx_source *source, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    void *impl = NULL;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        (void)close(fd); /* only opened */
        fd = -1;
        errno = EISDIR;
    }
    if (fd < 0) {
        hx_log(HX_LOG_ERROR,
               "meter.source: cannot read %s: %s; name a file with telegrams, raw or "
               "as hex text",
               path, strerror(errno));
        return NULL;
    }
    impl = open_stream(source, source->config.text, fd);
    if (impl == NULL)
        (void)close(fd); /* only opened */
    return impl;
}

static void *open_stdin(struct hx_source *source, const char *rest)
{
    (void)rest;
    return open_stream(source, "stdin", STDIN_FILENO);
}

const struct hx_source_kind hx_source_file = {
    .prefix = "file:", .open = open_file, .close = close_stream};
const struct hx_source_kind hx_source_stdin = {
    .prefix = "stdin", .whole = true, .open = open_stdin, .close = close_stream};

/* --- simulator --- */

struct simulated {
    struct hx_source *source;
    struct event *event;
    uint64_t due_ms; /* of the next telegram */
    struct hx_sim sim;
};

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct simulated *s = arg;
    struct hx_sim_telegram t;
    uint64_t now_ms = hx_clock_ms(), wait_ms;
    struct timeval wait;

    (void)fd;
    (void)what;
    hx_sim_next(&s->sim, &t);
    s->due_ms += t.wait_ms;
    if (s->due_ms < now_ms) /* the machine slept: go on from now, do not catch up in a burst */
        s->due_ms = now_ms;
    wait_ms = s->due_ms - now_ms;
    wait = (struct timeval){.tv_sec = (time_t)(wait_ms / 1000u),
                            .tv_usec = (suseconds_t)(wait_ms % 1000u) * 1000};
    (void)event_add(s->event, &wait); /* it was added before: no memory is needed */
    s->source->env.rx(s->source->env.ctx, t.bytes);
}

static enum hx_maker maker_of(const char *name)
{
    static const enum hx_maker makers[] = {HX_MAKER_AIDON, HX_MAKER_KAIFA, HX_MAKER_KAMSTRUP};

    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++)
        if (strcmp(hx_maker_name(makers[i]), name) == 0)
            return makers[i];
    return HX_MAKER_NONE;
}

static void close_sim(void *impl)
{
    struct simulated *s = impl;

    if (s->event != NULL)
        event_free(s->event);
    free(s);
}

static void *open_sim(struct hx_source *source, const char *name)
{
    const struct timeval now = {0};
    struct simulated *s = calloc(1, sizeof *s);
    int64_t utc_ms = hx_clock_utc_ms();
    /* Always the same household: a new meter id at each start would be a new meter. */
    struct hx_sim_config c = {.maker = maker_of(name), .grid = HX_GRID_4WIRE, .seed = 1};

    c.start_utc_s = (utc_ms >= HX_CLOCK_KNOWN_MS ? utc_ms : HX_CLOCK_KNOWN_MS) / 1000;
    if (s == NULL || hx_sim_init(&s->sim, &c) != HX_OK) {
        hx_log(HX_LOG_ERROR, "meter.source: sim:%s is none of sim:aidon, sim:kaifa, sim:kamstrup",
               name);
        free(s);
        return NULL;
    }
    s->source = source;
    s->due_ms = hx_clock_ms();
    s->event = evtimer_new(source->env.base, on_due, s);
    if (s->event == NULL || event_add(s->event, &now) != 0) {
        hx_log(HX_LOG_ERROR, "meter.source: out of memory");
        close_sim(s);
        return NULL;
    }
    hx_log(HX_LOG_WARNING, "meter sim:%s: the values are SIMULATED, no meter is read", name);
    return s;
}

const struct hx_source_kind hx_source_sim = {
    .prefix = "sim:", .simulated = true, .open = open_sim, .close = close_sim};
