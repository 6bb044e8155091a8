/* test_panel_io.c - the box on Linux: GPIO lines behind a chip that stands in for the kernel's, and
 * sensor and light files in a folder of the test. The whole program with a mocked /sys:
 * tests/e2e/test_panel.py. */
#include "check.h"

#include "clock.h"
#include "panel_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES 8u

/* One chip, /dev/gpiochip3 with the label pinctrl-test. */
static struct {
    bool there, pulls, debounces, busy;
    bool low[LINES]; /* low is closed */
    int far[LINES];  /* our end of an open line; -1 none */
    uint64_t flags[LINES];
    uint32_t debounce_us[LINES];
    unsigned requests, level_line;
    char consumer[GPIO_MAX_NAME_SIZE];
} chip;

static int fake_open(void *ctx, const char *path)
{
    (void)ctx;
    if (!chip.there || strcmp(path, "/dev/gpiochip3") != 0) {
        errno = ENOENT;
        return -1;
    }
    return open("/dev/null", O_RDONLY);
}

static int get_line(struct gpio_v2_line_request *r)
{
    uint32_t line = r->offsets[0];
    bool pull = (r->config.flags & GPIO_V2_LINE_FLAG_BIAS_PULL_UP) != 0;
    int pair[2];

    chip.requests++;
    errno = chip.busy ? EBUSY : EINVAL;
    if (chip.busy || line >= LINES || r->num_lines != 1 || (pull && !chip.pulls) ||
        (r->config.num_attrs != 0 && !chip.debounces))
        return -1;
    chip.flags[line] = r->config.flags;
    chip.debounce_us[line] =
        r->config.num_attrs != 0 ? r->config.attrs[0].attr.debounce_period_us : 0;
    memcpy(chip.consumer, r->consumer, sizeof chip.consumer);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
        return -1;
    chip.far[line] = pair[1];
    r->fd = pair[0];
    return 0;
}

/* Which line a descriptor is of: by the far end's peer, told by the test. */
static int fake_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
    (void)ctx;
    (void)fd;
    if (request == GPIO_GET_CHIPINFO_IOCTL) {
        strcpy(((struct gpiochip_info *)arg)->label, "pinctrl-test");
        return 0;
    }
    if (request == GPIO_V2_GET_LINE_IOCTL) {
        chip.level_line = ((struct gpio_v2_line_request *)arg)->offsets[0];
        return get_line(arg);
    }
    assert_int_equal(request, GPIO_V2_LINE_GET_VALUES_IOCTL);
    ((struct gpio_v2_line_values *)arg)->bits = chip.low[chip.level_line] ? 1 : 0;
    return 0;
}

static const struct hx_gpio_ops ops = {.open = fake_open, .ioctl = fake_ioctl};

/* --- what came out --- */

static struct {
    unsigned inputs, actions, edges;
    bool closed;
    enum hx_panel_action action;
    uint64_t at_ms;
} seen;
static struct event_base *base;
static struct hx_settings settings;
static struct hx_panel_io io;

static void on_input(void *ctx, bool closed)
{
    (void)ctx;
    seen.inputs++;
    seen.closed = closed;
}

static void on_action(void *ctx, enum hx_panel_action action)
{
    (void)ctx;
    seen.actions++;
    seen.action = action;
}

static void on_temperature(void *ctx, int32_t temp_cc)
{
    (void)ctx;
    (void)temp_cc;
}

static void on_edge(void *ctx, bool closed, uint64_t at_ms)
{
    (void)ctx;
    seen.edges++;
    seen.closed = closed;
    seen.at_ms = at_ms;
}

static int set_up(void **state)
{
    (void)state;
    memset(&chip, 0, sizeof chip);
    memset(&seen, 0, sizeof seen);
    for (unsigned i = 0; i < LINES; i++)
        chip.far[i] = -1;
    chip.there = chip.pulls = chip.debounces = true;
    base = event_base_new();
    hx_settings_init(&settings);
    return base != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LINES; i++)
        if (chip.far[i] >= 0)
            close(chip.far[i]);
    event_base_free(base);
    return 0;
}

