/* gpio.c - see gpio.h. */
#include "gpio.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONSUMER "han2x" /* what gpioinfo shows */
#define EVENTS 16u       /* read at once; as many as the kernel keeps for a line */
#define CHIPS 32u        /* looked through for a label */
#define NS_PER_MS 1000000u

static int kernel_open(void *ctx, const char *path)
{
    (void)ctx;
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static int kernel_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
    (void)ctx;
    return ioctl(fd, request, arg);
}

const struct hx_gpio_ops hx_gpio_kernel = {.open = kernel_open, .ioctl = kernel_ioctl};

void hx_gpio_init(struct hx_gpio *g, const struct hx_gpio_ops *ops, struct event_base *base,
                  const char *text, const char *setting, uint32_t debounce_ms,
                  void (*edge)(void *ctx, bool closed, uint64_t at_ms), void *ctx)
{
    size_t n = strcspn(text, ":");

    *g = (struct hx_gpio){.ops = ops,
                          .base = base,
                          .setting = setting,
                          .debounce_ms = debounce_ms,
                          .fd = -1,
                          .edge = edge,
                          .ctx = ctx};
    if (text[n] != ':' || n > HX_GPIO_CHIP_MAX)
        return;
    memcpy(g->chip, text, n);
    g->line = (uint32_t)strtoul(text + n + 1, NULL, 10); /* the settings table checked it */
    g->fitted = true;
}

/* --- opening --- */

static int open_named(const struct hx_gpio *g)
{
    char path[sizeof "/dev/" + HX_GPIO_CHIP_MAX];

    (void)snprintf(path, sizeof path, "/dev/%s", g->chip);
    return g->ops->open(g->ops->ctx, path);
}

/* Numbers of chips change between kernels; labels such as pinctrl-bcm2711 do not. */
static int open_labelled(const struct hx_gpio *g)
{
    for (unsigned i = 0; i < CHIPS; i++) {
        struct gpiochip_info info = {0};
        char path[32];
        int fd;

        (void)snprintf(path, sizeof path, "/dev/gpiochip%u", i);
        fd = g->ops->open(g->ops->ctx, path);
        if (fd < 0)
            continue;
        if (g->ops->ioctl(g->ops->ctx, fd, GPIO_GET_CHIPINFO_IOCTL, &info) == 0 &&
            strncmp(info.label, g->chip, sizeof info.label) == 0)
            return fd;
        (void)close(fd); /* only asked */
    }
    errno = ENOENT;
    return -1;
}

/* A contact to ground: pulled up, low is closed. Not every chip can pull, not every one debounces.
 */
static int request_line(const struct hx_gpio *g, int chip_fd, bool pull, bool debounce)
{
    struct gpio_v2_line_request r = {.offsets = {g->line}, .consumer = CONSUMER, .num_lines = 1};

    r.config.flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW |
                     GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;
    if (pull)
        r.config.flags |= GPIO_V2_LINE_FLAG_BIAS_PULL_UP;
    if (debounce && g->debounce_ms != 0) {
        r.config.num_attrs = 1;
        r.config.attrs[0].mask = 1;
        r.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
        r.config.attrs[0].attr.debounce_period_us = g->debounce_ms * 1000u;
    }
    return g->ops->ioctl(g->ops->ctx, chip_fd, GPIO_V2_GET_LINE_IOCTL, &r) == 0 ? r.fd : -1;
}

static int request_any(const struct hx_gpio *g, int chip_fd)
{
    int fd = request_line(g, chip_fd, true, true);

    if (fd < 0 && errno != EBUSY)
        fd = request_line(g, chip_fd, false, true);
    if (fd < 0 && errno != EBUSY)
        fd = request_line(g, chip_fd, false, false);
    return fd;
}

static bool read_level(const struct hx_gpio *g, bool *closed)
{
    struct gpio_v2_line_values v = {.mask = 1};

    if (g->ops->ioctl(g->ops->ctx, g->fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &v) != 0)
        return false;
    *closed = (v.bits & 1u) != 0;
    return true;
}

/* --- edges --- */

static void tell(struct hx_gpio *g, const char *what)
{
    if (!g->told)
        hx_log(HX_LOG_WARNING, "%s:%u (%s): %s: %s; everything else works on", g->chip, g->line,
               g->setting, what, strerror(errno));
    g->told = true;
}

static void change(struct hx_gpio *g, bool closed, uint64_t at_ms)
{
    if (closed == g->closed)
        return;
    g->closed = closed;
    g->edge(g->ctx, closed, at_ms);
}

static void on_events(evutil_socket_t fd, short what, void *arg)
{
    struct hx_gpio *g = arg;
    struct gpio_v2_line_event ev[EVENTS];
    ssize_t n = read(fd, ev, sizeof ev);
    bool closed;

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    for (size_t i = 0; n > 0 && i < (size_t)n / sizeof ev[0]; i++)
        change(g, ev[i].id == GPIO_V2_LINE_EVENT_RISING_EDGE, ev[i].timestamp_ns / NS_PER_MS);
    /* edges may have been lost while the kernel's queue was full: the level is what counts */
    if (n > 0 && read_level(g, &closed)) {
        change(g, closed, hx_clock_ms());
        return;
    }
    if (n == 0)
        errno = ENODEV;
    tell(g, "the line went away");
    hx_gpio_close(g); /* the next tick looks for it again */
}

static bool watch(struct hx_gpio *g)
{
    (void)fcntl(g->fd, F_SETFL, O_NONBLOCK); /* a line's descriptor takes it */
    g->event = event_new(g->base, g->fd, EV_READ | EV_PERSIST, on_events, g);
    return g->event != NULL && event_add(g->event, NULL) == 0;
}

enum hx_err hx_gpio_tick(struct hx_gpio *g)
{
    int chip_fd, err;

    if (!g->fitted || g->fd >= 0)
        return HX_MORE;
    chip_fd = open_named(g);
    if (chip_fd < 0 && errno == ENOENT)
        chip_fd = open_labelled(g);
    if (chip_fd < 0) {
        tell(g, "cannot open the GPIO chip");
        return HX_E_IO;
    }
    g->fd = request_any(g, chip_fd);
    err = errno;
    (void)close(chip_fd); /* the line has a descriptor of its own */
    errno = err;
    if (g->fd < 0 || !read_level(g, &g->closed) || !watch(g)) {
        tell(g, "cannot use the GPIO line");
        hx_gpio_close(g);
        return HX_E_IO;
    }
    hx_log(HX_LOG_INFO, "%s:%u (%s): in use", g->chip, g->line, g->setting);
    g->told = false;
    return HX_OK;
}

void hx_gpio_close(struct hx_gpio *g)
{
    if (g->event != NULL)
        event_free(g->event);
    g->event = NULL;
    if (g->fd >= 0)
        (void)close(g->fd); /* gives the line back */
    g->fd = -1;
}
