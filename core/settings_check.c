/* settings_check.c - what a text value may look like; see enum hx_setting_check in hx/settings.h */
#include "hx/settings.h"

#include "settings_check.h"
#include "settings_text.h"

#define PORT_MAX 65535
#define GPIO_LINE_MAX 9999 /* far above any chip's lines; keeps the number short */

static bool all_of(struct hx_span s, bool (*is)(uint8_t))
{
    for (size_t i = 0; i < s.len; i++)
        if (!is(s.ptr[i]))
            return false;
    return s.len > 0;
}

static bool is_one_of(struct hx_span word, const char *words)
{
    struct hx_span left = span_of(words), next;
    while ((next = span_word(&left)).len > 0)
        if (next.len == word.len && memcmp(next.ptr, word.ptr, word.len) == 0)
            return true;
    return false;
}

static bool in_range(struct hx_span s, int64_t min, int64_t max)
{
    int64_t v = 0;
    return span_number(s, &v) && v >= min && v <= max;
}

/* Dotted quad without leading zeros: "010" is 8 to some programs and 10 to others. */
static bool parse_ipv4(struct hx_span s, uint32_t *out)
{
    uint32_t address = 0;
    if (s.len == 0 || s.ptr[s.len - 1] == '.') /* span_cut takes a last separator silently */
        return false;
    for (unsigned part = 0; part < 4; part++) {
        struct hx_span digits = span_cut(&s, '.');
        int64_t v = 0;
        if (digits.len > 3 || !span_number(digits, &v) || v > 255)
            return false;
        if (digits.len > 1 && digits.ptr[0] == '0')
            return false;
        address = address << 8 | (uint32_t)v;
    }
    *out = address;
    return s.len == 0;
}

static bool ok_ipv4_given(struct hx_span s)
{
    uint32_t address;
    return parse_ipv4(s, &address);
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 4291 2.2 forms 1 and 2; the mixed form with a dotted quad is not taken. */
static bool is_ipv6(struct hx_span s)
{
    unsigned groups = 0;
    bool gap = span_skip(&s, "::");
    if (s.len == 0)
        return gap;
    for (;;) {
        size_t n = 0;
        while (n < s.len && n < 5 && is_hex(s.ptr[n]))
            n++;
        if (n < 1 || n > 4)
            return false;
        groups++;
        s = span_from(s, n);
        if (s.len == 0)
            return gap ? groups <= 7 : groups == 8;
        if (span_skip(&s, "::")) {
            if (gap)
                return false;
            gap = true;
            if (s.len == 0)
                return groups <= 7;
        } else if (!span_skip(&s, ":")) {
            return false;
        }
    }
}

static bool is_label_char(uint8_t c)
{
    return is_alnum(c) || c == '-';
}

/* One name between dots: RFC 1123 2.1. */
static bool is_label(struct hx_span s)
{
    return s.len <= 63 && all_of(s, is_label_char) && s.ptr[0] != '-' && s.ptr[s.len - 1] != '-';
}

static bool is_host(struct hx_span s)
{
    if (s.len == 0 || s.ptr[s.len - 1] == '.')
        return false;
    while (s.len > 0)
        if (!is_label(span_cut(&s, '.')))
            return false;
    return true;
}

/* HOST, HOST:PORT, [IPv6] or [IPv6]:PORT. */
static bool is_host_port(struct hx_span s, bool port_needed)
{
    struct hx_span host;
    bool has_port;
    if (span_skip(&s, "[")) {
        size_t open = s.len;
        host = span_cut(&s, ']');
        if (host.len == open || !is_ipv6(host))
            return false;
        has_port = span_skip(&s, ":");
        if (!has_port && s.len > 0)
            return false;
    } else {
        size_t whole = s.len;
        host = span_cut(&s, ':');
        has_port = host.len < whole;
        if (!is_host(host))
            return false;
    }
    return has_port ? in_range(s, 1, PORT_MAX) : !port_needed;
}

static bool ok_path(struct hx_span s)
{
    return s.len == 0 || s.ptr[0] == '/';
}

static bool ok_source(struct hx_span s)
{
    if (span_is(s, "auto") || span_is(s, "stdin"))
        return true;
    if (span_skip(&s, "serial:"))
        return s.len > 1 && ok_path(s);
    if (span_skip(&s, "tcp://"))
        return is_host_port(s, true);
    if (span_skip(&s, "file:"))
        return s.len > 0;
    if (span_skip(&s, "sim:"))
        return is_one_of(s, "aidon kaifa kamstrup");
    return false;
}

static bool ok_listen(struct hx_span s)
{
    return span_is(s, "all") || ok_ipv4_given(s) || is_ipv6(s);
}

/* Wildcards and $ topics: MQTT 3.1.1, 4.7. Subtopics are hung below with a slash. */
static bool ok_topic(struct hx_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '+' || s.ptr[i] == '#')
            return false;
    return s.len > 0 && s.ptr[0] != '$' && s.ptr[0] != '/' && s.ptr[s.len - 1] != '/';
}

