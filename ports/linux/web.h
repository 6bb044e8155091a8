/* web.h - the web pages and the API, on a thread of their own: what the gateway thread sees of it.
 * In:     states, telegrams, figures, settings, noteworthy events.  Out: requests to the gateway.
 * State:  struct hx_web, opaque. Every call here is a copy under a mutex that the web thread holds
 *         for copies only: clients, slow or hostile, cost the gateway nothing.
 *
 *   gateway thread ─ hx_web_post, _telegram, _figures, _settings, _note ─▶ web thread
 *   gateway thread ◀─ hx_web_fd readable: hx_web_take; then hx_web_answer ─ web thread */
#ifndef HX_WEB_H
#define HX_WEB_H

#include "config.h"
#include "mbtcp_server.h"
#include "mqtt_client.h"

#include "hx/settings.h"
#include "hx/state.h"

#define HX_WEB_PEERS 64u
#define HX_WEB_WHY 256u

/** Figures of the other parts, for the status page. A copy each second. */
struct hx_web_figures {
    bool tcp_listening;
    uint32_t tcp_clients, tcp_limit;
    uint64_t tcp_accepted, tcp_evicted, tcp_broken;
    uint32_t peers; /* in peer[]; filled only while hx_web_wants_peers */
    struct hx_mbtcp_peer peer[HX_WEB_PEERS];
    bool rtu_open;
    uint64_t rtu_answered;
    bool mqtt_running;
    struct hx_mqtt_status mqtt;
};

/** What happened, for the log that survives restarts. */
enum hx_note {
    HX_NOTE_START,
    HX_NOTE_LOGIN,
    HX_NOTE_LOGIN_FAILED,
    HX_NOTE_LOGOUT,
    HX_NOTE_PASSWORD,
    HX_NOTE_SETTINGS,
    HX_NOTE_MODBUS_WRITE,
    HX_NOTE_RESTART,
    HX_NOTE_FACTORY_RESET,
    HX_NOTE_BACKUP,
    HX_NOTE_RESTORE,
    HX_NOTE_NETWORK,
    HX_NOTE_CLOCK,
};
#define HX_NOTE_COUNT 13u

/** What the gateway thread is asked to do. */
enum hx_web_command {
    HX_WEB_RELOAD,        /* the settings file changed: as on SIGHUP */
    HX_WEB_RELOAD_SCALE,  /* the same, and its scale factor goes before one written over Modbus */
    HX_WEB_RESTART,       /* begin anew */
    HX_WEB_FACTORY_RESET, /* wipe, then begin anew */
};
#define HX_WEB_COMMAND_COUNT 4u

struct hx_web;

/** Start the thread. A port that is in use is logged and tried again; it does not stop the rest.
 * @param config     where the settings come from; must outlive the web server.
 * @param settings   those in use.
 * @param state_dir  folder for keys and log; must outlive the web server.
 * @return HX_OK; HX_E_IO logged. */
enum hx_err hx_web_open(const struct config_source *config, const struct hx_settings *settings,
                        const char *state_dir, struct hx_web **out);
struct hx_network;
struct hx_mdns;
/** Before the first request: who knows of the network and of other gateways; both may be NULL, and
 * must outlive the web server. */
void hx_web_attach(struct hx_web *w, struct hx_network *network, struct hx_mdns *mdns);
/** The state changed: per telegram, and each second. */
void hx_web_post(struct hx_web *w, const struct hx_state *s);
/** A telegram was accepted (err HX_OK) or dropped. @param t  NULL: not decoded. */
void hx_web_telegram(struct hx_web *w, const struct hx_state *s, struct hx_span raw,
                     const struct hx_telegram *t, enum hx_err err);
bool hx_web_wants_peers(const struct hx_web *w);
void hx_web_set_figures(struct hx_web *w, const struct hx_web_figures *f);
/** Settings now in use. */
void hx_web_set_settings(struct hx_web *w, const struct hx_settings *s);
/** An event for the log. @param from  address or "". */
void hx_web_note(struct hx_web *w, enum hx_note note, const char *from, const char *text);

/** Readable when hx_web_take has something. */
int hx_web_fd(const struct hx_web *w);
/** @return true and what to do; false when there is nothing. */
bool hx_web_take(struct hx_web *w, enum hx_web_command *out);
/** What became of a command; HX_WEB_RESTART needs no answer. An answer given before hx_web_close
 * still reaches the client. @param why  in words when not @p ok, else "". */
void hx_web_answer(struct hx_web *w, enum hx_web_command c, bool ok, const char *why);

/** End. @return true when @p w is gone; false when a job still runs (then the process must end). */
bool hx_web_close(struct hx_web *w, unsigned wait_ms);

#endif
