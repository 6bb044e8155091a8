/* web_guard.h - which requests are looked at at all: framing, Host, site of origin, content type.
 * In:     header values as texts.  Out: yes or no. Pure.
 * State:  none.
 * Source: RFC 9112, 3.2 (Host), 6.1 and 6.3 (request smuggling); Fetch Metadata (W3C), Sec-Fetch-
 *         Site; RFC 6454 (Origin). DNS rebinding: a foreign page's name that was made to point to
 *         us arrives in Host, so names that are not ours are refused. Addresses cannot be rebound.
 */
#ifndef HX_WEB_GUARD_H
#define HX_WEB_GUARD_H

#include "hx/base.h"

/** What the framing headers of a request are. Counts, since doubles are the danger. */
struct hx_web_framing {
    unsigned hosts, lengths, codings;
    const char *length, *coding; /* the last of each; NULL none */
};
/** @return true when the request has one Host, and its body one well-formed length. */
bool hx_web_framing_ok(const struct hx_web_framing *f);

/** @param host   value of Host: name or address, with or without port.
 * @param names  those of this device, without domain: ends with NULL.
 * @return true for addresses, localhost, one label under .local, and @p names alone or under a
 *         domain that nobody on the Internet can register. */
bool hx_web_host_ok(const char *host, const char *const *names);

/** For requests that change something.
 * @param origin  NULL when there is none.  @param site  value of Sec-Fetch-Site, NULL none.
 * @return true unless a browser says that another site's page sent it. */
bool hx_web_origin_ok(const char *host, const char *origin, const char *site);

/** @return true for application/json, with or without parameters. */
bool hx_web_is_json_type(const char *type);

#define HX_WEB_USER_MAX 64u
#define HX_WEB_PASSWORD_MAX 512u
/** User name and password as somebody gives them. NUL-terminated. */
struct hx_web_login {
    char username[HX_WEB_USER_MAX + 1u];
    char password[HX_WEB_PASSWORD_MAX + 1u];
};
/** Read `Basic <base64>` (RFC 7617).
 * @return HX_OK; HX_E_VALUE not Basic, not base64, without colon, with a NUL, or too long. */
enum hx_err hx_web_basic(const char *authorization, struct hx_web_login *out);

/** Find cookie @p name in the value of a Cookie header.
 * @return its value, inside @p cookies; empty span when it is not there. */
struct hx_span hx_web_cookie(const char *cookies, const char *name);

#endif