static bool ok_urls(struct hx_span s)
{
    struct hx_span url;
    while ((url = span_word(&s)).len > 0)
        if (!(span_skip(&url, "mqtt://") || span_skip(&url, "mqtts://")) ||
            !is_host_port(url, false))
            return false;
    return true;
}

static bool ok_formats(struct hx_span s)
{
    static const char *const names[] = {"han2x", "json", "sparkplug"};
    unsigned seen = 0;
    struct hx_span word;
    while ((word = span_word(&s)).len > 0) {
        unsigned bit = 0;
        for (unsigned i = 0; i < 3; i++)
            if (span_is(word, names[i]))
                bit = 1u << i;
        if (bit == 0 || (seen & bit) != 0)
            return false;
        seen |= bit;
    }
    return seen != 0;
}

/* A host's own address: unicast, and neither all zeros nor all ones behind the prefix, which the
 * network service would take without a word and then not work. */
static bool ok_address(struct hx_span s)
{
    uint32_t address = 0;
    int64_t prefix = 0;
    if (!parse_ipv4(span_cut(&s, '/'), &address))
        return false;
    if (s.len > 2 || !span_number(s, &prefix) || prefix < 1 || prefix > 32 || s.ptr[0] == '0')
        return false;
    if (address >> 24 < 1 || address >> 24 > 223 || address >> 24 == 127)
        return false;
    uint32_t hosts = prefix < 32 ? UINT32_MAX >> prefix : 0;
    return prefix > 30 || ((address & hosts) != 0 && (address & hosts) != hosts);
}

static bool ok_ipv4(struct hx_span s)
{
    return s.len == 0 || ok_ipv4_given(s);
}

static bool ok_ipv4s(struct hx_span s)
{
    struct hx_span word;
    while ((word = span_word(&s)).len > 0)
        if (!ok_ipv4_given(word))
            return false;
    return true;
}

static bool is_name_char(uint8_t c)
{
    return c != '/';
}

static bool is_file_name(struct hx_span s)
{
    return all_of(s, is_name_char) && !span_is(s, ".") && !span_is(s, "..");
}

static bool ok_name(struct hx_span s)
{
    return s.len == 0 || is_file_name(s);
}

static bool ok_gpio(struct hx_span s)
{
    if (s.len == 0)
        return true;
    struct hx_span chip = span_cut(&s, ':');
    return is_file_name(chip) && in_range(s, 0, GPIO_LINE_MAX);
}

static bool is_zone_char(uint8_t c)
{
    return is_alnum(c) || c == '_' || c == '+' || c == '-';
}

static bool ok_zone(struct hx_span s)
{
    if (s.len == 0 || s.ptr[s.len - 1] == '/')
        return false;
    while (s.len > 0)
        if (!all_of(span_cut(&s, '/'), is_zone_char))
            return false;
    return true;
}

static bool is_user_char(uint8_t c)
{
    return c != ':';
}

static bool ok_user(struct hx_span s)
{
    return all_of(s, is_user_char);
}

