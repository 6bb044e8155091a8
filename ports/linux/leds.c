/* leds.c - see leds.h. */
#include "leds.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 128u    /* folder, name, longest attribute */
#define TRIGGER_MAX 2047u /* octets read of the list of triggers */

static void path_of(const struct hx_led *l, const char *attribute, char path[PATH_ROOM])
{
    (void)snprintf(path, PATH_ROOM, "%s/%s/%s", l->folder, l->name, attribute);
}

static bool put(const struct hx_led *l, const char *attribute, const char *text)
{
    char path[PATH_ROOM];
    size_t n = strlen(text);
    int fd;
    bool good;

    path_of(l, attribute, path);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return false;
    good = write(fd, text, n) == (ssize_t)n;
    (void)close(fd); /* sysfs did its work in write */
    return good;
}

static size_t get(const struct hx_led *l, const char *attribute, char *out, size_t cap)
{
    char path[PATH_ROOM];
    ssize_t n;
    int fd;

    path_of(l, attribute, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, out, cap - 1u) : -1;
    if (fd >= 0)
        (void)close(fd); /* only read */
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static bool has_timer(const struct hx_led *l)
{
    char triggers[TRIGGER_MAX + 1u], *rest = triggers, *word;

    (void)get(l, "trigger", triggers, sizeof triggers); /* empty: there is none */
    while ((word = strsep(&rest, " \n")) != NULL)
        if (strcmp(word, "timer") == 0 || strcmp(word, "[timer]") == 0)
            return true;
    return false;
}

void hx_led_init(struct hx_led *l, const char *folder, const char *name, const char *setting)
{
    size_t n = strlen(name);

    *l = (struct hx_led){.folder = folder, .setting = setting};
    if (n == 0 || n > HX_LED_NAME_MAX)
        return;
    memcpy(l->name, name, n);
    l->fitted = true;
}

static void tell(struct hx_led *l)
{
    if (!l->told)
        hx_log(HX_LOG_WARNING, "%s/%s (%s): cannot be used: %s; everything else works on",
               l->folder, l->name, l->setting, strerror(errno));
    l->told = true;
}

static bool put_brightness(struct hx_led *l, bool lit)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%u", lit ? l->max : 0u);
    l->lit = lit;
    return put(l, "brightness", text);
}

/* @return the number of its file; 0 there is none. */
static uint64_t inode_of(const struct hx_led *l)
{
    char path[PATH_ROOM];
    struct stat st;

    path_of(l, "brightness", path);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static bool is_another(struct hx_led *l, uint64_t now_ms)
{
    if (!l->found || now_ms - l->look_ms < HX_LED_RETRY_MS)
        return false;
    l->look_ms = now_ms;
    return inode_of(l) != l->inode;
}

/* Take it from whatever trigger had it. */
static bool find(struct hx_led *l)
{
    char text[16];
    unsigned long max;

    l->max = 1;
    if (get(l, "max_brightness", text, sizeof text) != 0) {
        max = strtoul(text, NULL, 10);
        l->max = max > 0 && max <= 65535u ? (unsigned)max : 1u;
    }
    l->inode = inode_of(l);
    l->has_timer = has_timer(l);
    (void)put(l, "trigger", "none"); /* a light without triggers has no such file */
    return put_brightness(l, false);
}

/* The trigger's files may appear without our being allowed to write them: then we blink. */
static bool start_timer(const struct hx_led *l)
{
    char period[16];

    (void)snprintf(period, sizeof period, "%u", HX_PANEL_BLINK_MS);
    if (!l->has_timer || !put(l, "trigger", "timer"))
        return false;
    if (put(l, "delay_on", period) && put(l, "delay_off", period))
        return true;
    (void)put(l, "trigger", "none"); /* it took the other word a moment ago */
    return false;
}

/* @return true when the light is as it should be. */
static bool enter(struct hx_led *l, enum hx_light light, uint64_t now_ms)
{
    if (l->by_timer)
        (void)put(l, "trigger", "none"); /* seen below: brightness is refused with it */
    l->light = light;
    l->by_timer = light == HX_LIGHT_BLINK && start_timer(l);
    return l->by_timer || put_brightness(l, hx_light_is_lit(light, now_ms));
}

bool hx_led_show(struct hx_led *l, enum hx_light light, uint64_t now_ms)
{
    bool good = true, is_new;

    if (!l->fitted || (l->failed && now_ms < l->retry_ms))
        return false;
    if (is_another(l, now_ms))
        l->found = l->by_timer = false;
    is_new = !l->found;
    if (is_new) {
        l->look_ms = now_ms;
        l->found = good = find(l);
    }
    if (good && (is_new || light != l->light))
        good = enter(l, light, now_ms);
    else if (good && !l->by_timer && hx_light_is_lit(light, now_ms) != l->lit)
        good = put_brightness(l, !l->lit);
    l->failed = !good;
    if (!good) {
        tell(l);
        l->found = false; /* begun afresh when it is back */
        l->by_timer = false;
        l->retry_ms = now_ms + HX_LED_RETRY_MS;
        return false;
    }
    l->told = false;
    return light == HX_LIGHT_BLINK && !l->by_timer;
}
