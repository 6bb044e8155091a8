/* mqtt_config.c - see mqtt_config.h. */
#include "mqtt_config.h"

#include <stdio.h>
#include <string.h>

#define RANDOM_MARK "<random>" /* in the setting topic: the device's number */

static void copy(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);

    HX_ASSERT(n < size); /* the settings table bounds its texts */
    memcpy(out, text, n + 1u);
}

/* The topic with the device's number in it. */
static void write_topic(const char *setting, uint32_t number, char *out, size_t size)
{
    const char *mark = strstr(setting, RANDOM_MARK);

    if (mark == NULL)
        copy(out, size, setting);
    else
        (void)snprintf(out, size, "%.*s%u%s", (int)(mark - setting), setting, number,
                       mark + sizeof RANDOM_MARK - 1u);
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || strchr(" \t", at[-1]) != NULL) && strchr(" \t", at[n]) != NULL)
            return true; /* strchr finds the end of the text too */
    return false;
}

static unsigned formats(const char *list)
{
    return (has_word(list, "han2x") ? (unsigned)HX_MQTT_HAN2X : 0u) |
           (has_word(list, "json") ? (unsigned)HX_MQTT_JSON : 0u);
}

/* The same gateway is the same client after a restart, so the broker ends a connection that a power
 * cut left open, and its late will cannot mark a running gateway as offline. Gateways must differ
 * in their topics anyway, so the id follows from the topic: as it is where any broker takes it
 * (MQTT 3.1.1, 3.1.3.1: 23 letters and digits), else its hash (FNV-1a). */
static void write_client_id(const char *topic, const char *prefix, char *out, size_t size)
{
    static const char allowed[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    uint64_t hash = 14695981039346656037u;

    if (prefix == NULL && strlen(topic) <= 23 && strspn(topic, allowed) == strlen(topic)) {
        copy(out, size, topic);
        return;
    }
    for (; *topic != '\0'; topic++)
        hash = (hash ^ (uint8_t)*topic) * 1099511628211u;
    (void)snprintf(out, size, "%s-%016llx", prefix != NULL ? prefix : "han2x",
                   (unsigned long long)hash);
}

static void write_link(const struct hx_settings *s, const struct hx_mqtt_config *mqtt,
                       struct hx_mqtt_link_config *out)
{
    struct hx_wr w = {.ptr = (uint8_t *)out->will_topic, .cap = sizeof out->will_topic - 1u};

    copy(out->urls, sizeof out->urls, s->text[HX_S_MQTT_URL]);
    out->port = (uint16_t)s->num[HX_S_MQTT_PORT];
    copy(out->username, sizeof out->username, s->text[HX_S_MQTT_USERNAME]);
    copy(out->password, sizeof out->password, s->text[HX_S_MQTT_PASSWORD]);
    copy(out->ca_file, sizeof out->ca_file, s->text[HX_S_MQTT_CA_FILE]);
    copy(out->client_cert, sizeof out->client_cert, s->text[HX_S_MQTT_CLIENT_CERT]);
    copy(out->client_key, sizeof out->client_key, s->text[HX_S_MQTT_CLIENT_KEY]);
    write_client_id(mqtt->topic, NULL, out->client_id, sizeof out->client_id);
    hx_mqtt_status_name(&w, mqtt);
}

void hx_mqtt_client_config(const struct hx_settings *s, uint32_t device_number,
                           struct hx_mqtt_client_config *out)
{
    memset(out, 0, sizeof *out);
    out->enabled = s->num[HX_S_MQTT_ENABLED] != 0;
    write_topic(s->text[HX_S_MQTT_TOPIC], device_number, out->mqtt.topic, sizeof out->mqtt.topic);
    copy(out->mqtt.ha_prefix, sizeof out->mqtt.ha_prefix, s->text[HX_S_MQTT_HOMEASSISTANT_PREFIX]);
    out->mqtt.interval_ms = (uint32_t)s->num[HX_S_MQTT_INTERVAL_S] * 1000u;
    out->mqtt.formats = formats(s->text[HX_S_MQTT_FORMAT]);
    out->mqtt.estimated = s->num[HX_S_MQTT_ESTIMATED] != 0;
    out->mqtt.homeassistant = s->num[HX_S_MQTT_HOMEASSISTANT] != 0;
    out->sparkplug = has_word(s->text[HX_S_MQTT_FORMAT], "sparkplug");
    write_client_id(out->mqtt.topic, "spark", out->sparkplug_id, sizeof out->sparkplug_id);
    out->qos = (uint8_t)s->num[HX_S_MQTT_QOS];
    out->retain = s->num[HX_S_MQTT_RETAIN] != 0;
    copy(out->timezone, sizeof out->timezone, s->text[HX_S_DEVICE_TIMEZONE]);
    write_link(s, &out->mqtt, &out->link);
}
