/* mqtt_none.c - in place of the MQTT client in a program built without it. */
#include "mqtt_client.h"

#include "log.h"

#include <string.h>

enum hx_err hx_mqtt_client_open(const struct hx_mqtt_client_config *config, int dir_fd,
                                struct hx_mqtt_client **out)
{
    (void)config;
    (void)dir_fd;
    *out = NULL;
    hx_log(HX_LOG_ERROR, "mqtt.enabled is yes, but this program was built without MQTT");
    return HX_E_IO;
}

const char *hx_mqtt_client_state_name(enum hx_mqtt_client_state state)
{
    (void)state;
    return "off";
}

void hx_mqtt_client_post(struct hx_mqtt_client *c, const struct hx_state *s, unsigned news)
{
    (void)c;
    (void)s;
    (void)news;
}

void hx_mqtt_client_set(struct hx_mqtt_client *c, const struct hx_mqtt_client_config *config)
{
    (void)c;
    (void)config;
}

void hx_mqtt_client_status(struct hx_mqtt_client *c, struct hx_mqtt_status *out)
{
    (void)c;
    memset(out, 0, sizeof *out);
}

void hx_mqtt_client_close(struct hx_mqtt_client *c, unsigned wait_ms)
{
    (void)c;
    (void)wait_ms;
}
