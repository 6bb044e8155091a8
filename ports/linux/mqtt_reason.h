/* mqtt_reason.h - why a broker is not reached, in words a user can act on. Pure.
 * In:     codes of MQTT, of libmosquitto, of getaddrinfo, of OpenSSL.  Out: texts.  State: none.
 * Source: MQTT 5.0, 2.4 (reason codes); MQTT 3.1.1, table 3.1; mosquitto.h; getaddrinfo(3). */
#ifndef HX_MQTT_REASON_H
#define HX_MQTT_REASON_H

#include "hx/base.h"

/** CONNACK or DISCONNECT of the broker. @param v5  which protocol spoke. */
const char *hx_mqtt_reason_broker(int code, bool v5);
/** A return code of libmosquitto. */
const char *hx_mqtt_reason_library(int rc);
/** An error of getaddrinfo. */
const char *hx_mqtt_reason_lookup(int error);
/** An error line of OpenSSL, as libmosquitto logs it. @return NULL: nothing known about it. */
const char *hx_mqtt_reason_tls(const char *line);

#endif
