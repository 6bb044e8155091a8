/* network_request.c - see network_request.h. */
#include "network_request.h"

#include <stdio.h>
#include <string.h>

/* Take @p word off the start of @p s. */
static bool skip(struct hx_span *s, const char *word)
{
    size_t n = strlen(word);

    if (s->len < n || memcmp(s->ptr, word, n) != 0)
        return false;
    *s = (struct hx_span){s->ptr + n, s->len - n};
    return true;
}

/* The last line's end goes too. @return false: it was cut. */
static bool cut_end(struct hx_span *s)
{
    if (s->len == 0 || s->ptr[s->len - 1u] != '\n')
        return false;
    s->len--;
    return true;
}

static bool take_id(struct hx_span *s, char id[HX_NET_ID_DIGITS + 1u])
{
    if (!skip(s, "id ") || s->len <= HX_NET_ID_DIGITS)
        return false;
    memcpy(id, s->ptr, HX_NET_ID_DIGITS);
    id[HX_NET_ID_DIGITS] = '\0';
    *s = (struct hx_span){s->ptr + HX_NET_ID_DIGITS, s->len - HX_NET_ID_DIGITS};
    return strspn(id, "0123456789abcdef") == HX_NET_ID_DIGITS;
}

void hx_net_request_format(struct hx_wr *w, const struct hx_net_request *r)
{
    hx_wr_str(w, "id ");
    hx_wr_str(w, r->id);
    hx_wr_str(w, "\nplan ");
    hx_net_plan_format(w, &r->plan);
    hx_wr_str(w, "\n");
}

enum hx_err hx_net_request_parse(struct hx_span text, struct hx_net_request *out, const char **why)
{
    if (!take_id(&text, out->id))
        return HX_E_VALUE;
    *why = "not a request";
    if (skip(&text, "\nplan ") && cut_end(&text) &&
        hx_net_plan_parse(text, &out->plan, why) == HX_OK)
        *why = NULL;
    return HX_OK;
}

void hx_net_answer_format(struct hx_wr *w, const char *id, const char *why)
{
    hx_wr_str(w, "id ");
    hx_wr_str(w, id);
    hx_wr_str(w, why == NULL ? "\ndone" : "\nrefused ");
    hx_wr_str(w, why == NULL ? "" : why);
    hx_wr_str(w, "\n");
}

enum hx_err hx_net_answer_parse(struct hx_span text, const char *id, bool *done,
                                char why[HX_NET_WHY])
{
    char own[HX_NET_ID_DIGITS + 1u];
    bool refused;

    if (!take_id(&text, own) || strcmp(own, id) != 0 || !skip(&text, "\n") || !cut_end(&text))
        return HX_MORE;
    *done = text.len == 4 && memcmp(text.ptr, "done", 4) == 0;
    refused = skip(&text, "refused ");
    (void)snprintf(why, HX_NET_WHY, "%.*s", refused ? (int)text.len : (int)HX_NET_WHY,
                   refused ? (const char *)text.ptr : "the helper's answer is not understood");
    return HX_OK;
}
