/* web_tls.c - see web_tls.h. */
#include "web_tls.h"

#include "file_replace.h"
#include "file_text.h"
#include "log.h"
#include "unconst.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define FILE_MAX_OCTETS 65536u
#define PEM_MAX 8192u
#define DAY_S 86400
#define EARLIEST_S INT64_C(1735689600) /* 2025-01-01: a machine without a clock is not older */
#define NAME "han2x.local"

/* --- names --- */

static bool is_wanted(const struct ifaddrs *i)
{
    if (i->ifa_addr == NULL || (i->ifa_flags & IFF_LOOPBACK) != 0 || (i->ifa_flags & IFF_UP) == 0)
        return false;
    if (i->ifa_addr->sa_family == AF_INET)
        return true;
    if (i->ifa_addr->sa_family != AF_INET6)
        return false;
    return !IN6_IS_ADDR_LINKLOCAL(
        &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr);
}

static void add_address(const struct sockaddr *a, struct hx_web_names *out)
{
    char *text = out->address[out->addresses];
    socklen_t size =
        a->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

    if (out->addresses < HX_TLS_ADDRESSES &&
        getnameinfo(a, size, text, sizeof out->address[0], NULL, 0, NI_NUMERICHOST) == 0)
        out->addresses++;
}

void hx_web_names_find(const char *configured, struct hx_web_names *out)
{
    struct ifaddrs *list = NULL;
    char *dot;

    memset(out, 0, sizeof *out); /* compared as octets */
    (void)snprintf(out->configured, sizeof out->configured, "%s", configured);
    if (gethostname(out->hostname, sizeof out->hostname - 1u) != 0)
        out->hostname[0] = '\0';
    dot = strchr(out->hostname, '.');
    if (dot != NULL)
        memset(dot, 0, sizeof out->hostname - (size_t)(dot - out->hostname));
    if (getifaddrs(&list) != 0)
        return;
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        if (is_wanted(i))
            add_address(i->ifa_addr, out);
    freeifaddrs(list);
}

bool hx_web_names_same(const struct hx_web_names *a, const struct hx_web_names *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* --- making one --- */

static int add_names(gnutls_x509_crt_t crt, const struct hx_web_names *n)
{
    const char *bases[2] = {n->hostname, n->configured};
    char name[80];
    int err = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, NAME,
                                                   (unsigned)strlen(NAME), GNUTLS_FSAN_APPEND);

    for (size_t i = 0; i < 2 && err >= 0; i++) {
        if (bases[i][0] == '\0')
            continue;
        err = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, bases[i],
                                                   (unsigned)strlen(bases[i]), GNUTLS_FSAN_APPEND);
        (void)snprintf(name, sizeof name, "%s.local", bases[i]);
        if (err >= 0 && strcmp(name, NAME) != 0)
            err = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
                                                       (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
    }
    for (unsigned i = 0; i < n->addresses && err >= 0; i++) {
        uint8_t octets[16];
        bool v6 = strchr(n->address[i], ':') != NULL;

        if (inet_pton(v6 ? AF_INET6 : AF_INET, n->address[i], octets) == 1)
            err = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, octets,
                                                       v6 ? 16 : 4, GNUTLS_FSAN_APPEND);
    }
    return err;
}

static int fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const struct hx_web_names *names,
                int64_t utc_s)
{
    const char *cn = names->hostname[0] != '\0' ? names->hostname : "han2x";
    int64_t from = utc_s > EARLIEST_S ? utc_s - DAY_S : EARLIEST_S;
    uint8_t serial[16], id[32];
    size_t id_len = sizeof id;

    if (getrandom(serial, sizeof serial, 0) != (ssize_t)sizeof serial)
        return GNUTLS_E_RANDOM_FAILED;
    serial[0] = (uint8_t)((serial[0] & 0x3Fu) | 0x40u); /* positive, of full length */
    if (gnutls_x509_crt_set_version(crt, 3) < 0 ||
        gnutls_x509_crt_set_serial(crt, serial, sizeof serial) < 0 ||
        gnutls_x509_crt_set_activation_time(crt, (time_t)from) < 0 ||
        gnutls_x509_crt_set_expiration_time(crt, (time_t)(from + HX_TLS_DAYS * DAY_S)) < 0 ||
        gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn,
                                      (unsigned)strlen(cn)) < 0 ||
        gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, "han2x gateway",
                                      13) < 0 ||
        gnutls_x509_crt_set_key(crt, key) < 0 ||
        gnutls_x509_crt_set_basic_constraints(crt, 1, 0) < 0 ||
        gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE |
                                               GNUTLS_KEY_KEY_CERT_SIGN) < 0 ||
        gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0) < 0 ||
        gnutls_x509_crt_get_key_id(crt, 0, id, &id_len) < 0 ||
        gnutls_x509_crt_set_subject_key_id(crt, id, id_len) < 0 || add_names(crt, names) < 0)
        return GNUTLS_E_INTERNAL_ERROR;
    return gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
}

