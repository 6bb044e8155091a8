/* web_tls.h - the certificate of the HTTPS server: the user's, or one that we make.
 * In:     files of the user's, or the names and addresses of this machine.  Out: key and
 *         certificate as PEM texts.
 * State:  struct hx_web_tls, owned by the caller. Ours are kept in the state folder, tls.key and
 *         tls.crt, and made anew when a name or address is missing in them or the end is near.
 * Source: RFC 5280; CA/Browser Forum's and Apple's limit of 825 days for certificates that a
 *         user chose to trust. It is marked as an authority, since Android takes no other kind in.
 */
#ifndef HX_WEB_TLS_H
#define HX_WEB_TLS_H

#include "hx/base.h"

#define HX_TLS_ADDRESSES 16u
#define HX_TLS_DAYS 820
#define HX_TLS_RENEW_DAYS 30

/** Names and addresses of this machine. */
struct hx_web_names {
    char hostname[64];   /* of the machine, no domain */
    char configured[64]; /* network.hostname */
    unsigned addresses;
    char address[HX_TLS_ADDRESSES][46]; /* as text, no loopback, no link-local */
};
void hx_web_names_find(const char *configured, struct hx_web_names *out);
bool hx_web_names_same(const struct hx_web_names *a, const struct hx_web_names *b);

struct hx_web_tls {
    char *key, *cert; /* PEM, NUL-terminated, on the heap */
    char sha256[65];  /* fingerprint of the certificate, hex */
    bool own;         /* made by us */
    bool told;        /* why it could not be loaded: said in the log */
};

/** @param cert_file, key_file  "" for our own.  @param utc_s  0 when the clock is not known.
 * @return HX_OK, and in cert nothing but certificates; HX_E_IO, logged the first time. */
enum hx_err hx_web_tls_load(struct hx_web_tls *t, const char *cert_file, const char *key_file,
                            const char *state_dir, const struct hx_web_names *names, int64_t utc_s);
/** @return true when a certificate that was made by us no longer fits @p names or the time. */
bool hx_web_tls_is_due(const struct hx_web_tls *t, const struct hx_web_names *names, int64_t utc_s);
void hx_web_tls_free(struct hx_web_tls *t);

#endif