static void edge(unsigned line, bool closed, uint64_t at_ms)
{
    struct gpio_v2_line_event ev = {.timestamp_ns = at_ms * 1000000u,
                                    .id = closed ? GPIO_V2_LINE_EVENT_RISING_EDGE
                                                 : GPIO_V2_LINE_EVENT_FALLING_EDGE,
                                    .offset = line};

    chip.low[line] = closed;
    chip.level_line = line;
    assert_int_equal(send(chip.far[line], &ev, sizeof ev, 0), sizeof ev);
    assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

static void open_io(const char *button, const char *input, bool power_on)
{
    const struct hx_panel_io_env env = {.base = base,
                                        .gpio = &ops,
                                        .input = on_input,
                                        .temperature = on_temperature,
                                        .action = on_action};

    strcpy(settings.text[HX_S_IO_RESET_BUTTON], button);
    strcpy(settings.text[HX_S_IO_DIGITAL_INPUT], input);
    assert_int_equal(hx_panel_io_open(&io, &env, &settings, power_on, hx_clock_ms()), HX_OK);
}

/* --- lines --- */

static void test_line_is_asked_for_as_a_contact_to_ground(void **state)
{
    struct hx_gpio g;

    (void)state;
    chip.low[5] = true;
    hx_gpio_init(&g, &ops, base, "gpiochip3:5", "io.digital_input", 20, on_edge, NULL);
    assert_int_equal(hx_gpio_tick(&g), HX_OK);
    assert_true(g.closed);
    assert_true(chip.flags[5] == (GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW |
                                  GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING |
                                  GPIO_V2_LINE_FLAG_BIAS_PULL_UP));
    assert_int_equal(chip.debounce_us[5], 20000);
    assert_string_equal(chip.consumer, "han2x");
    assert_int_equal(hx_gpio_tick(&g), HX_MORE); /* open already */
    edge(5, false, 123456);
    assert_int_equal(seen.edges, 1);
    assert_false(seen.closed);
    assert_int_equal(seen.at_ms, 123456); /* the kernel's time */
    hx_gpio_close(&g);
}

static void test_chips_that_can_less(void **state)
{
    struct hx_gpio g;

    (void)state;
    chip.pulls = chip.debounces = false;
    hx_gpio_init(&g, &ops, base, "gpiochip3:5", "io.digital_input", 20, on_edge, NULL);
    assert_int_equal(hx_gpio_tick(&g), HX_OK);
    assert_int_equal(chip.requests, 3);
    assert_int_equal(chip.debounce_us[5], 0);
    hx_gpio_close(&g);
}

static void test_chip_by_its_label(void **state)
{
    struct hx_gpio g;

    (void)state;
    hx_gpio_init(&g, &ops, base, "pinctrl-test:7", "io.reset_button", 0, on_edge, NULL);
    assert_int_equal(hx_gpio_tick(&g), HX_OK);
    assert_true(chip.far[7] >= 0);
    hx_gpio_close(&g);
    hx_gpio_init(&g, &ops, base, "pinctrl-other:7", "io.reset_button", 0, on_edge, NULL);
    assert_int_equal(hx_gpio_tick(&g), HX_E_IO);
}

static void test_line_in_use_is_not_begged_for(void **state)
{
    struct hx_gpio g;

    (void)state;
    chip.busy = true;
    hx_gpio_init(&g, &ops, base, "gpiochip3:5", "io.reset_button", 20, on_edge, NULL);
    assert_int_equal(hx_gpio_tick(&g), HX_E_IO);
    assert_int_equal(chip.requests, 1);
    assert_true(g.told);
    chip.busy = false; /* whoever had it ended */
    assert_int_equal(hx_gpio_tick(&g), HX_OK);
    hx_gpio_close(&g);
}

static void test_chip_that_comes_late_and_goes(void **state)
{
    struct hx_gpio g;

    (void)state;
    chip.there = false;
    hx_gpio_init(&g, &ops, base, "gpiochip3:5", "io.digital_input", 20, on_edge, NULL);
    assert_int_equal(hx_gpio_tick(&g), HX_E_IO);
    chip.there = true;
    assert_int_equal(hx_gpio_tick(&g), HX_OK);
    close(chip.far[5]); /* unplugged: reads end */
    chip.far[5] = -1;
    assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
    assert_int_equal(g.fd, -1);
    assert_int_equal(hx_gpio_tick(&g), HX_OK);
    hx_gpio_close(&g);
}

/* The kernel drops edges when its queue is full: the level is what counts. */
static void test_lost_edge(void **state)
{
    struct hx_gpio g;
    struct gpio_v2_line_event up = {.timestamp_ns = 1000000, .id = GPIO_V2_LINE_EVENT_RISING_EDGE};

    (void)state;
    hx_gpio_init(&g, &ops, base, "gpiochip3:5", "io.digital_input", 20, on_edge, NULL);
    assert_int_equal(hx_gpio_tick(&g), HX_OK);
    assert_int_equal(send(chip.far[5], &up, sizeof up, 0), sizeof up);
    chip.low[5] = false; /* and open again, which nobody told */
    assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
    assert_int_equal(seen.edges, 2);
    assert_false(seen.closed);
    hx_gpio_close(&g);
}

/* --- all of it --- */

static void test_digital_input(void **state)
{
    (void)state;
    open_io("", "gpiochip3:2", true);
    assert_int_equal(seen.inputs, 1); /* its level at the start */
    assert_false(seen.closed);
    edge(2, true, hx_clock_ms());
    assert_int_equal(seen.inputs, 2);
    assert_true(seen.closed);
    strcpy(settings.text[HX_S_IO_DIGITAL_INPUT], "gpiochip3:4");
    chip.low[4] = false;
    hx_panel_io_set(&io, &settings, hx_clock_ms());
    assert_int_equal(seen.inputs, 3);
    assert_false(seen.closed);
    hx_panel_io_close(&io, false);
}

/* Kernel times decide, so five seconds need not pass: pressed at t, let go at t + 5 s. */
static void test_button_held(void **state)
{
    uint64_t t = hx_clock_ms() + 2 * HX_PANEL_START_MS;

    (void)state;
    open_io("gpiochip3:1", "", true);
    edge(1, true, t);
    assert_int_equal(seen.actions, 0);
    edge(1, false, t + HX_PANEL_RESET_MS);
    assert_int_equal(seen.actions, 1);
    assert_int_equal(seen.action, HX_PANEL_RESET);
    hx_panel_io_close(&io, false);
}

static void test_button_held_from_the_start(void **state)
{
    (void)state;
    chip.low[1] = true;
    open_io("gpiochip3:1", "", true);
    edge(1, false, hx_clock_ms() + HX_PANEL_DHCP_MS);
    hx_panel_io_tick(&io, hx_clock_ms() + HX_PANEL_DHCP_MS + HX_PANEL_DEBOUNCE_MS);
    assert_int_equal(seen.actions, 1);
    assert_int_equal(seen.action, HX_PANEL_DHCP);
    hx_panel_io_close(&io, false);
}

static void test_button_still_held_after_a_reset(void **state)
{
    (void)state;
    chip.low[1] = true;
    open_io("gpiochip3:1", "", false);
    edge(1, false, hx_clock_ms() + HX_PANEL_RESET_MS);
    hx_panel_io_tick(&io, hx_clock_ms() + HX_PANEL_RESET_MS + HX_PANEL_DEBOUNCE_MS);
    assert_int_equal(seen.actions, 0);
    hx_panel_io_close(&io, false);
}

static void test_button_found_long_after_the_start(void **state)
{
    uint64_t t = hx_clock_ms();

    (void)state;
    chip.there = false;
    chip.low[1] = true;
    open_io("gpiochip3:1", "", true);
    chip.there = true;
    hx_panel_io_tick(&io, t + HX_PANEL_IO_LATE_MS + 1000);
    edge(1, false, t + HX_PANEL_IO_LATE_MS + 9000);
    hx_panel_io_tick(&io, t + HX_PANEL_IO_LATE_MS + 9100);
    assert_int_equal(seen.actions, 0);
    hx_panel_io_close(&io, false);
}

static void test_nothing_fitted(void **state)
{
    (void)state;
    open_io("", "", true);
    hx_panel_io_telegram(&io, hx_clock_ms());
    hx_panel_io_tick(&io, hx_clock_ms());
    assert_int_equal(chip.requests, 0);
    assert_int_equal(seen.inputs + seen.actions, 0);
    hx_panel_io_close(&io, false);
}

/* --- sensors --- */

static const struct {
    const char *name, *file, *text; /* one file in a folder of its own */
    const char *path;               /* below the folder */
    const char *scale, *offset;     /* of a raw value, NULL none */
    enum hx_err want;
    int32_t temp_cc;
} sensors[] = {
    /* kernel, sysfs-interface.rst and thermal sysfs-api.rst: 0.001 °C */
    {"hwmon", "temp1_input", "41375\n", "temp1_input", NULL, NULL, HX_OK, 4137},
    {"thermal", "temp", "-7500\n", "temp", NULL, NULL, HX_OK, -750},
    {"folder", "temp1_input", "41375\n", ".", NULL, NULL, HX_OK, 4137},
    {"pattern", "temp1_input", "41375\n", "temp?_inp*", NULL, NULL, HX_OK, 4137},
    {"iio_input", "in_temp_input", "23000\n", ".", NULL, NULL, HX_OK, 2300},
    /* kernel, sysfs-bus-iio: (raw + offset) × scale: (1000 - 600) × 62.5 = 25 000 */
    {"iio_raw", "in_temp_raw", "1000\n", "in_temp_raw", "62.5\n", "-600\n", HX_OK, 2500},
    {"iio_raw_folder", "in_temp_raw", "400\n", ".", "62.5\n", NULL, HX_OK, 2500},
    {"missing", "temp1_input", "1\n", "temp2_input", NULL, NULL, HX_E_IO, 0},
    {"nothing_matches", "temp1_input", "1\n", "x*", NULL, NULL, HX_E_IO, 0},
    {"words", "temp1_input", "warm\n", ".", NULL, NULL, HX_E_VALUE, 0},
    {"tail", "temp1_input", "12x\n", ".", NULL, NULL, HX_E_VALUE, 0},
    {"nan", "temp1_input", "nan\n", ".", NULL, NULL, HX_E_VALUE, 0},
    {"empty", "temp1_input", "", ".", NULL, NULL, HX_E_IO, 0},
    {"no_board_is_so_hot", "temp1_input", "200001\n", ".", NULL, NULL, HX_E_VALUE, 0},
    {"hottest", "temp1_input", "200000\n", ".", NULL, NULL, HX_OK, 20000},
    {"coldest", "temp1_input", "-100000\n", ".", NULL, NULL, HX_OK, -10000},
    {"colder", "temp1_input", "-100001\n", ".", NULL, NULL, HX_E_VALUE, 0},
};

static void put(const char *folder, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    if (text == NULL)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void test_sensors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sensors / sizeof sensors[0]; i++) {
        char folder[] = "/tmp/test_panel_io.XXXXXX", path[128];
        int32_t cc = 0;

        assert_non_null(mkdtemp(folder));
        put(folder, sensors[i].file, sensors[i].text);
        put(folder, "in_temp_scale", sensors[i].scale);
        put(folder, "in_temp_offset", sensors[i].offset);
        snprintf(path, sizeof path, "%s/%s", folder, sensors[i].path);
        CHECK_INT(sensors[i].name, hx_sensor_read(path, &cc), sensors[i].want);
        CHECK_INT(sensors[i].name, cc, sensors[i].temp_cc);
        snprintf(path, sizeof path, "rm -r %s", folder);
        assert_int_equal(system(path), 0);
    }
}