/* @return HX_OK and both texts on the heap. */
static enum hx_err make(const struct hx_web_names *names, int64_t utc_s, char **key_pem,
                        char **cert_pem)
{
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL;
    size_t key_len = PEM_MAX - 1u, cert_len = PEM_MAX - 1u;
    enum hx_err err = HX_E_IO;

    *key_pem = calloc(1, PEM_MAX);
    *cert_pem = calloc(1, PEM_MAX);
    if (*key_pem != NULL && *cert_pem != NULL && gnutls_x509_privkey_init(&key) >= 0 &&
        gnutls_x509_crt_init(&crt) >= 0 &&
        gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) >= 0 &&
        fill(crt, key, names, utc_s) >= 0 &&
        gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, *key_pem, &key_len) >= 0 &&
        gnutls_x509_crt_export(crt, GNUTLS_X509_FMT_PEM, *cert_pem, &cert_len) >= 0)
        err = HX_OK;
    if (key != NULL)
        gnutls_x509_privkey_deinit(key);
    if (crt != NULL)
        gnutls_x509_crt_deinit(crt);
    if (err != HX_OK)
        hx_log(HX_LOG_ERROR, "a certificate for HTTPS could not be made");
    return err;
}

/* --- judging one --- */

static bool fits(gnutls_x509_crt_t crt, const struct hx_web_names *names, int64_t utc_s)
{
    for (unsigned i = 0; i < names->addresses; i++)
        if (gnutls_x509_crt_check_hostname(crt, names->address[i]) == 0)
            return false;
    if (gnutls_x509_crt_check_hostname(crt, NAME) == 0 ||
        (names->hostname[0] != '\0' && gnutls_x509_crt_check_hostname(crt, names->hostname) == 0) ||
        (names->configured[0] != '\0' &&
         gnutls_x509_crt_check_hostname(crt, names->configured) == 0))
        return false;
    return utc_s == 0 ||
           (gnutls_x509_crt_get_activation_time(crt) <= utc_s &&
            gnutls_x509_crt_get_expiration_time(crt) > utc_s + HX_TLS_RENEW_DAYS * DAY_S);
}

static bool is_pair(gnutls_x509_crt_t crt, const char *key_pem)
{
    const gnutls_datum_t pem = {unconst(key_pem), (unsigned)strlen(key_pem)};
    gnutls_x509_privkey_t key;
    uint8_t a[32], b[32];
    size_t a_len = sizeof a, b_len = sizeof b;
    bool same;

    if (gnutls_x509_privkey_init(&key) < 0)
        return false;
    same = gnutls_x509_privkey_import(key, &pem, GNUTLS_X509_FMT_PEM) >= 0 &&
           gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, a, &a_len) >= 0 &&
           gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, b, &b_len) >= 0 &&
           a_len == b_len && memcmp(a, b, a_len) == 0;
    gnutls_x509_privkey_deinit(key);
    return same;
}

/* Key and certificate belong together; the fingerprint. @param names  NULL: any will do. */
static bool judge(struct hx_web_tls *t, const struct hx_web_names *names, int64_t utc_s)
{
    const gnutls_datum_t pem = {(unsigned char *)t->cert, (unsigned)strlen(t->cert)};
    gnutls_x509_crt_t crt;
    uint8_t digest[32];
    size_t len = sizeof digest;
    bool good;

    if (gnutls_x509_crt_init(&crt) < 0)
        return false;
    good = gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM) >= 0 && is_pair(crt, t->key) &&
           (names == NULL || fits(crt, names, utc_s)) &&
           gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, digest, &len) >= 0;
    for (size_t i = 0; good && i < sizeof digest; i++)
        (void)snprintf(t->sha256 + 2u * i, 3, "%02x", digest[i]);
    gnutls_x509_crt_deinit(crt);
    return good;
}

/* --- files --- */

