/* mdns_none.c - in place of mdns.c in a program built without it. */
#include "mdns.h"

enum hx_err hx_mdns_open(const struct hx_mdns_config *config, struct hx_mdns **out)
{
    (void)config;
    *out = NULL;
    return HX_OK;
}

void hx_mdns_set(struct hx_mdns *m, const struct hx_mdns_config *config)
{
    (void)m;
    (void)config;
}

size_t hx_mdns_peers(struct hx_mdns *m, struct hx_mdns_peer out[HX_MDNS_PEERS])
{
    (void)m;
    (void)out;
    return 0;
}

bool hx_mdns_is_announced(struct hx_mdns *m)
{
    (void)m;
    return false;
}

bool hx_mdns_close(struct hx_mdns *m, unsigned wait_ms)
{
    (void)m;
    (void)wait_ms;
    return true;
}
