/* daemon_web.h - the gateway thread's side of the web server: figures for it, commands from it.
 * In:     what the daemon knows.  Out: calls of web.h; commands, as an enum to act on.
 * State:  struct hx_daemon_web, owned by the daemon; loop thread. When web is not
 *         enabled, the log of who did what is all there is. */
#ifndef HX_DAEMON_WEB_H
#define HX_DAEMON_WEB_H

#include "mbrtu_server.h"
#include "mbtcp_server.h"
#include "noter.h"
#include "web.h"

#include "hx/gateway.h"

#include <event2/event.h>

struct hx_daemon_web {
    struct hx_web *web; /* NULL: never enabled */
    struct event *event;
    void (*command)(void *ctx, enum hx_web_command c);
    void *ctx;
    int64_t clock_offset_ms; /* wall clock less monotonic, when a step was last looked for */
    struct hx_log_limit write_log;
    struct hx_noter noter; /* while web is NULL */
    bool started;          /* that was noted */
};

/** Before all other calls. @param state_dir  must outlive @p w. */
void hx_daemon_web_init(struct hx_daemon_web *w, struct hx_worker *worker, const char *state_dir);
/** Start it when the settings say so and it does not run yet; else tell it the settings. */
void hx_daemon_web_set(struct hx_daemon_web *w, struct event_base *base,
                       const struct config_source *config, const struct hx_settings *s);
/** An event for the log of who did what. @param from  address or "". */
void hx_daemon_web_note(struct hx_daemon_web *w, enum hx_note note, const char *from,
                        const char *text);
/** Tell it who knows of the network and of other gateways. */
void hx_daemon_web_attach(struct hx_daemon_web *w, struct hx_network *network,
                          struct hx_mdns *mdns);
/** A telegram came or was dropped. */
void hx_daemon_web_event(struct hx_daemon_web *w, const struct hx_gateway *g,
                         const struct hx_event *ev);
void hx_daemon_web_post(struct hx_daemon_web *w, const struct hx_state *s);
/** A register was written. @param from  the Modbus client, "" on the serial line. */
void hx_daemon_web_written(struct hx_daemon_web *w, const struct hx_state *s, const char *from);
/** Each second: figures, steps of the clock. */
void hx_daemon_web_tick(struct hx_daemon_web *w, const struct hx_mbtcp_server *tcp,
                        const struct hx_mbrtu_server *rtu, struct hx_mqtt_client *mqtt,
                        const struct hx_state *s);
/** @return true when nothing of it runs any more. */
bool hx_daemon_web_close(struct hx_daemon_web *w, unsigned wait_ms);

/** Run this program anew with the same arguments. Returns only when that is not possible: logged.
 */
void hx_daemon_again(void);

#endif