/* --- lights --- */

static char class[32];

static const char *attribute(const char *name)
{
    static char text[64];
    char path[96];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/han/%s", class, name);
    f = fopen(path, "r");
    if (f == NULL)
        return "(no file)";
    n = fread(text, 1, sizeof text - 1u, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void make_led(const char *max, const char *triggers, bool delays)
{
    char folder[64];

    snprintf(folder, sizeof folder, "%s/han", class);
    assert_int_equal(mkdir(folder, 0700), 0);
    put(folder, "brightness", "0\n");
    put(folder, "max_brightness", max);
    put(folder, "trigger", triggers);
    put(folder, "delay_on", delays ? "500\n" : NULL);
    put(folder, "delay_off", delays ? "500\n" : NULL);
}

static int make_class(void **state)
{
    (void)state;
    strcpy(class, "/tmp/test_panel_io.XXXXXX");
    return mkdtemp(class) != NULL ? 0 : -1;
}

static int remove_class(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", class);
    return system(command);
}

static void test_light_on_and_off(void **state)
{
    struct hx_led l;

    (void)state;
    make_led("255\n", "none [mmc0] timer\n", false);
    hx_led_init(&l, class, "han", "io.han_led");
    assert_false(hx_led_show(&l, HX_LIGHT_OFF, 1000));
    assert_string_equal(attribute("trigger"), "none"); /* taken from the card reader */
    assert_string_equal(attribute("brightness"), "0");
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 2000));
    assert_string_equal(attribute("brightness"), "255");
    assert_false(hx_led_show(&l, HX_LIGHT_OFF, 3000));
    assert_string_equal(attribute("brightness"), "0");
}

