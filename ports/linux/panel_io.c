/* panel_io.c - see panel_io.h. */
#include "panel_io.h"

#include "clock.h"
#include "log.h"

#include <string.h>

enum { POWER, HAN, BUTTON, INPUT, TEXTS };
static const enum hx_setting_id setting_of[TEXTS] = {
    [POWER] = HX_S_IO_POWER_LED,
    [HAN] = HX_S_IO_HAN_LED,
    [BUTTON] = HX_S_IO_RESET_BUTTON,
    [INPUT] = HX_S_IO_DIGITAL_INPUT,
};

/* --- lights, and when to look again --- */

static uint64_t next_blink_ms(uint64_t now_ms)
{
    return (now_ms / HX_PANEL_BLINK_MS + 1u) * HX_PANEL_BLINK_MS;
}

static void arm(struct hx_panel_io *p, bool blinks, uint64_t now_ms)
{
    uint64_t at_ms = hx_panel_deadline_ms(&p->panel, now_ms), wait_ms;
    struct timeval wait;

    if (blinks && next_blink_ms(now_ms) < at_ms)
        at_ms = next_blink_ms(now_ms);
    if (at_ms == UINT64_MAX) {
        (void)evtimer_del(p->timer);
        return;
    }
    wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    wait = (struct timeval){.tv_sec = (time_t)(wait_ms / 1000u),
                            .tv_usec = (suseconds_t)(wait_ms % 1000u) * 1000};
    (void)evtimer_add(p->timer, &wait); /* fails without memory: the tick each second looks too */
}

static void look(struct hx_panel_io *p, uint64_t now_ms)
{
    enum hx_panel_action action;
    bool blinks;

    if (now_ms < p->now_ms)
        now_ms = p->now_ms; /* the core's time never goes back */
    p->now_ms = now_ms;
    hx_panel_tick(&p->panel, now_ms);
    action = hx_panel_take(&p->panel);
    (void)hx_led_show(&p->power, hx_panel_power(&p->panel), now_ms); /* never blinks */
    blinks = hx_led_show(&p->han, hx_panel_han(&p->panel, now_ms), now_ms);
    arm(p, blinks, now_ms);
    if (action != HX_PANEL_NONE)
        p->env.action(p->env.ctx, action); /* last: it may end the program */
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look(arg, hx_clock_ms());
}

/* --- contacts --- */

/* The kernel's time of an edge may lie before a look that we took meanwhile. */
static void on_button(void *ctx, bool closed, uint64_t at_ms)
{
    struct hx_panel_io *p = ctx;

    if (at_ms > p->now_ms)
        p->now_ms = at_ms;
    hx_panel_button(&p->panel, closed, p->now_ms);
    look(p, hx_clock_ms());
}

static void on_input(void *ctx, bool closed, uint64_t at_ms)
{
    struct hx_panel_io *p = ctx;

    (void)at_ms;
    p->env.input(p->env.ctx, closed);
}

/* The button can be read from now on, or again, or there is none. */
static void begin_panel(struct hx_panel_io *p, bool down, uint64_t now_ms)
{
    bool early = p->power_on && now_ms - p->start_ms < HX_PANEL_IO_LATE_MS;

    hx_panel_init(&p->panel, down, early, now_ms);
    if (p->any_good)
        hx_panel_telegram(&p->panel, p->good_ms);
    hx_panel_resetting(&p->panel, p->resetting);
}

static void find_contacts(struct hx_panel_io *p, uint64_t now_ms)
{
    if (hx_gpio_tick(&p->button) == HX_OK)
        begin_panel(p, p->button.closed, now_ms);
    if (hx_gpio_tick(&p->input) == HX_OK)
        p->env.input(p->env.ctx, p->input.closed);
}

/* --- settings --- */

static bool take_text(struct hx_panel_io *p, unsigned which, const struct hx_settings *s)
{
    const char *text = s->text[setting_of[which]];

    if (strcmp(p->texts[which], text) == 0)
        return false;
    memcpy(p->texts[which], text, strlen(text) + 1u);
    return true;
}

