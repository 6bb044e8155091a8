/* gpio.h - one contact on a GPIO line: button or digital input, between the line and ground.
 * In:     edges from the kernel's GPIO character device (v2).  Out: closed or open, with its time.
 * State:  struct hx_gpio, owned by the caller; loop thread. A line that is not there (yet) is told
 *         once and asked for again at each hx_gpio_tick.
 * Source: include/uapi/linux/gpio.h of the kernel: GPIO_V2_GET_LINE_IOCTL and what it needs. */
#ifndef HX_GPIO_H
#define HX_GPIO_H

#include "hx/base.h"

#include <event2/event.h>

#define HX_GPIO_CHIP_MAX 64u /* as long as the setting */

/** The system calls, so that a test can stand in for a chip. Both as in open(2), ioctl(2). */
struct hx_gpio_ops {
    int (*open)(void *ctx, const char *path);
    int (*ioctl)(void *ctx, int fd, unsigned long request, void *arg);
    void *ctx;
};
extern const struct hx_gpio_ops hx_gpio_kernel;

struct hx_gpio {
    const struct hx_gpio_ops *ops;
    struct event_base *base;
    const char *setting; /* its name, for the log */
    char chip[HX_GPIO_CHIP_MAX + 1u];
    uint32_t line, debounce_ms;
    int fd; /* of the line; -1 not open */
    struct event *event;
    bool fitted, closed, told;
    void (*edge)(void *ctx, bool closed, uint64_t at_ms);
    void *ctx;
};

/** Nothing is opened yet.
 * @param text     "gpiochip0:17", a chip's label in place of its name, or "": not fitted.
 * @param setting  "io.reset_button" …; must outlive @p g.
 * @param edge     each change, with its monotonic time; called from the loop. */
void hx_gpio_init(struct hx_gpio *g, const struct hx_gpio_ops *ops, struct event_base *base,
                  const char *text, const char *setting, uint32_t debounce_ms,
                  void (*edge)(void *ctx, bool closed, uint64_t at_ms), void *ctx);
/** Open the line where it is not.
 * @return HX_OK it was opened just now: g->closed is its level; HX_MORE nothing to do; HX_E_IO not
 *         there, told once. */
enum hx_err hx_gpio_tick(struct hx_gpio *g);
void hx_gpio_close(struct hx_gpio *g);

#endif
