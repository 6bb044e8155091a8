/* network_commit.c - see network_commit.h. */
#include "network_commit.h"

#include <string.h>

#define HEAD "han2x-network 1\n"

static const char *const phase_names[] = {
    [HX_NET_IDLE] = "idle",
    [HX_NET_APPLYING] = "applying",
    [HX_NET_WAITING] = "waiting",
    [HX_NET_SETTING] = "setting",
};

/* --- the saved text --- */

static bool skip(struct hx_span *s, const char *word)
{
    size_t n = strlen(word);

    if (s->len < n || memcmp(s->ptr, word, n) != 0)
        return false;
    *s = (struct hx_span){s->ptr + n, s->len - n};
    return true;
}

/* A line without its end, which it must have: a text that was cut has none. */
static bool take_line(struct hx_span *s, struct hx_span *line)
{
    const uint8_t *end = s->len != 0 ? memchr(s->ptr, '\n', s->len) : NULL;

    if (end == NULL)
        return false;
    *line = (struct hx_span){s->ptr, (size_t)(end - s->ptr)};
    *s = (struct hx_span){end + 1, s->len - line->len - 1u};
    return true;
}

/* The rest of the next line, which begins with @p word. */
static bool take(struct hx_span *s, const char *word, struct hx_span *rest)
{
    return take_line(s, rest) && skip(rest, word);
}

static bool take_plan(struct hx_span *s, const char *word, struct hx_net_plan *plan)
{
    struct hx_span rest;
    const char *why;

    return take(s, word, &rest) && hx_net_plan_parse(rest, plan, &why) == HX_OK;
}

static bool number_of(struct hx_span s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.len < 1 || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        v = v * 10u + (uint64_t)(s.ptr[i] - '0');
    }
    *out = v;
    return true;
}

static bool phase_of(struct hx_span s, enum hx_net_phase *out)
{
    for (size_t i = 0; i < sizeof phase_names / sizeof *phase_names; i++) {
        if (s.len == strlen(phase_names[i]) && memcmp(s.ptr, phase_names[i], s.len) == 0) {
            *out = (enum hx_net_phase)i;
            return true;
        }
    }
    return false;
}

void hx_net_commit_save(const struct hx_net_commit *c, const char *boot, struct hx_wr *w)
{
    hx_wr_str(w, HEAD "boot ");
    hx_wr_str(w, boot);
    hx_wr_str(w, "\nphase ");
    hx_wr_str(w, phase_names[c->phase]);
    hx_wr_str(w, "\nuntil ");
    hx_wr_int(w, (int64_t)c->until_ms);
    hx_wr_str(w, "\nkept ");
    hx_net_plan_format(w, &c->kept);
    if (hx_net_commit_pending(c)) {
        hx_wr_str(w, "\ntried ");
        hx_net_plan_format(w, &c->tried);
    }
    if (c->has_refused) {
        hx_wr_str(w, "\nrefused ");
        hx_net_plan_format(w, &c->refused);
    }
    hx_wr_str(w, "\n");
}

/* @return false: not ours; @p c is then partly filled. */
static bool load(struct hx_net_commit *c, struct hx_span saved, struct hx_span *boot)
{
    struct hx_span phase, until;

    if (!skip(&saved, HEAD) || !take(&saved, "boot ", boot) || !take(&saved, "phase ", &phase) ||
        !phase_of(phase, &c->phase) || !take(&saved, "until ", &until) ||
        !number_of(until, &c->until_ms) || !take_plan(&saved, "kept ", &c->kept))
        return false;
    if (hx_net_commit_pending(c) && !take_plan(&saved, "tried ", &c->tried))
        return false;
    c->has_refused = saved.len != 0;
    c->has_kept = true;
    return !c->has_refused || (take_plan(&saved, "refused ", &c->refused) && saved.len == 0);
}

/* --- the machine --- */

static void enter(struct hx_net_commit *c, enum hx_net_phase phase, uint64_t until_ms)
{
    c->phase = phase;
    c->until_ms = until_ms;
    c->save = true;
    c->send = phase == HX_NET_APPLYING || phase == HX_NET_SETTING;
}

static void come_back(struct hx_net_commit *c, uint64_t now_ms)
{
    c->refused = c->tried;
    c->has_refused = true;
    c->came_back = true;
    enter(c, HX_NET_SETTING, now_ms + HX_NET_APPLY_MS);
}

/* What is set by hand holds without a confirmation: whoever can edit the file can edit it again. */
static void keep(struct hx_net_commit *c, const struct hx_net_plan *want, uint64_t now_ms)
{
    bool touch = want->manage || c->kept.manage || c->phase != HX_NET_IDLE;

    c->kept = *want;
    c->has_kept = true;
    c->has_refused = false;
    c->came_back = false;
    if (touch) /* a machine that we never managed is not even asked for */
        enter(c, HX_NET_SETTING, now_ms + HX_NET_APPLY_MS);
    else
        c->phase = HX_NET_IDLE;
}

