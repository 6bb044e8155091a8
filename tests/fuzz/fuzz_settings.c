/* Settings file: whatever is read can be written and edited, reads back the same, and the parts
 * that read texts in it further (brokers, network, announcement) find what they need.
 * In:     any octets as a settings file.  Seeds: files from `han2x settings --format conf`. */
#include <stdlib.h>
#include <string.h>

#include "hx/settings.h"

#include "mdns.h"
#include "mqtt_config.h"
#include "mqtt_url.h"
#include "network_plan.h"

#define OUT_SIZE (1u << 20)

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct hx_span str(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

/* A good file, one setting edited: it still reads, only this setting is other than before. */
static void edit(struct hx_span file, const struct hx_settings *before, enum hx_setting_id id)
{
    static struct hx_settings wanted, got;
    struct hx_settings_fault fault;
    uint8_t *out = malloc(file.len + 4096u);
    struct hx_wr w = {.ptr = out, .cap = file.len + 4096u};
    require(out != NULL);
    wanted = *before;
    require(hx_settings_set(&wanted, id, str(hx_setting_row(id)->def)) == HX_OK);
    hx_ini_edit(&w, file, &wanted, id);
    require(w.err == HX_OK);
    hx_settings_init(&got);
    require(hx_settings_parse(&got, (struct hx_span){out, w.len}, &fault) == HX_OK);
    require(got.num[id] == wanted.num[id] && strcmp(got.text[id], wanted.text[id]) == 0);
    free(out);
}

static void write_and_read(const struct hx_settings *s)
{
    static uint8_t out[OUT_SIZE];
    static struct hx_settings got;
    struct hx_settings_fault fault;
    struct hx_wr w = {.ptr = out, .cap = sizeof out};
    hx_settings_file(&w, s);
    require(w.err == HX_OK);
    hx_settings_init(&got);
    require(hx_settings_parse(&got, (struct hx_span){out, w.len}, &fault) == HX_OK);
    require(memcmp(&got, s, sizeof got) == 0);
}

/* Every word of the setting is a broker; a text with its port is the same broker again. */
static void brokers(const struct hx_settings *s)
{
    static struct hx_mqtt_client_config c;
    struct hx_mqtt_url url, again;
    char text[HX_SETTING_TEXT_MAX + 32u];
    enum hx_err err = HX_OK;
    hx_mqtt_client_config(s, 70388, &c);
    require(strlen(c.link.client_id) > 0 && strlen(c.mqtt.topic) > 0);
    for (unsigned n = 0; err == HX_OK; n++) {
        err = hx_mqtt_url_parse(s->text[HX_S_MQTT_URL], n, HX_MQTT_PORT, &url);
        require(err == HX_OK || (err == HX_E_LEN && n <= HX_SETTING_TEXT_MAX / 2u));
        if (err != HX_OK)
            break;
        require(url.host[0] != '\0' && url.port != 0);
        hx_mqtt_url_text(&url, text, sizeof text);
        require(hx_mqtt_url_parse(text, 0, 1, &again) == HX_OK && again.port == url.port);
        require(again.tls == url.tls && strcmp(again.host, url.host) == 0);
    }
}

/* Any word as a broker, checked or not. */
static void any_broker(struct hx_span file)
{
    struct hx_mqtt_url url;
    char *text = malloc(file.len + 1u);
    enum hx_err err;
    require(text != NULL);
    memcpy(text, file.len > 0 ? file.ptr : (const uint8_t *)"", file.len);
    text[file.len] = '\0';
    err = hx_mqtt_url_parse(text, 0, HX_MQTT_PORT, &url);
    require(err != HX_OK || (url.host[0] != '\0' && url.port != 0));
    free(text);
}

static void further(const struct hx_settings *s)
{
    static struct hx_state state;
    struct hx_net_plan plan;
    struct hx_mdns_config announced;
    enum hx_setting_id id;
    const char *why = NULL;
    brokers(s);
    if (hx_net_plan_from(s, &plan, &id, &why) != HX_OK)
        require(s->num[HX_S_NETWORK_MANAGE] != 0 && why != NULL && id < HX_SETTING_COUNT);
    hx_mdns_config(s, &state, &announced);
    require(announced.name[0] != '\0' && strnlen(announced.name, 64) < 64);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        if (hx_setting_row((enum hx_setting_id)i)->type == HX_SET_ENUM) {
            require(hx_settings_choice(s, (enum hx_setting_id)i).len > 0);
            (void)hx_settings_choice_number(s, (enum hx_setting_id)i); /* 0 for a word */
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hx_settings s;
    struct hx_settings_fault fault = {.fault = HX_FAULT_NONE};
    struct hx_span file = {data, size};
    enum hx_setting_id near;
    any_broker(file);
    hx_settings_init(&s);
    if (hx_settings_parse(&s, file, &fault) != HX_OK) {
        require(fault.fault != HX_FAULT_NONE && fault.line > 0);
        (void)hx_setting_nearest(fault.section, fault.key, &near); /* must only not fail */
        return 0;
    }
    write_and_read(&s);
    further(&s);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i += 7)
        edit(file, &s, (enum hx_setting_id)i);
    return 0;
}
