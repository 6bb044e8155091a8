/* mqtt_url.h - the list of brokers in the settings.
 * In:     checked text of the setting url.  Out: host, port, TLS of each.  State: none. */
#ifndef HX_MQTT_URL_H
#define HX_MQTT_URL_H

#include "hx/settings.h"

#define HX_MQTT_URLS_MAX 16u
#define HX_MQTT_PORT 1883u  /* IANA: mqtt */
#define HX_MQTTS_PORT 8883u /* IANA: secure-mqtt */

struct hx_mqtt_url {
    bool tls;
    uint16_t port;
    char host[HX_SETTING_TEXT_MAX + 1u]; /* without the brackets of an IPv6 address */
};

/** Read the @p n-th URL, from 0.
 * @param port  the setting, for URLs without one. At its default TLS means the TLS port: nobody
 *              speaks TLS on the plain one.
 * @return HX_OK; HX_E_LEN there are not so many; HX_E_VALUE it is none. */
enum hx_err hx_mqtt_url_parse(const char *urls, unsigned n, uint16_t port, struct hx_mqtt_url *out);
/** @return "mqtts://host:8883", in @p text. */
const char *hx_mqtt_url_text(const struct hx_mqtt_url *u, char *text, size_t size);

#endif
