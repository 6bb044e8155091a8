/* web_session.c - see web_session.h. */
#include "web_session.h"

#include <string.h>

/* --- sessions --- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_token(struct hx_span text, uint8_t token[HX_WEB_TOKEN])
{
    if (text.len != 2u * HX_WEB_TOKEN)
        return false;
    for (size_t i = 0; i < HX_WEB_TOKEN; i++) {
        int high = hex_digit(text.ptr[2u * i]), low = hex_digit(text.ptr[2u * i + 1u]);

        if (high < 0 || low < 0)
            return false;
        token[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* In the same time whatever the octets are: how many fit must not show. */
static bool is_same(const uint8_t *a, const uint8_t *b, size_t n)
{
    unsigned other = 0;

    for (size_t i = 0; i < n; i++)
        other |= (unsigned)(a[i] ^ b[i]);
    return other == 0;
}

#define NONE HX_WEB_SESSIONS

static size_t find(const struct hx_web_sessions *s, struct hx_span text)
{
    uint8_t token[HX_WEB_TOKEN];
    size_t found = NONE;

    if (!read_token(text, token))
        return NONE;
    for (size_t i = 0; i < HX_WEB_SESSIONS; i++)
        if (is_same(s->session[i].token, token, sizeof token) && s->session[i].used)
            found = i;
    return found;
}

static bool is_idle(const struct hx_web_session *c, uint64_t now_ms)
{
    return now_ms - c->seen_ms >= HX_WEB_IDLE_MS;
}

void hx_web_session_begin(struct hx_web_sessions *s, const uint8_t random[HX_WEB_TOKEN],
                          uint64_t now_ms, char text[2u * HX_WEB_TOKEN + 1u])
{
    static const char digits[] = "0123456789abcdef";
    struct hx_web_session *slot = &s->session[0];

    for (size_t i = 0; i < HX_WEB_SESSIONS; i++) {
        struct hx_web_session *c = &s->session[i];

        if (slot->used && (!c->used || c->seen_ms < slot->seen_ms))
            slot = c;
    }
    slot->used = true;
    slot->seen_ms = now_ms;
    memcpy(slot->token, random, HX_WEB_TOKEN);
    for (size_t i = 0; i < HX_WEB_TOKEN; i++) {
        text[2u * i] = digits[random[i] >> 4];
        text[2u * i + 1u] = digits[random[i] & 15u];
    }
    text[2u * HX_WEB_TOKEN] = '\0';
}

bool hx_web_session_touch(struct hx_web_sessions *s, struct hx_span text, uint64_t now_ms)
{
    size_t i = find(s, text);

    if (i == NONE)
        return false;
    if (is_idle(&s->session[i], now_ms)) {
        memset(&s->session[i], 0, sizeof s->session[i]);
        return false;
    }
    s->session[i].seen_ms = now_ms;
    return true;
}

bool hx_web_session_lives(const struct hx_web_sessions *s, struct hx_span text, uint64_t now_ms)
{
    size_t i = find(s, text);

    return i != NONE && !is_idle(&s->session[i], now_ms);
}

void hx_web_session_end(struct hx_web_sessions *s, struct hx_span text)
{
    size_t i = find(s, text);

    if (i != NONE)
        memset(&s->session[i], 0, sizeof s->session[i]);
}

void hx_web_session_end_all(struct hx_web_sessions *s)
{
    memset(s, 0, sizeof *s);
}

/* --- back-off --- */

/* A household's IPv6 prefix is one address: whoever has one has 2^64 of them. */
static size_t address_len(const uint8_t address[HX_WEB_ADDRESS])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};

    return memcmp(address, mapped, sizeof mapped) == 0 ? HX_WEB_ADDRESS : 8u;
}

bool hx_web_is_same_client(const uint8_t a[HX_WEB_ADDRESS], const uint8_t b[HX_WEB_ADDRESS])
{
    return memcmp(a, b, address_len(a)) == 0;
}

static bool is_of(const struct hx_web_failures *f, const uint8_t address[HX_WEB_ADDRESS])
{
    return f->used && hx_web_is_same_client(address, f->address);
}

static bool is_over(const struct hx_web_failures *f, uint64_t now_ms)
{
    return now_ms - f->last_ms >= HX_WEB_FORGET_MS;
}

static uint64_t wait_ms(const struct hx_web_failures *f, uint64_t now_ms)
{
    uint64_t wait = HX_WEB_WAIT_MIN_MS, since = now_ms - f->last_ms;

    if (f->count < HX_WEB_FREE_FAILURES || is_over(f, now_ms))
        return 0;
    for (uint32_t i = HX_WEB_FREE_FAILURES; i < f->count && wait < HX_WEB_WAIT_MAX_MS; i++)
        wait *= 2u;
    wait = wait < HX_WEB_WAIT_MAX_MS ? wait : HX_WEB_WAIT_MAX_MS;
    return since < wait ? wait - since : 0;
}

/* The row of @p address, or that which may be taken for it: the one touched longest ago. */
static struct hx_web_failures *row_for(struct hx_web_failures *rows, size_t n,
                                       const uint8_t address[HX_WEB_ADDRESS])
{
    struct hx_web_failures *oldest = rows;

    for (size_t i = 0; i < n; i++) {
        if (is_of(&rows[i], address))
            return &rows[i];
        if (oldest->used && (!rows[i].used || rows[i].last_ms < oldest->last_ms))
            oldest = &rows[i];
    }
    return oldest;
}

static void count(struct hx_web_failures *f, uint64_t now_ms)
{
    if (is_over(f, now_ms))
        f->count = 0;
    f->count += f->count < UINT32_MAX ? 1u : 0u;
    f->last_ms = now_ms;
}

uint64_t hx_web_backoff_wait_ms(const struct hx_web_backoff *b,
                                const uint8_t address[HX_WEB_ADDRESS], uint64_t now_ms)
{
    uint64_t all = wait_ms(&b->all, now_ms), own = 0;

    for (size_t i = 0; i < sizeof b->good / sizeof *b->good; i++)
        if (is_of(&b->good[i], address))
            all = 0;
    for (size_t i = 0; i < HX_WEB_ADDRESSES; i++)
        if (is_of(&b->by[i], address))
            own = wait_ms(&b->by[i], now_ms);
    return own > all ? own : all;
}

void hx_web_backoff_failed(struct hx_web_backoff *b, const uint8_t address[HX_WEB_ADDRESS],
                           uint64_t now_ms)
{
    struct hx_web_failures *f = row_for(b->by, HX_WEB_ADDRESSES, address);

    if (!is_of(f, address)) {
        memset(f, 0, sizeof *f);
        memcpy(f->address, address, HX_WEB_ADDRESS);
        f->used = true;
    }
    count(f, now_ms);
    if (f->count <= HX_WEB_FREE_FAILURES) /* then it waits by itself: one that goes on for ever, */
        count(&b->all, now_ms);           /* such as a script, must not keep all others out */
}

void hx_web_backoff_good(struct hx_web_backoff *b, const uint8_t address[HX_WEB_ADDRESS],
                         uint64_t now_ms)
{
    struct hx_web_failures *f = row_for(b->by, HX_WEB_ADDRESSES, address);
    struct hx_web_failures *good = row_for(b->good, sizeof b->good / sizeof *b->good, address);

    if (is_of(f, address))
        memset(f, 0, sizeof *f);
    b->all.count = 0;
    memcpy(good->address, address, HX_WEB_ADDRESS);
    good->used = true;
    good->last_ms = now_ms;
}
