/* web_none.c - in place of the web server in a program built without it. */
#include "web.h"

#include "log.h"

enum hx_err hx_web_open(const struct config_source *config, const struct hx_settings *settings,
                        const char *state_dir, struct hx_web **out)
{
    (void)config;
    (void)settings;
    (void)state_dir;
    *out = NULL;
    hx_log(HX_LOG_INFO, "this program was built without web pages");
    return HX_OK;
}

void hx_web_attach(struct hx_web *w, struct hx_network *network, struct hx_mdns *mdns)
{
    (void)w;
    (void)network;
    (void)mdns;
}

void hx_web_post(struct hx_web *w, const struct hx_state *s)
{
    (void)w;
    (void)s;
}

void hx_web_telegram(struct hx_web *w, const struct hx_state *s, struct hx_span raw,
                     const struct hx_telegram *t, enum hx_err err)
{
    (void)w;
    (void)s;
    (void)raw;
    (void)t;
    (void)err;
}

bool hx_web_wants_peers(const struct hx_web *w)
{
    (void)w;
    return false;
}

void hx_web_set_figures(struct hx_web *w, const struct hx_web_figures *f)
{
    (void)w;
    (void)f;
}

void hx_web_set_settings(struct hx_web *w, const struct hx_settings *s)
{
    (void)w;
    (void)s;
}

void hx_web_note(struct hx_web *w, enum hx_note note, const char *from, const char *text)
{
    (void)w;
    (void)note;
    (void)from;
    (void)text;
}

int hx_web_fd(const struct hx_web *w)
{
    (void)w;
    return -1;
}

bool hx_web_take(struct hx_web *w, enum hx_web_command *out)
{
    (void)w;
    (void)out;
    return false;
}

void hx_web_answer(struct hx_web *w, enum hx_web_command c, bool ok, const char *why)
{
    (void)w;
    (void)c;
    (void)ok;
    (void)why;
}

bool hx_web_close(struct hx_web *w, unsigned wait_ms)
{
    (void)w;
    (void)wait_ms;
    return true;
}