static void set_led(struct hx_panel_io *p, struct hx_led *l, unsigned which, const char *setting)
{
    (void)hx_led_show(l, HX_LIGHT_OFF, p->now_ms); /* the old one is ours no more */
    hx_led_init(l, HX_LED_CLASS, p->texts[which], setting);
}

void hx_panel_io_set(struct hx_panel_io *p, const struct hx_settings *s, uint64_t now_ms)
{
    p->now_ms = now_ms;
    if (take_text(p, POWER, s))
        set_led(p, &p->power, POWER, "io.power_led");
    if (take_text(p, HAN, s))
        set_led(p, &p->han, HAN, "io.han_led");
    if (take_text(p, BUTTON, s)) {
        hx_gpio_close(&p->button);
        hx_gpio_init(&p->button, p->env.gpio, p->env.base, p->texts[BUTTON], "io.reset_button", 0,
                     on_button, p);
        begin_panel(p, false, now_ms);
    }
    if (take_text(p, INPUT, s)) {
        hx_gpio_close(&p->input);
        hx_gpio_init(&p->input, p->env.gpio, p->env.base, p->texts[INPUT], "io.digital_input",
                     HX_PANEL_IO_INPUT_MS, on_input, p);
    }
    hx_sensor_set(&p->sensor, s->text[HX_S_IO_TEMPERATURE]);
    hx_panel_io_tick(p, now_ms);
}

/* --- the face --- */

enum hx_err hx_panel_io_open(struct hx_panel_io *p, const struct hx_panel_io_env *env,
                             const struct hx_settings *s, bool power_on, uint64_t now_ms)
{
    *p = (struct hx_panel_io){
        .env = *env, .start_ms = now_ms, .now_ms = now_ms, .power_on = power_on};
    p->timer = evtimer_new(env->base, on_timer, p);
    if (p->timer == NULL) {
        hx_log(HX_LOG_ERROR, "out of memory");
        return HX_E_IO;
    }
    hx_gpio_init(&p->button, env->gpio, env->base, "", "io.reset_button", 0, on_button, p);
    hx_gpio_init(&p->input, env->gpio, env->base, "", "io.digital_input", 0, on_input, p);
    hx_led_init(&p->power, HX_LED_CLASS, "", "io.power_led");
    hx_led_init(&p->han, HX_LED_CLASS, "", "io.han_led");
    hx_sensor_init(&p->sensor, env->worker, "io.temperature", env->temperature, env->ctx);
    begin_panel(p, false, now_ms);
    hx_panel_io_set(p, s, now_ms);
    return HX_OK;
}

void hx_panel_io_telegram(struct hx_panel_io *p, uint64_t now_ms)
{
    bool dark = !p->any_good || now_ms - p->good_ms >= HX_LED_HAN_MS;

    p->any_good = true;
    p->good_ms = now_ms;
    hx_panel_telegram(&p->panel, now_ms);
    if (dark)
        look(p, now_ms); /* else it is lit, and the timer that is set finds the new time */
}

void hx_panel_io_tick(struct hx_panel_io *p, uint64_t now_ms)
{
    find_contacts(p, now_ms);
    hx_sensor_tick(&p->sensor, now_ms);
    look(p, now_ms);
}

void hx_panel_io_resetting(struct hx_panel_io *p, bool on, uint64_t now_ms)
{
    p->resetting = on;
    hx_panel_resetting(&p->panel, on);
    look(p, now_ms);
}

void hx_panel_io_close(struct hx_panel_io *p, bool keep_blinking)
{
    if (p->timer == NULL)
        return;
    hx_gpio_close(&p->button);
    hx_gpio_close(&p->input);
    if (!keep_blinking)
        (void)hx_led_show(&p->han, HX_LIGHT_OFF, hx_clock_ms());
    event_free(p->timer);
    p->timer = NULL;
}