static void test_light_blinks_by_the_kernels_timer(void **state)
{
    struct hx_led l;

    (void)state;
    make_led("1\n", "[none] heartbeat timer\n", true);
    hx_led_init(&l, class, "han", "io.han_led");
    assert_false(hx_led_show(&l, HX_LIGHT_BLINK, 1000)); /* nothing to be done for it */
    /* a real file would show [timer] in a list; this one shows what was written last */
    assert_string_equal(attribute("trigger"), "timer");
    assert_string_equal(attribute("delay_on"), "250");
    assert_string_equal(attribute("delay_off"), "250");
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 2000));
    assert_string_equal(attribute("trigger"), "none");
    assert_string_equal(attribute("brightness"), "1");
}

/* No timer trigger, or its files not ours to write: blinking by hand, 250 ms lit, 250 ms dark. */
static void blinks_by_hand(const char *name)
{
    static const struct {
        uint64_t at_ms;
        const char *brightness;
    } steps[] = {{1000, "7"}, {1249, "7"}, {1250, "0"}, {1499, "0"}, {1500, "7"}, {1750, "0"}};
    struct hx_led l;

    hx_led_init(&l, class, "han", "io.han_led");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        CHECK(name, hx_led_show(&l, HX_LIGHT_BLINK, steps[i].at_ms));
        assert_string_equal(attribute("brightness"), steps[i].brightness);
    }
    CHECK(name, !hx_led_show(&l, HX_LIGHT_OFF, 2000));
    assert_string_equal(attribute("brightness"), "0");
}

