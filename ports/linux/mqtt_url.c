/* mqtt_url.c - see mqtt_url.h. */
#include "mqtt_url.h"

#include <stdio.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The n-th word; NULL when there are fewer. */
static const char *word(const char *s, unsigned n, size_t *len)
{
    for (;; n--) {
        while (is_blank(*s))
            s++;
        for (*len = 0; s[*len] != '\0' && !is_blank(s[*len]);)
            (*len)++;
        if (*len == 0)
            return NULL;
        if (n == 0)
            return s;
        s += *len;
    }
}

static bool take(const char **s, size_t *len, const char *prefix)
{
    size_t n = strlen(prefix);

    if (*len < n || memcmp(*s, prefix, n) != 0)
        return false;
    *s += n;
    *len -= n;
    return true;
}

static bool read_port(const char *s, size_t len, uint16_t *out)
{
    uint32_t v = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || v > 65535u)
            return false;
        v = v * 10u + (uint32_t)(s[i] - '0');
    }
    *out = (uint16_t)v;
    return len > 0 && v > 0 && v <= 65535u;
}

/* Length of the host; what follows it is empty or begins with a colon. */
static size_t host_len(const char **s, size_t *len)
{
    const char *end;
    size_t n;

    if (take(s, len, "[")) {
        end = memchr(*s, ']', *len);
        n = end != NULL ? (size_t)(end - *s) : 0;
        return n;
    }
    end = memchr(*s, ':', *len);
    return end != NULL ? (size_t)(end - *s) : *len;
}

enum hx_err hx_mqtt_url_parse(const char *urls, unsigned n, uint16_t port, struct hx_mqtt_url *out)
{
    struct hx_mqtt_url u = {.port = port};
    size_t len, host;
    const char *s = word(urls, n, &len);

    if (s == NULL)
        return HX_E_LEN;
    u.tls = take(&s, &len, "mqtts://");
    if (!u.tls && !take(&s, &len, "mqtt://"))
        return HX_E_VALUE;
    if (u.tls && port == HX_MQTT_PORT)
        u.port = HX_MQTTS_PORT;
    host = host_len(&s, &len);
    if (host == 0 || host >= sizeof u.host)
        return HX_E_VALUE;
    memcpy(u.host, s, host);
    s += host;
    len -= host;
    (void)take(&s, &len, "]");
    if (len > 0 && (!take(&s, &len, ":") || !read_port(s, len, &u.port)))
        return HX_E_VALUE;
    *out = u;
    return HX_OK;
}

const char *hx_mqtt_url_text(const struct hx_mqtt_url *u, char *text, size_t size)
{
    bool v6 = strchr(u->host, ':') != NULL;

    (void)snprintf(text, size, "%s://%s%s%s:%u", u->tls ? "mqtts" : "mqtt", v6 ? "[" : "", u->host,
                   v6 ? "]" : "", (unsigned)u->port); /* cut when the room is small */
    return text;
}
