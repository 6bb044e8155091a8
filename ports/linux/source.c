/* source.c - see source.h. */
#include "source.h"

#include "log.h"

#include <string.h>

static const struct hx_source_kind *const kinds[] = {
    &hx_source_auto, &hx_source_serial, &hx_source_tcp,
    &hx_source_file, &hx_source_stdin,  &hx_source_sim,
};

static bool is_kind(const struct hx_source_kind *k, const char *text)
{
    if (k->whole)
        return strcmp(text, k->prefix) == 0;
    return strncmp(text, k->prefix, strlen(k->prefix)) == 0;
}

enum hx_err hx_source_open(struct hx_source *s, const struct hx_source_env *env,
                           const struct hx_source_config *config)
{
    s->env = *env;
    s->config = *config;
    s->kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!is_kind(kinds[i], config->text))
            continue;
        s->impl = kinds[i]->open(s, s->config.text + strlen(kinds[i]->prefix));
        if (s->impl == NULL)
            return HX_E_IO;
        s->kind = kinds[i];
        return HX_OK;
    }
    hx_log(HX_LOG_ERROR, "meter.source: '%s' is no source that this program knows", config->text);
    return HX_E_VALUE;
}

bool hx_source_is_simulated(const struct hx_source *s)
{
    return s->kind != NULL && s->kind->simulated;
}

void hx_source_tick(struct hx_source *s, uint64_t now_ms)
{
    if (s->kind != NULL && s->kind->tick != NULL)
        s->kind->tick(s->impl, now_ms);
}

void hx_source_good(struct hx_source *s, uint64_t now_ms)
{
    if (s->kind != NULL && s->kind->good != NULL)
        s->kind->good(s->impl, now_ms);
}

void hx_source_close(struct hx_source *s)
{
    if (s->kind != NULL)
        s->kind->close(s->impl);
    s->kind = NULL;
}
