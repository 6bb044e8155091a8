/* mqtt_tls.c - see mqtt_tls.h. */
#include "mqtt_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a user can do something about; others get OpenSSL's own words. */
static const struct {
    int code;
    const char *text;
} reasons[] = {
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "certificate from an unknown authority"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "certificate from an unknown authority"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "certificate from an unknown authority"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "certificate from an unknown authority"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "certificate signed by itself, and not in ca_file"},
    {X509_V_ERR_CERT_REVOKED, "certificate revoked"},
    {X509_V_ERR_INVALID_PURPOSE, "certificate is not for a server"},
};

/* YYYY-MM-DD of a certificate's time. */
static void format_day(const ASN1_TIME *time, char out[16])
{
    struct tm t;

    if (ASN1_TIME_to_tm(time, &t) != 1 || strftime(out, 16, "%Y-%m-%d", &t) == 0)
        out[0] = '\0';
}

static void say(struct hx_mqtt_tls *t, int code, const X509 *cert)
{
    char day[16] = "";

    if (code == X509_V_ERR_CERT_HAS_EXPIRED && cert != NULL) {
        format_day(X509_get0_notAfter(cert), day);
        (void)snprintf(t->why, sizeof t->why, "certificate expired %s", day);
        return;
    }
    if (code == X509_V_ERR_CERT_NOT_YET_VALID && cert != NULL) {
        format_day(X509_get0_notBefore(cert), day);
        (void)snprintf(t->why, sizeof t->why,
                       "certificate not valid before %s: is this machine's clock right?", day);
        return;
    }
    if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        (void)snprintf(t->why, sizeof t->why, "certificate is not for %.120s", t->host);
        return;
    }
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].code == code) {
            (void)snprintf(t->why, sizeof t->why, "%s", reasons[i].text);
            return;
        }
    (void)snprintf(t->why, sizeof t->why, "certificate: %s", X509_verify_cert_error_string(code));
}

/* Keeps the first reason: later ones follow from it. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct hx_mqtt_tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (!ok && t->why[0] == '\0')
        say(t, X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_current_cert(store));
    return ok;
}

static bool is_address(const char *host)
{
    unsigned char octets[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, octets) == 1 || inet_pton(AF_INET6, host, octets) == 1;
}

/* libmosquitto is given an address, because it tries only the first one of a name when told not to
 * block; so the name for the broker's choice of certificate (SNI, RFC 6066, 3) is set here, before
 * the first message goes out. An address is no server name there. */
static void on_info(const SSL *ssl, int where, int value)
{
    struct hx_mqtt_tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL *own;

    (void)value;
    if ((where & SSL_CB_HANDSHAKE_START) == 0 || SSL_is_server(ssl))
        return;
    /* To lose the const of the callback's type: setting the name is what the callback is for. */
    memcpy(&own, &ssl, sizeof own); /* NOLINT(bugprone-sizeof-expression): the pointer is meant */
    (void)SSL_set_tlsext_host_name(own, is_address(t->host) ? NULL : t->host);
}

/* In TLS 1.3 a broker refuses a client after its part of the handshake, and the alert that says so
 * is lost when we have written by then. */
static int on_asked(SSL *ssl, void *ctx)
{
    struct hx_mqtt_tls *t = ctx;

    (void)ssl;
    t->asked = true;
    return 1;
}

static bool set_host(struct hx_mqtt_tls *t)
{
    X509_VERIFY_PARAM *p = SSL_CTX_get0_param(t->ctx);

    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(t->host))
        return X509_VERIFY_PARAM_set1_ip_asc(p, t->host) == 1;
    return X509_VERIFY_PARAM_set1_host(p, t->host, 0) == 1;
}

static enum hx_err refuse(struct hx_mqtt_tls *t, const char *key, const char *path)
{
    const char *detail = ERR_reason_error_string(ERR_peek_error());

    if (access(path, R_OK) != 0)
        detail = "cannot be read";
    (void)snprintf(t->why, sizeof t->why, "%s %.100s: %.60s", key, path,
                   detail != NULL ? detail : "no certificate in it");
    ERR_clear_error();
    hx_mqtt_tls_close(t);
    return HX_E_IO;
}

static enum hx_err load_own(struct hx_mqtt_tls *t, const char *cert, const char *key)
{
    if (cert[0] == '\0')
        return HX_OK;
    if (SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1)
        return refuse(t, "client_cert", cert);
    if (key[0] == '\0')
        key = cert; /* both may stand in one file */
    if (SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(t->ctx) != 1)
        return refuse(t, "client_key", key);
    t->shown = true;
    return HX_OK;
}

/* A key with a pass phrase would ask for it on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return 0;
}

enum hx_err hx_mqtt_tls_open(struct hx_mqtt_tls *t, const char *host, const char *ca_file,
                             const char *cert, const char *key)
{
    memset(t, 0, sizeof *t);
    (void)snprintf(t->host, sizeof t->host, "%s", host);
    ERR_clear_error();
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (t->ctx == NULL || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1 ||
        !set_host(t)) {
        (void)snprintf(t->why, sizeof t->why, "TLS cannot be set up for %.120s", host);
        hx_mqtt_tls_close(t);
        return HX_E_IO;
    }
    SSL_CTX_set_app_data(t->ctx, t);
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(t->ctx, on_info);
    SSL_CTX_set_cert_cb(t->ctx, on_asked, t);
    SSL_CTX_set_default_passwd_cb(t->ctx, no_password);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    if (ca_file[0] == '\0' ? SSL_CTX_set_default_verify_paths(t->ctx) != 1
                           : SSL_CTX_load_verify_file(t->ctx, ca_file) != 1)
        return refuse(t, "ca_file", ca_file);
    return load_own(t, cert, key);
}

void hx_mqtt_tls_close(struct hx_mqtt_tls *t)
{
    SSL_CTX_free(t->ctx);
    t->ctx = NULL;
}
