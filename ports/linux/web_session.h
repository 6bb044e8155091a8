/* web_session.h - who is logged in: sessions of browsers, and back-off after failed logins.
 * In:     tokens, addresses, the time.  Out: yes, no, or how long to wait. Pure but for random
 *         numbers, which the caller gives.
 * State:  two structs, owned by the caller; one thread. Both are bounded: the session that is idle
 *         longest and the address that failed longest ago make room.
 * Source: OWASP ASVS 4.0, 3.2 and 2.2.1 (session tokens of 128 bits, throttling). */
#ifndef HX_WEB_SESSION_H
#define HX_WEB_SESSION_H

#include "hx/base.h"

#define HX_WEB_SESSIONS 32u
#define HX_WEB_TOKEN 16u                              /* octets; twice as many as hex text */
#define HX_WEB_IDLE_MS (UINT64_C(12) * 3600u * 1000u) /* an idle session ends */

struct hx_web_session {
    bool used;
    uint8_t token[HX_WEB_TOKEN];
    uint64_t seen_ms;
};
struct hx_web_sessions {
    struct hx_web_session session[HX_WEB_SESSIONS];
};

/** Begin a session. @param random  fresh from the system. @param[out] text  hex, NUL-terminated. */
void hx_web_session_begin(struct hx_web_sessions *s, const uint8_t random[HX_WEB_TOKEN],
                          uint64_t now_ms, char text[2u * HX_WEB_TOKEN + 1u]);
/** @return true when @p text is the token of a session that lives; its idle time begins anew. */
bool hx_web_session_touch(struct hx_web_sessions *s, struct hx_span text, uint64_t now_ms);
/** The same without a new idle time: for what goes on by itself, as a stream of events does. */
bool hx_web_session_lives(const struct hx_web_sessions *s, struct hx_span text, uint64_t now_ms);
void hx_web_session_end(struct hx_web_sessions *s, struct hx_span text);
/** The password changed. */
void hx_web_session_end_all(struct hx_web_sessions *s);

#define HX_WEB_FREE_FAILURES 5u    /* failures without a wait */
#define HX_WEB_WAIT_MIN_MS 1000u   /* after that many; doubles with each further one … */
#define HX_WEB_WAIT_MAX_MS 300000u /* … up to this */
#define HX_WEB_FORGET_MS 3600000u  /* an hour without a failure: all is forgotten */
#define HX_WEB_ADDRESSES 64u
#define HX_WEB_ADDRESS 16u /* octets: IPv6, or IPv4 mapped into it */

/** @return true for one IPv4 address, or one IPv6 network of 64 bits. */
bool hx_web_is_same_client(const uint8_t a[HX_WEB_ADDRESS], const uint8_t b[HX_WEB_ADDRESS]);

/** Failures of one address, or of all together. */
struct hx_web_failures {
    uint8_t address[HX_WEB_ADDRESS];
    bool used;
    uint32_t count;
    uint64_t last_ms;
};
struct hx_web_backoff {
    struct hx_web_failures all, by[HX_WEB_ADDRESSES];
    struct hx_web_failures good[8]; /* addresses that logged in: failures of others don't hold them
                                       up, so a stranger cannot keep the owner out */
};

/** @return ms until a login from @p address is looked at again; 0 now. */
uint64_t hx_web_backoff_wait_ms(const struct hx_web_backoff *b,
                                const uint8_t address[HX_WEB_ADDRESS], uint64_t now_ms);
void hx_web_backoff_failed(struct hx_web_backoff *b, const uint8_t address[HX_WEB_ADDRESS],
                           uint64_t now_ms);
void hx_web_backoff_good(struct hx_web_backoff *b, const uint8_t address[HX_WEB_ADDRESS],
                         uint64_t now_ms);

#endif