static void resume(struct hx_net_commit *c, const struct hx_net_plan *want, bool same_boot,
                   uint64_t now_ms)
{
    bool in_time = same_boot && now_ms < c->until_ms && c->until_ms - now_ms <= HX_NET_CONFIRM_MS;

    if (!hx_net_plan_same(want, &c->tried))
        keep(c, want, now_ms); /* edited while we were away */
    else if (!in_time)
        come_back(c, now_ms);
    else
        c->send = c->phase == HX_NET_APPLYING;
}

enum hx_err hx_net_commit_start(struct hx_net_commit *c, struct hx_span saved, const char *boot,
                                const struct hx_net_plan *want, uint64_t now_ms)
{
    struct hx_span saved_boot = {0};
    bool good;

    memset(c, 0, sizeof *c);
    good = saved.len != 0 && load(c, saved, &saved_boot);
    if (!good)
        memset(c, 0, sizeof *c);
    if (good && hx_net_commit_pending(c)) {
        resume(c, want,
               saved_boot.len == strlen(boot) && memcmp(saved_boot.ptr, boot, saved_boot.len) == 0,
               now_ms);
    } else if (good && c->has_refused && hx_net_plan_same(want, &c->refused)) {
        c->came_back = true; /* the settings file could not be put right last time */
        enter(c, HX_NET_SETTING, now_ms + HX_NET_APPLY_MS);
    } else {
        keep(c, want, now_ms);
    }
    return good || saved.len == 0 ? HX_OK : HX_E_VALUE;
}

void hx_net_commit_change(struct hx_net_commit *c, const struct hx_net_plan *want, bool confirm,
                          uint64_t now_ms)
{
    bool pending = hx_net_commit_pending(c);

    if (hx_net_plan_same(want, hx_net_commit_now(c))) {
        *(pending ? &c->tried : &c->kept) = *want; /* fields without effect may differ */
        return;
    }
    if (!confirm && c->has_refused && hx_net_plan_same(want, &c->refused)) {
        c->came_back = true; /* not a new wish: the file could not be put right yet */
        return;
    }
    if (!confirm || (pending && hx_net_plan_same(want, &c->kept))) {
        keep(c, want, now_ms);
        return;
    }
    c->tried = *want;
    c->has_refused = false;
    c->came_back = false;
    enter(c, HX_NET_APPLYING, now_ms + HX_NET_APPLY_MS);
}

void hx_net_commit_answer(struct hx_net_commit *c, bool done, uint64_t now_ms)
{
    switch (c->phase) {
    case HX_NET_APPLYING:
        if (done)
            enter(c, HX_NET_WAITING, now_ms + HX_NET_CONFIRM_MS);
        else
            come_back(c, now_ms);
        break;
    case HX_NET_SETTING:
        if (done)
            enter(c, HX_NET_IDLE, 0);
        else
            c->until_ms = now_ms + HX_NET_RETRY_MS;
        break;
    case HX_NET_IDLE:
    case HX_NET_WAITING:
        break; /* an answer that was read twice */
    }
}

/* A call from the machine itself proves nothing. */
static bool is_loopback(const char *local)
{
    uint32_t v4;

    return strcmp(local, "::1") == 0 || (hx_net_ipv4(local, &v4) && v4 >> 24 == 127);
}

static bool is_reached(const struct hx_net_plan *tried, const char *local)
{
    uint32_t v4;

    if (tried->manage && !tried->dhcp)
        return hx_net_ipv4(local, &v4) && v4 == tried->address;
    return !is_loopback(local); /* which address it will be is not ours to know */
}

enum hx_err hx_net_commit_confirm(struct hx_net_commit *c, const char *local)
{
    if (c->phase == HX_NET_APPLYING)
        return HX_MORE;
    if (c->phase != HX_NET_WAITING)
        return HX_OK;
    if (local != NULL && *local != '\0' && !is_reached(&c->tried, local))
        return HX_E_VALUE;
    c->kept = c->tried;
    enter(c, HX_NET_IDLE, 0);
    return HX_OK;
}

bool hx_net_commit_tick(struct hx_net_commit *c, uint64_t now_ms)
{
    if (c->phase == HX_NET_IDLE || now_ms < c->until_ms)
        return false;
    if (c->phase == HX_NET_SETTING) {
        c->until_ms = now_ms + HX_NET_RETRY_MS;
        c->send = true;
    } else {
        come_back(c, now_ms);
    }
    return true;
}

void hx_net_commit_settled(struct hx_net_commit *c)
{
    c->save = c->save || c->has_refused;
    c->has_refused = false;
}

const struct hx_net_plan *hx_net_commit_now(const struct hx_net_commit *c)
{
    return hx_net_commit_pending(c) ? &c->tried : &c->kept;
}

bool hx_net_commit_pending(const struct hx_net_commit *c)
{
    return c->phase == HX_NET_APPLYING || c->phase == HX_NET_WAITING;
}

uint32_t hx_net_commit_left_s(const struct hx_net_commit *c, uint64_t now_ms)
{
    uint64_t end_ms = c->until_ms + (c->phase == HX_NET_APPLYING ? HX_NET_CONFIRM_MS : 0);

    if (!hx_net_commit_pending(c) || now_ms >= end_ms)
        return 0;
    return (uint32_t)((end_ms - now_ms + 999u) / 1000u);
}
