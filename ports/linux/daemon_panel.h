/* daemon_panel.h - the gateway thread's side of the box: what a button, a contact and a sensor mean
 * for the gateway.
 * In:     settings, telegrams, time.  Out: inputs into the gateway; network.mode = dhcp in the
 *         settings file; a call when a factory reset is wanted.
 * State:  struct hx_daemon_panel, owned by the daemon; loop thread. */
#ifndef HX_DAEMON_PANEL_H
#define HX_DAEMON_PANEL_H

#include "config.h"
#include "panel_io.h"

#include "hx/gateway.h"

struct hx_daemon_panel_env {
    struct event_base *base;
    struct hx_worker *worker;
    const struct config_source *config;
    struct hx_gateway *gw;
    void (*reset)(void *ctx);  /* the button was held: factory reset */
    void (*reload)(void *ctx); /* the settings file was changed: load it */
    void *ctx;
};

struct hx_daemon_panel {
    struct hx_job job; /* first member: writes the settings file */
    struct hx_daemon_panel_env env;
    struct hx_panel_io io;
    enum hx_err err;
    int error;
};

/** @param power_on  see hx_panel_init. @return HX_OK; HX_E_IO logged. */
enum hx_err hx_daemon_panel_open(struct hx_daemon_panel *p, const struct hx_daemon_panel_env *env,
                                 const struct hx_settings *s, bool power_on);

#endif
