/* web_said.c - see web_said.h. */
#include "web_said.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *code, *words;
} rows[] = {
#define SAID(code_, words_) {code_, words_},
#include "web_said.def"
#undef SAID
};

/* First place of @p n octets of @p part in @p s. @return false: nowhere. */
static bool find(struct hx_span s, const char *part, size_t n, size_t *at)
{
    for (*at = 0; n <= s.len && *at <= s.len - n; (*at)++)
        if (memcmp(s.ptr + *at, part, n) == 0)
            return true;
    return false;
}

/* Each * takes as little as it can, the last one the rest. */
static bool fits(const char *words, struct hx_span text, struct hx_web_said *out)
{
    size_t n = strcspn(words, "*"), at;

    if (text.len < n || memcmp(text.ptr, words, n) != 0)
        return false;
    text = (struct hx_span){text.ptr + n, text.len - n};
    for (words += n; *words == '*'; words += n) {
        words++;
        n = strcspn(words, "*");
        at = words[n] == '\0' && text.len >= n ? text.len - n : 0; /* the end of the text */
        if (out->count == HX_WEB_SAID_VALUES ||
            (words[n] == '\0' ? text.len < n || memcmp(text.ptr + at, words, n) != 0
                              : !find(text, words, n, &at)) ||
            at == 0)
            return false;
        out->value[out->count++] = (struct hx_span){text.ptr, at};
        text = (struct hx_span){text.ptr + at + n, text.len - at - n};
    }
    return text.len == 0;
}

struct hx_web_said hx_web_said(struct hx_span text)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hx_web_said said = {.code = rows[i].code};

        if (fits(rows[i].words, text, &said))
            return said;
    }
    return (struct hx_web_said){.code = NULL};
}

void hx_web_put_said(struct hx_web_out *o, const char *key, struct hx_span text)
{
    struct hx_web_said said = hx_web_said(text);
    char name[48];

    (void)snprintf(name, sizeof name, "%s_code", key);
    hx_web_text(o, name, said.code);
    (void)snprintf(name, sizeof name, "%s_values", key);
    hx_web_open_array(o, name);
    for (unsigned i = 0; i < said.count; i++)
        hx_web_span(o, NULL, said.value[i]);
    hx_web_close_array(o);
}

void hx_web_text_said(struct hx_web_out *o, const char *key, const char *text)
{
    hx_web_text(o, key, text);
    hx_web_put_said(o, key, (struct hx_span){(const uint8_t *)text, strlen(text)});
}
