/* panel_io.h - the box: lights, FACTRESET button, digital input and temperature, joined to the
 * core's panel.
 * In:     settings [io], good telegrams, time.  Out: lights; contact, temperature and actions for
 *         the gateway.
 * State:  struct hx_panel_io, owned by the caller; loop thread. What is not fitted costs nothing;
 *         what is fitted and missing is told once, and looked for again each second. */
#ifndef HX_PANEL_IO_H
#define HX_PANEL_IO_H

#include "gpio.h"
#include "leds.h"
#include "sensor.h"

#include "hx/panel.h"
#include "hx/state.h"

#define HX_PANEL_IO_INPUT_MS 20u /* the kernel's debouncing of the digital input */
/* A button that can be read only later (its driver was late) is no longer one held from the start.
 */
#define HX_PANEL_IO_LATE_MS 10000u

struct hx_panel_io_env {
    struct event_base *base;
    struct hx_worker *worker;
    const struct hx_gpio_ops *gpio;
    void (*input)(void *ctx, bool closed);
    void (*temperature)(void *ctx, int32_t temp_cc);
    void (*action)(void *ctx, enum hx_panel_action action);
    void *ctx;
};

struct hx_panel_io {
    struct hx_panel_io_env env;
    struct hx_panel panel;
    struct hx_led power, han;
    struct hx_gpio button, input;
    struct hx_sensor sensor;
    struct event *timer;
    char texts[4][HX_SETTING_TEXT_MAX + 1u]; /* of the settings in use, lights and lines */
    uint64_t start_ms, now_ms;
    bool power_on, any_good, resetting;
    uint64_t good_ms;
};

/** @param power_on  see hx_panel_init.
 * @return HX_OK, whatever is missing; HX_E_IO no memory for a timer, logged. */
enum hx_err hx_panel_io_open(struct hx_panel_io *p, const struct hx_panel_io_env *env,
                             const struct hx_settings *s, bool power_on, uint64_t now_ms);
/** Other settings. What did not change stays as it is. */
void hx_panel_io_set(struct hx_panel_io *p, const struct hx_settings *s, uint64_t now_ms);
/** A good telegram came. */
void hx_panel_io_telegram(struct hx_panel_io *p, uint64_t now_ms);
/** Each second. */
void hx_panel_io_tick(struct hx_panel_io *p, uint64_t now_ms);
/** A factory reset begins, or could not be done. */
void hx_panel_io_resetting(struct hx_panel_io *p, bool on, uint64_t now_ms);
/** @param keep_blinking  the program begins anew at once: leave the lights as they are. Else HAN
 *                        goes dark; POWER stays lit as long as there is power.
 * Call before the worker ends. */
void hx_panel_io_close(struct hx_panel_io *p, bool keep_blinking);

#endif