static void free_text(char **text)
{
    if (*text == NULL)
        return;
    explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static void free_texts(struct hx_web_tls *t)
{
    free_text(&t->key);
    free_text(&t->cert); /* a user's may hold the key too */
}

static bool read_both(struct hx_web_tls *t, const char *cert_file, const char *key_file,
                      const char **bad)
{
    struct hx_span text;
    uint8_t *memory = NULL;

    *bad = cert_file;
    if (!file_text_read(cert_file, FILE_MAX_OCTETS, &memory, &text))
        return false;
    t->cert = (char *)memory;
    *bad = key_file;
    memory = NULL;
    if (!file_text_read(key_file, FILE_MAX_OCTETS, &memory, &text))
        return false;
    t->key = (char *)memory;
    return true;
}

/* What stands between certificates goes: in one file with them there may be the key, and whoever
 * asks for the certificate must not get that. RFC 7468. */
static void keep_certificates(char *pem)
{
    static const char head[] = "-----BEGIN ", tail[] = "CERTIFICATE-----";
    char *to = pem, *from = strstr(pem, head), *end = pem + strlen(pem);

    while (from != NULL) {
        const char *line = from + strcspn(from, "\r\n");
        char *last = strstr(from, "-----END ");
        bool wanted = (size_t)(line - from) >= sizeof head + sizeof tail - 2u &&
                      strncmp(line - (sizeof tail - 1u), tail, sizeof tail - 1u) == 0;

        if (last == NULL)
            break;
        last += strcspn(last, "\r\n");
        if (wanted) {
            size_t n = (size_t)(last - from);

            memmove(to, from, n);
            to += n;
            if (to < end)
                *to++ = '\n';
        }
        from = last < end ? strstr(last + 1, head) : NULL;
    }
    explicit_bzero(to, (size_t)(end - to));
}

static enum hx_err load_users(struct hx_web_tls *t, const char *cert_file, const char *key_file)
{
    const char *bad;

    bool tell = !t->told;

    t->told = true;
    if (!read_both(t, cert_file, key_file, &bad)) {
        if (tell)
            hx_log(HX_LOG_ERROR, "%s: cannot be read: %s; web.tls_cert and web.tls_key go together",
                   *bad != '\0'       ? bad
                   : bad == cert_file ? "web.tls_cert"
                                      : "web.tls_key",
                   *bad != '\0' ? strerror(errno) : "it is empty");
        return HX_E_IO;
    }
    if (judge(t, NULL, 0)) {
        keep_certificates(t->cert);
        t->told = false;
        return HX_OK;
    }
    if (tell)
        hx_log(HX_LOG_ERROR, "%s and %s are not a certificate and its key in PEM form", cert_file,
               key_file);
    return HX_E_IO;
}

static void save(const struct hx_web_tls *t, const char *cert_file, const char *key_file)
{
    const struct hx_span key = {(const uint8_t *)t->key, strlen(t->key)};
    const struct hx_span cert = {(const uint8_t *)t->cert, strlen(t->cert)};

    if (file_replace(key_file, key, 0600) != HX_OK || file_replace(cert_file, cert, 0644) != HX_OK)
        hx_log(HX_LOG_WARNING, "%s: %s; the certificate may be another after the next start",
               key_file, strerror(errno));
}

enum hx_err hx_web_tls_load(struct hx_web_tls *t, const char *cert_file, const char *key_file,
                            const char *state_dir, const struct hx_web_names *names, int64_t utc_s)
{
    char own_cert[PATH_MAX], own_key[PATH_MAX];
    const char *bad;
    bool read, gone;

    *t = (struct hx_web_tls){.own = *cert_file == '\0' && *key_file == '\0', .told = t->told};
    if (!t->own) {
        enum hx_err err = load_users(t, cert_file, key_file);

        if (err != HX_OK)
            free_texts(t);
        return err;
    }
    t->told = false;
    if (snprintf(own_cert, sizeof own_cert, "%s/tls.crt", state_dir) >= (int)sizeof own_cert ||
        snprintf(own_key, sizeof own_key, "%s/tls.key", state_dir) >= (int)sizeof own_key)
        return HX_E_IO;
    read = read_both(t, own_cert, own_key, &bad);
    gone = !read && (errno == ENOENT || errno == EFBIG);
    if (read && judge(t, names, utc_s))
        return HX_OK;
    if (!read && !gone)
        hx_log(HX_LOG_WARNING, "%s cannot be read: %s; a certificate is made for this run", bad,
               strerror(errno));
    hx_web_tls_free(t);
    t->own = true;
    if (make(names, utc_s, &t->key, &t->cert) != HX_OK || !judge(t, NULL, 0)) {
        free_texts(t);
        return HX_E_IO;
    }
    if (read || gone) /* what cannot be read today may be read tomorrow */
        save(t, own_cert, own_key);
    hx_log(HX_LOG_NOTICE, "a certificate for HTTPS was made, SHA-256 %s", t->sha256);
    return HX_OK;
}

bool hx_web_tls_is_due(const struct hx_web_tls *t, const struct hx_web_names *names, int64_t utc_s)
{
    gnutls_datum_t pem;
    gnutls_x509_crt_t crt;
    bool due;

    if (!t->own || t->cert == NULL || gnutls_x509_crt_init(&crt) < 0)
        return false;
    pem = (gnutls_datum_t){(unsigned char *)t->cert, (unsigned)strlen(t->cert)};
    due = gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM) >= 0 && !fits(crt, names, utc_s);
    gnutls_x509_crt_deinit(crt);
    return due;
}

void hx_web_tls_free(struct hx_web_tls *t)
{
    free_texts(t);
    *t = (struct hx_web_tls){.key = NULL};
}
