/* mbrtu_server.c - see mbrtu_server.h. */
#include "mbrtu_server.h"

#include "clock.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define READ_MAX 512u

static void close_line(struct hx_mbrtu_server *s)
{
    struct event **const events[] = {&s->readable, &s->writable, &s->timer};

    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (*events[i] != NULL)
            event_free(*events[i]);
        *events[i] = NULL;
    }
    if (s->fd >= 0)
        (void)close(s->fd); /* a line keeps nothing */
    if (s->timer_fd >= 0)
        (void)close(s->timer_fd); /* nor does a timer */
    s->fd = -1;
    s->timer_fd = -1;
}

static void hang_up(struct hx_mbrtu_server *s)
{
    hx_log(HX_LOG_WARNING, "Modbus RTU %s: unplugged; waiting for it to come back",
           s->config.device);
    s->told = ENOENT; /* said */
    close_line(s);
}

static void set_timer(struct hx_mbrtu_server *s)
{
    uint64_t due_us = hx_mbrtu_deadline_us(&s->line);
    struct itimerspec t = {0};

    if (due_us == s->timer_us)
        return;
    s->timer_us = due_us;
    if (due_us != UINT64_MAX) {
        /* 0 would switch it off: an absolute time in the past fires at once */
        t.it_value.tv_sec = (time_t)(due_us / 1000000u);
        t.it_value.tv_nsec = (long)(due_us % 1000000u) * 1000L + 1L;
    }
    (void)timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &t, NULL); /* arguments are right */
}

