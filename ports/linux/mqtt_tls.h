/* mqtt_tls.h - TLS towards a broker: its certificate and host name are always checked.
 * In:     files from the settings.  Out: SSL_CTX for libmosquitto; reasons in words.
 * State:  struct hx_mqtt_tls, owned by the caller, for one connection; it must outlive it.
 * Source: RFC 6125 (host names), X509_VERIFY_PARAM_set_flags(3). libmosquitto's own check says
 *         only that it failed; ours keeps why. */
#ifndef HX_MQTT_TLS_H
#define HX_MQTT_TLS_H

#include "hx/base.h"

#include <openssl/ssl.h>

#define HX_MQTT_TLS_TEXT 192u

struct hx_mqtt_tls {
    SSL_CTX *ctx;
    char host[256];
    char why[HX_MQTT_TLS_TEXT]; /* "" while nothing failed */
    bool asked;                 /* the broker asked for a certificate of ours … */
    bool shown;                 /* … and we have one */
};

/** Make a context that trusts @p ca_file, or the system when it is empty, and shows @p cert with
 * @p key when they are not empty. @p host is checked against the certificate.
 * @return HX_OK; HX_E_IO: t->why says which file and what is wrong with it. */
enum hx_err hx_mqtt_tls_open(struct hx_mqtt_tls *t, const char *host, const char *ca_file,
                             const char *cert, const char *key);
void hx_mqtt_tls_close(struct hx_mqtt_tls *t);

#endif
