/* web_guard.c - see web_guard.h. */
#include "web_guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 253u /* RFC 1035, 2.3.4, as text */

bool hx_web_framing_ok(const struct hx_web_framing *f)
{
    if (f->hosts != 1 || f->lengths > 1 || f->codings > 1 || f->lengths + f->codings > 1)
        return false;
    if (f->length != NULL && (strlen(f->length) == 0 || strlen(f->length) > 10 ||
                              strspn(f->length, "0123456789") != strlen(f->length)))
        return false;
    return f->coding == NULL || strcasecmp(f->coding, "chunked") == 0;
}

/* --- Host --- */

/* Name or address without port and brackets, lower case. */
static bool split_host(const char *host, char out[HOST_MAX + 1u], bool *bracketed)
{
    const char *end;
    size_t n;

    *bracketed = host[0] == '[';
    host += *bracketed ? 1 : 0;
    end = *bracketed ? strchr(host, ']') : host + strcspn(host, ":");
    if (end == NULL || end == host || (size_t)(end - host) > HOST_MAX)
        return false;
    n = (size_t)(end - host);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)tolower((unsigned char)host[i]);
    out[n] = '\0';
    end += *bracketed ? 1 : 0;
    return *end == '\0' || (*end == ':' && strspn(end + 1, "0123456789") == strlen(end + 1));
}

static bool is_address(const char *host, bool bracketed)
{
    struct in_addr v4;
    struct in6_addr v6;

    return bracketed ? inet_pton(AF_INET6, host, &v6) == 1 : inet_pton(AF_INET, host, &v4) == 1;
}

/* Domains that cannot be registered: RFC 6762, RFC 8375, ICANN 2024 (internal), and two that
 * routers give out and that are not delegated. */
static bool is_private_domain(const char *domain)
{
    static const char *const domains[] = {"local", "lan", "home", "home.arpa", "internal"};

    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        if (strcmp(domain, domains[i]) == 0)
            return true;
    return false;
}

static bool is_ours(const char *host, const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || strncasecmp(host, name, n) != 0)
        return false;
    return host[n] == '\0' || (host[n] == '.' && is_private_domain(host + n + 1));
}

bool hx_web_host_ok(const char *host, const char *const *names)
{
    char name[HOST_MAX + 1u];
    const char *dot;
    bool bracketed;
    size_t n;

    if (!split_host(host, name, &bracketed))
        return false;
    if (is_address(name, bracketed))
        return true;
    if (bracketed)
        return false;
    n = strlen(name);
    if (n > 1 && name[n - 1] == '.')
        name[n - 1] = '\0'; /* "han2x.local." is the same name */
    dot = strchr(name, '.');
    if (strcmp(name, "localhost") == 0 ||
        (dot != NULL && dot != name && strcmp(dot, ".local") == 0))
        return true;
    for (; *names != NULL; names++)
        if (is_ours(name, *names))
            return true;
    return false;
}

/* --- site of origin --- */

bool hx_web_origin_ok(const char *host, const char *origin, const char *site)
{
    const char *rest;

    if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return false;
    if (origin == NULL)
        return true;
    rest = strstr(origin, "://"); /* "null" has none: a sandboxed page */
    return rest != NULL && strcasecmp(rest + 3, host) == 0;
}

bool hx_web_is_json_type(const char *type)
{
    static const char json[] = "application/json";
    size_t len;

    if (type == NULL)
        return false;
    len = strcspn(type, " \t;");
    if (len != sizeof json - 1u || strncasecmp(type, json, len) != 0)
        return false;
    type += len;
    type += strspn(type, " \t");
    return *type == '\0' || *type == ';';
}

/* --- Basic and cookies --- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* RFC 4648, section 4; padding may be missing, and nothing may follow it. */
static enum hx_err base64_decode(const char *text, struct hx_wr *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t digits = strcspn(text, "="), pads = strlen(text) - digits;

    if (digits % 4u == 1 || pads > 2 || strspn(text + digits, "=") != pads)
        return HX_E_VALUE;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(text[i]);

        if (digit < 0)
            return HX_E_VALUE;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            hx_wr_u8(out, (uint8_t)(bits >> have));
        }
    }
    return out->err;
}

enum hx_err hx_web_basic(const char *authorization, struct hx_web_login *out)
{
    uint8_t text[HX_WEB_USER_MAX + 1u + HX_WEB_PASSWORD_MAX];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};
    const uint8_t *colon;
    size_t name;
    enum hx_err err = HX_E_VALUE;

    if (strncasecmp(authorization, "Basic ", 6) != 0 ||
        base64_decode(authorization + 6 + strspn(authorization + 6, " "), &w) != HX_OK)
        goto out;
    colon = memchr(text, ':', w.len);
    if (colon == NULL || memchr(text, '\0', w.len) != NULL)
        goto out;
    name = (size_t)(colon - text);
    if (name > HX_WEB_USER_MAX || w.len - name - 1u > HX_WEB_PASSWORD_MAX)
        goto out;
    memcpy(out->username, text, name);
    out->username[name] = '\0';
    memcpy(out->password, colon + 1, w.len - name - 1u);
    out->password[w.len - name - 1u] = '\0';
    err = HX_OK;
out:
    explicit_bzero(text, sizeof text);
    return err;
}

struct hx_span hx_web_cookie(const char *cookies, const char *name)
{
    size_t n = strlen(name);

    while (*cookies != '\0') {
        size_t len = strcspn(cookies, ";");

        if (len > n && strncmp(cookies, name, n) == 0 && cookies[n] == '=')
            return (struct hx_span){(const uint8_t *)cookies + n + 1, len - n - 1u};
        cookies += len;
        cookies += strspn(cookies, "; ");
    }
    return (struct hx_span){(const uint8_t *)cookies, 0};
}