static void flush(struct hx_mbrtu_server *s)
{
    while (s->out_at < s->out_len) {
        ssize_t n = write(s->fd, s->out + s->out_at, (size_t)(s->out_len - s->out_at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            (void)event_add(s->writable,
                            NULL); /* fails: the answer is lost, the master asks anew */
            return;
        }
        if (n <= 0) {
            hang_up(s);
            return;
        }
        s->out_at = (uint16_t)(s->out_at + n);
    }
}

static void log_write(struct hx_mbrtu_server *s, uint32_t before, uint32_t after)
{
    hx_log_limited(&s->write_log, hx_clock_ms(), HX_LOG_NOTICE,
                   "Modbus RTU master on %s wrote the scale factor: %u.%03u, before %u.%03u",
                   s->config.device, after / 1000u, after % 1000u, before / 1000u, before % 1000u);
}

static void poll_line(struct hx_mbrtu_server *s)
{
    struct hx_mb_write write = {0};
    uint32_t before = s->dev->state->scale;
    uint8_t answer[HX_MBRTU_ADU_MAX];
    size_t n = hx_mbrtu_poll(&s->line, s->dev, hx_clock_us(), answer, &write);

    if (write.done) {
        log_write(s, before, write.scale);
        s->on_write(s->ctx);
    }
    if (n != 0) { /* an older one that is still not out is of no use to the master any more */
        memcpy(s->out, answer, n);
        s->out_at = 0;
        s->out_len = (uint16_t)n;
        s->answered++;
        flush(s);
    }
    if (s->fd >= 0)
        set_timer(s);
}

static void take(struct hx_mbrtu_server *s, struct hx_span in, uint64_t now_us)
{
    while (in.len != 0) {
        uint8_t out[READ_MAX + 1u];
        size_t used, len;
        bool error = hx_unmark_next(&s->unmark, in, &used, out, &len);

        if (error) {
            hx_mbrtu_rx(&s->line, (struct hx_span){out, --len}, now_us);
            hx_mbrtu_line_error(&s->line);
            out[0] = out[len];
            len = 1;
        }
        hx_mbrtu_rx(&s->line, (struct hx_span){out, len}, now_us);
        in = (struct hx_span){in.ptr + used, in.len - used};
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct hx_mbrtu_server *s = arg;
    uint8_t in[READ_MAX];
    ssize_t n = read(fd, in, sizeof in);

    (void)what;
    if (n > 0) {
        take(s, (struct hx_span){in, (size_t)n}, hx_clock_us());
        poll_line(s);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        hang_up(s);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    flush(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct hx_mbrtu_server *s = arg;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
        return; /* set anew meanwhile */
    s->timer_us = UINT64_MAX;
    poll_line(s);
}

static bool add_events(struct hx_mbrtu_server *s)
{
    s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (s->timer_fd < 0)
        return false;
    s->readable = event_new(s->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    s->writable = event_new(s->base, s->fd, EV_WRITE, on_writable, s);
    s->timer = event_new(s->base, s->timer_fd, EV_READ | EV_PERSIST, on_timer, s);
    return s->readable != NULL && s->writable != NULL && s->timer != NULL &&
           event_add(s->readable, NULL) == 0 && event_add(s->timer, NULL) == 0;
}

static void start_line(struct hx_mbrtu_server *s)
{
    const struct hx_mbrtu_config *c = &s->config;
    char text[24];

    hx_mbrtu_init(&s->line, c->address, c->line.baud);
    hx_tty_low_latency(s->fd);
    if (hx_tty_rs485(s->fd, c->rs485) != HX_OK)
        hx_log(HX_LOG_ERROR,
               "Modbus RTU %s: the driver cannot switch the RS485 direction: %s; set "
               "modbus_rtu.rs485 to auto or no when the adapter does it by itself",
               c->device, strerror(errno));
    s->unmark = (struct hx_unmark){0};
    s->timer_us = UINT64_MAX;
    s->out_at = 0;
    s->out_len = 0;
    s->told = 0;
    hx_log(HX_LOG_NOTICE, "Modbus RTU %s: %s, %s, address %u", c->device,
           s->was_open ? "open again" : "open", hx_line_text(&c->line, text), c->address);
    s->was_open = true;
}

static void open_line(struct hx_mbrtu_server *s)
{
    const struct hx_mbrtu_config *c = &s->config;
    char text[96];

    if (hx_tty_open(c->device, &c->line, &s->fd) != HX_OK) {
        if (errno != s->told)
            hx_log(HX_LOG_WARNING, "Modbus RTU %s: %s", c->device,
                   hx_tty_advice(errno, text, sizeof text));
        s->told = errno;
        return;
    }
    if (!add_events(s)) {
        hx_log(HX_LOG_ERROR, "Modbus RTU %s: out of memory or descriptors", c->device);
        close_line(s);
        return;
    }
    start_line(s);
}

void hx_mbrtu_server_init(struct hx_mbrtu_server *s, struct event_base *base,
                          struct hx_mb_device *dev, void (*on_write)(void *ctx), void *ctx)
{
    *s = (struct hx_mbrtu_server){
        .base = base, .dev = dev, .on_write = on_write, .ctx = ctx, .fd = -1, .timer_fd = -1};
}

static bool is_same(const struct hx_mbrtu_config *a, const struct hx_mbrtu_config *b)
{
    return a->enabled == b->enabled && strcmp(a->device, b->device) == 0 &&
           a->line.baud == b->line.baud && a->line.parity == b->line.parity &&
           a->line.stop_bits == b->line.stop_bits && a->address == b->address &&
           a->rs485 == b->rs485;
}

enum hx_err hx_mbrtu_server_set(struct hx_mbrtu_server *s, const struct hx_mbrtu_config *c)
{
    if (c->enabled && c->device[0] == '\0') {
        hx_log(HX_LOG_ERROR, "Modbus RTU is enabled, but modbus_rtu.device is empty; name the tty "
                             "of the RS485 line, such as /dev/ttyS1");
        return HX_E_VALUE;
    }
    if (is_same(&s->config, c))
        return HX_OK;
    close_line(s);
    s->config = *c;
    s->told = 0;
    s->was_open = false;
    if (c->enabled)
        open_line(s);
    return HX_OK;
}

void hx_mbrtu_server_tick(struct hx_mbrtu_server *s, uint64_t now_ms)
{
    (void)now_ms; /* called once a second: that is the pace of looking */
    if (s->config.enabled && s->fd < 0)
        open_line(s);
}

void hx_mbrtu_server_close(struct hx_mbrtu_server *s)
{
    close_line(s);
}
