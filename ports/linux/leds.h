/* leds.h - one light of the kernel's LED class: dark, lit or blinking.
 * In:     what it should show.  Out: brightness and trigger in /sys/class/leds/NAME.
 * State:  struct hx_led, owned by the caller. A light that is not there is told once and tried
 *         again once a second. Sysfs writes do not wait for hardware: drivers that must sleep put
 *         them off.
 * Source: Documentation/leds/leds-class.rst,
 * Documentation/ABI/testing/sysfs-class-led-trigger-timer of the kernel. */
#ifndef HX_LEDS_H
#define HX_LEDS_H

#include "hx/panel.h"

#define HX_LED_CLASS "/sys/class/leds"
#define HX_LED_NAME_MAX 64u /* as long as the setting */
#define HX_LED_RETRY_MS 1000u

struct hx_led {
    const char *folder;  /* HX_LED_CLASS, or a test's */
    const char *setting; /* its name, for the log */
    char name[HX_LED_NAME_MAX + 1u];
    bool fitted, found, told;
    bool has_timer; /* a trigger of this name may be asked for */
    bool by_timer;  /* blinks by the kernel's timer trigger */
    unsigned max;   /* brightness */
    enum hx_light light;
    bool lit; /* as written last, while we do it */
    bool failed;
    uint64_t retry_ms;
    uint64_t inode; /* of the light that was found: another one is to be told anew */
    uint64_t look_ms;
};

/** @param folder   HX_LED_CLASS. @param name  in it, "": not fitted.
 * Both, and @p setting, must outlive @p l but for the name. */
void hx_led_init(struct hx_led *l, const char *folder, const char *name, const char *setting);
/** Show @p light; writes only what changes. Once a second it is seen whether the light is still
 * the same: a driver that was loaded anew has made another.
 * @return true when it blinks by being told so: call again at the next multiple of
 *         HX_PANEL_BLINK_MS. */
bool hx_led_show(struct hx_led *l, enum hx_light light, uint64_t now_ms);

#endif