static void test_light_blinks_without_a_timer(void **state)
{
    (void)state;
    make_led("7\n", "[none] heartbeat timers\n", true);
    blinks_by_hand("no timer");
    assert_string_equal(attribute("delay_on"), "500\n");
}

static void test_light_blinks_when_delays_are_not_ours(void **state)
{
    (void)state;
    make_led("7\n", "[none] timer\n", false);
    blinks_by_hand("no delays");
    assert_string_equal(attribute("trigger"), "none");
}

static void test_light_that_comes_late(void **state)
{
    struct hx_led l;

    (void)state;
    hx_led_init(&l, class, "han", "io.han_led");
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 1000));
    assert_true(l.told);
    make_led("255\n", "[none]\n", false);
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 1999)); /* not asked again at once */
    assert_string_equal(attribute("brightness"), "0\n");
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 2000));
    assert_string_equal(attribute("brightness"), "255");
    assert_false(l.told);
}

/* Its driver is taken out and put in again while nothing changes: the new one is told anew. */
static void test_light_that_is_replaced(void **state)
{
    struct hx_led l;
    char command[128];

    (void)state;
    make_led("255\n", "[none]\n", false);
    hx_led_init(&l, class, "han", "io.han_led");
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 1000));
    snprintf(command, sizeof command, "mv %s/han %s/gone", class, class);
    assert_int_equal(system(command), 0);
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 1999)); /* once a second is enough */
    assert_false(l.told);
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 2000));
    assert_true(l.told);
    make_led("255\n", "[none]\n", false);
    assert_false(hx_led_show(&l, HX_LIGHT_ON, 3000));
    assert_string_equal(attribute("brightness"), "255");
    assert_false(l.told);
}

#define LED_TEST(f) cmocka_unit_test_setup_teardown(f, make_class, remove_class)
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_line_is_asked_for_as_a_contact_to_ground),
        TEST(test_chips_that_can_less),
        TEST(test_chip_by_its_label),
        TEST(test_line_in_use_is_not_begged_for),
        TEST(test_chip_that_comes_late_and_goes),
        TEST(test_lost_edge),
        TEST(test_digital_input),
        TEST(test_button_held),
        TEST(test_button_held_from_the_start),
        TEST(test_button_still_held_after_a_reset),
        TEST(test_button_found_long_after_the_start),
        TEST(test_nothing_fitted),
        TEST(test_sensors),
        LED_TEST(test_light_on_and_off),
        LED_TEST(test_light_blinks_by_the_kernels_timer),
        LED_TEST(test_light_blinks_without_a_timer),
        LED_TEST(test_light_blinks_when_delays_are_not_ours),
        LED_TEST(test_light_that_comes_late),
        LED_TEST(test_light_that_is_replaced),
    };
    return cmocka_run_group_tests_name("panel_io", tests, NULL, NULL);
}