static bool is_hash_char(uint8_t c)
{
    return c > ' ' && c < 0x7F && c != ':' && c != ';' && c != '*' && c != '!' && c != '\\';
}

/* crypt(5): a method between dollar signs, then printable ASCII less a few signs. */
static bool ok_hash(struct hx_span s)
{
    return s.len == 0 || (s.ptr[0] == '$' && all_of(s, is_hash_char));
}

static bool ok_any(struct hx_span s)
{
    (void)s;
    return true;
}

static const struct {
    bool (*ok)(struct hx_span);
    const char *words;
} checks[HX_CHECK_COUNT] = {
    [HX_CHECK_NONE] = {ok_any, "a text"},
    [HX_CHECK_SOURCE] = {ok_source, "auto, serial:/dev/NAME, tcp://HOST:PORT, file:PATH, stdin, "
                                    "sim:aidon, sim:kaifa or sim:kamstrup"},
    [HX_CHECK_LISTEN] = {ok_listen, "all, or an IP address of this machine"},
    [HX_CHECK_TOPIC] = {ok_topic,
                        "a topic without + and #, with no / at its ends and no $ in front"},
    [HX_CHECK_URLS] = {ok_urls, "mqtt://HOST or mqtts://HOST, with :PORT if need be; several "
                                "separated by blanks; or empty"},
    [HX_CHECK_FORMATS] = {ok_formats, "one or more of han2x, json, sparkplug, separated by blanks"},
    [HX_CHECK_ADDRESS] =
        {ok_address, "the IPv4 address of a host with its prefix length, like 192.168.1.232/24"},
    [HX_CHECK_IPV4] = {ok_ipv4, "an IPv4 address like 192.168.1.1, or empty"},
    [HX_CHECK_IPV4S] = {ok_ipv4s, "IPv4 addresses separated by blanks, or empty"},
    [HX_CHECK_HOSTNAME] = {is_label, "letters, digits and inner hyphens"},
    [HX_CHECK_PATH] = {ok_path, "a path that begins with /, or empty"},
    [HX_CHECK_GPIO] = {ok_gpio, "a GPIO chip and line like gpiochip0:17, or empty"},
    [HX_CHECK_NAME] = {ok_name, "a name without /, or empty"},
    [HX_CHECK_ZONE] = {ok_zone, "a time zone name like Europe/Oslo"},
    [HX_CHECK_USER] = {ok_user, "a name without colon"},
    [HX_CHECK_HASH] = {ok_hash, "a crypt(5) hash that begins with $, or empty"},
};

bool setting_check(enum hx_setting_check check, struct hx_span text)
{
    return checks[check].ok(text);
}

const char *setting_check_words(enum hx_setting_check check)
{
    return checks[check].words;
}

/* Octets that must follow the first one of a UTF-8 character; 4 for an octet that starts none. */
static unsigned utf8_more(uint8_t c)
{
    if (c < 0x80)
        return 0;
    if (c >= 0xC2 && c < 0xE0)
        return 1;
    if (c >= 0xE0 && c < 0xF0)
        return 2;
    return c >= 0xF0 && c < 0xF5 ? 3 : 4;
}

/* Second octets that would make an overlong form, a surrogate, or more than U+10FFFF. */
static bool utf8_second_ok(uint8_t first, uint8_t second)
{
    switch (first) {
    case 0xE0:
        return second >= 0xA0;
    case 0xED:
        return second < 0xA0;
    case 0xF0:
        return second >= 0x90;
    case 0xF4:
        return second < 0x90;
    default:
        return true;
    }
}

bool setting_is_text(struct hx_span s)
{
    for (size_t i = 0; i < s.len;) {
        uint8_t c = s.ptr[i++];
        unsigned more = utf8_more(c);
        if (c < 0x20 || c == 0x7F || more > 3 || s.len - i < more)
            return false;
        if (more > 0 && !utf8_second_ok(c, s.ptr[i]))
            return false;
        for (; more > 0; more--)
            if ((s.ptr[i++] & 0xC0) != 0x80)
                return false;
    }
    return true;
}
