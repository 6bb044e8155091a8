/* web_inside.h - what the parts of the web server share. Not for others: they have web.h.
 * State:  struct hx_web; all of it belongs to the web thread, but for what stands under `lock`. */
#ifndef HX_WEB_INSIDE_H
#define HX_WEB_INSIDE_H

#include "mailbox.h"
#include "web.h"
#include "web_audit.h"
#include "web_guard.h"
#include "web_history.h"
#include "web_out.h"
#include "web_patch.h"
#include "web_router.h"
#include "web_said.h"
#include "web_session.h"
#include "web_tls.h"
#include "worker.h"

#include "hx/registers.h"

#include <event2/event.h>
#include <microhttpd.h>
#include <pthread.h>

#define HX_WEB_TELEGRAMS 100u
#define HX_WEB_RAW 2048u   /* octets kept of each */
#define HX_WEB_NOTES 32u   /* that wait for the web thread */
#define HX_WEB_COMMANDS 4u /* that wait for the gateway thread */
#define HX_WEB_BODY 16384u /* octets of a body; a restored backup may have more */
#define HX_WEB_BACKUP 65536u
#define HX_WEB_STREAMS 32u /* listeners to events */
#define HX_WEB_WAITING 16u /* logins that wait for their turn */
#define HX_WEB_COOKIE "han2x_session"
#define HX_WEB_COOKIE_TLS "__Host-han2x_session" /* cannot be set or overwritten over HTTP */

struct hx_web_entry {
    uint32_t number;
    uint64_t at_ms;
    int64_t utc_ms; /* 0 not known */
    enum hx_err err;
    size_t len; /* of the frame */
    uint8_t raw[HX_WEB_RAW];
    bool decoded;
    struct hx_telegram telegram;
};
struct hx_web_pending_note {
    enum hx_note note;
    char from[64], text[HX_AUDIT_TEXT + 1u];
};

struct hx_web_answer {
    bool given, ok;
    char why[HX_WEB_WHY];
};

struct hx_web_listener;
struct hx_web_stream;
struct hx_web_message;

struct hx_web_conn {
    struct hx_web_conn *newer, *older; /* in order of their last request */
    struct hx_web_listener *listener;
    struct MHD_Connection *mhd;
    int fd;
    uint8_t address[HX_WEB_ADDRESS];
    char name[64];
    bool busy, dropped;   /* inside a request; shut down by us */
    uint64_t deadline_ms; /* the client must have done its part by then; 0 none */
};

/** One listening socket with its connections. */
struct hx_web_listener {
    struct hx_web *web;
    struct MHD_Daemon *mhd; /* NULL: closed */
    int fd;
    struct event *event;
    bool tls;
    uint16_t port;
    char listen[HX_SETTING_TEXT_MAX + 1u];
    unsigned limit;
    uint64_t retire_ms; /* closed then; 0 stays */
    struct hx_web_conn *newest, *oldest;
    unsigned conns, suspended; /* suspended: requests that wait for us */
};
#define HX_WEB_LISTENERS 4u /* HTTP and HTTPS, and those that they took the place of */

enum hx_web_verdict { HX_VERDICT_GOOD, HX_VERDICT_WRONG, HX_VERDICT_WAIT, HX_VERDICT_BUSY };

struct hx_web_request {
    struct hx_web *web;
    struct hx_web_conn *conn;
    const struct hx_web_route *route;
    bool is_get, started, replied, suspended;
    uint8_t *body;
    size_t body_len;
    struct hx_settings *before; /* those in use when a change began; NULL none */
    char host[256];
    /* who */
    bool logged_in, has_login;
    char token[2u * HX_WEB_TOKEN + 1u]; /* of the session, "" none */
    struct hx_web_login login;
    enum hx_web_verdict verdict;
    unsigned wait_s;
    void (*after)(struct hx_web_request *r); /* the login was looked at */
    struct hx_web_request *next;             /* in the queue of logins */
    /* answer */
    unsigned status;
    struct hx_web_out out;
    const char *type;
    const struct hx_web_asset *asset;
    struct hx_web_stream *stream;
    char cookie[192], allow[64];
    const char *download; /* file name, NULL none */
    unsigned retry_s;
    bool challenge, close;
};

/** A change of settings on its way: file, then gateway, then answer. One at a time. */
struct hx_web_change {
    struct hx_job job;
    struct hx_web *web;
    struct hx_web_request *request;
    void (*done)(struct hx_web_request *r, const char *why); /* why NULL: in use */
    struct hx_settings *old, *new;
    uint8_t *before; /* the file's text, NULL: there was none */
    struct hx_span before_text;
    enum { HX_CHANGE_IDLE, HX_CHANGE_WRITE, HX_CHANGE_RELOAD, HX_CHANGE_UNDO } step;
    char why[HX_WEB_WHY];
    char new_password[HX_WEB_PASSWORD_MAX + 1u]; /* hashed into new first; "" none */
};

struct hx_web_hashing {
    struct hx_job job;
    struct hx_web *web;
    struct hx_web_request *request; /* NULL: idle */
    char hash[HX_SETTING_TEXT_MAX + 1u];
    struct hx_web_login login;
    bool good;
};

struct hx_web_mqtt_test {
    struct hx_job job;
    struct hx_web *web;
    struct hx_web_request *request; /* NULL: idle */
    struct hx_mqtt_client_config config;
    bool ok;
    char broker[384], why[HX_WEB_WHY];
};

#define HX_SEAL_TEXT 8192u /* octets of secrets */
#define HX_SEAL_SALT 16u
#define HX_SEAL_NONCE 12u
#define HX_SEAL_TAG 16u
struct hx_web_sealed {
    uint8_t salt[HX_SEAL_SALT], nonce[HX_SEAL_NONCE];
    uint8_t data[HX_SEAL_TEXT + HX_SEAL_TAG];
    size_t len;
    unsigned iterations;
};
/** Secrets of a backup being encrypted or decrypted. One at a time. */
struct hx_web_seal {
    struct hx_job job;
    struct hx_web_request *request; /* NULL: idle */
    void (*done)(struct hx_web_request *r, struct hx_web_seal *s);
    bool opening, good;
    char passphrase[HX_WEB_PASSWORD_MAX + 1u];
    uint8_t text[HX_SEAL_TEXT];
    size_t len;
    struct hx_web_sealed sealed;
};

struct hx_web_cached {
    uint8_t digest[32];
    uint64_t until_ms;
};
#define HX_WEB_CACHED 8u

struct hx_web {
    pthread_mutex_t lock;
    /* under lock */
    uint32_t telegrams; /* ever put in the ring */
    struct hx_web_entry ring[HX_WEB_TELEGRAMS];
    struct hx_web_figures figures;
    struct hx_settings posted;
    bool posted_new, stop;
    unsigned notes;
    struct hx_web_pending_note note[HX_WEB_NOTES];
    unsigned commands;
    enum hx_web_command command[HX_WEB_COMMANDS];
    struct hx_web_answer answer[HX_WEB_COMMAND_COUNT];
    struct hx_network *network; /* each NULL: none */
    struct hx_mdns *mdns;
    /* lock-free */
    int command_fd;
    _Atomic uint64_t peers_until_ms;
    struct hx_mailbox mailbox;
    /* fixed */
    const struct config_source *config;
    const char *state_dir;
    pthread_t thread;
    /* web thread */
    struct event_base *base;
    struct event *mail, *again, *tick;
    struct hx_worker fast, slow; /* hashes and files; broker trials */
    bool fast_open, slow_open, ended;
    const struct hx_state *state;
    struct hx_state blank;
    struct hx_registers regs;
    struct hx_settings settings;
    struct hx_web_fixed fixed;
    struct hx_web_names names;
    struct hx_web_tls tls;
    struct hx_web_listener listener[HX_WEB_LISTENERS];
    bool listen_failed[2];                        /* said in the log */
    uint64_t names_ms, listen_ms, certificate_ms; /* when each was looked at */
    struct hx_web_sessions sessions;
    struct hx_web_backoff backoff;
    uint8_t salt[16];
    struct hx_web_cached cached[HX_WEB_CACHED];
    struct hx_web_request *waiting; /* queue of logins */
    unsigned waiting_count;
    struct hx_web_hashing hashing;
    struct hx_web_change change;
    struct hx_web_request *resetting; /* waits for what the gateway says; NULL none */
    struct hx_web_mqtt_test mqtt_test;
    struct hx_web_seal seal;
    struct hx_web_history history;
    struct hx_web_audit audit;
    struct hx_web_stream *streams;
    unsigned stream_count;
    struct hx_web_message *newest;
    uint64_t message_ms;
    uint32_t message_telegrams;
};

/* --- web_server.c: sockets and requests --- */

/** Listen as the settings say; keeps what did not change. */
void hx_web_listen(struct hx_web *w);
/** @return 0 when pages can be served on this address of the machine; else an errno value. */
int hx_web_try_address(const char *listen_text);
/** Time passed: deadlines, retirement, retries. */
void hx_web_listen_tick(struct hx_web *w, uint64_t now_ms);
/** Close everything. No job may be running any more. */
void hx_web_listen_close(struct hx_web *w);
/** Run the servers now. */
void hx_web_turn(struct hx_web *w);
/** Run the servers when this thread has ended what it does. Whoever resumes a connection must ask
 * for it: nothing else tells the library's loop, and MHD_get_timeout does not count it (0.9.75). */
void hx_web_run(struct hx_web *w);
/** Send now what was answered: there is no next turn. */
void hx_web_flush(struct hx_web *w);
/** The certificate no longer fits: load or make another, and begin HTTPS anew with it. */
void hx_web_new_certificate(struct hx_web *w);

/** The answer stands in r->out with @p status. JSON unless r->type says otherwise. */
void hx_web_reply(struct hx_web_request *r, unsigned status);
/** An error object. @param code  as in openapi.json. */
void hx_web_fail(struct hx_web_request *r, unsigned status, const char *code, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
/** 422 with its fields. */
void hx_web_refuse(struct hx_web_request *r, const struct hx_web_faults *f);
/** The same for one field. */
void hx_web_refuse_field(struct hx_web_request *r, const char *key, const char *message,
                         const char *allowed);
/** @return value of a query parameter, NULL none. */
const char *hx_web_query(const struct hx_web_request *r, const char *name);
/** @return the body as JSON, a new reference; NULL: answered. */
json_t *hx_web_body(struct hx_web_request *r);
void hx_web_record(struct hx_web_request *r, enum hx_note note, const char *text);

/* --- web_auth.c --- */

/** Who sends this? May be asked again. Sets logged_in, or has_login when a password must be looked
 * at first. */
void hx_web_identify(struct hx_web_request *r);
/** Look at r->login; r->after is called with r->verdict, at once or later. */
void hx_web_verify(struct hx_web_request *r, void (*after)(struct hx_web_request *r));
/** Answer a verdict that is not good. */
void hx_web_answer_verdict(struct hx_web_request *r);
bool hx_web_factory_password(const struct hx_web *w);
bool hx_web_read_only(const struct hx_web *w);
/** Begin a session and give its cookie. */
void hx_web_log_in(struct hx_web_request *r);
void hx_web_auth_init(struct hx_web *w);
/** User name or password changed. */
void hx_web_forget_logins(struct hx_web *w);
/** Hash @p password with a new salt; blocks. @return HX_OK; HX_E_IO. */
enum hx_err hx_web_hash_new(const char *password, char out[HX_SETTING_TEXT_MAX + 1u]);

/* --- web_change.c --- */

/** Put @p new to use, all or nothing. Takes @p new over. @param password  hashed in, NULL none. */
void hx_web_change(struct hx_web_request *r, struct hx_settings *new, const char *password,
                   void (*done)(struct hx_web_request *r, const char *why));
/** The gateway thread answered. */
void hx_web_change_answer(struct hx_web *w, bool ok, const char *why);
void hx_web_change_init(struct hx_web *w);
/** Ask the gateway thread. */
void hx_web_ask(struct hx_web *w, enum hx_web_command c);

/* --- web_events.c --- */

/** A stream of events as answer of @p r. */
void hx_api_events(struct hx_web_request *r);
/** A new state: tell the listeners when there is something to tell. */
void hx_web_events_post(struct hx_web *w, uint64_t now_ms);
/** End the streams of session @p token, all when NULL. */
void hx_web_events_end(struct hx_web *w, const char *token);
void hx_web_events_tick(struct hx_web *w, uint64_t now_ms);
struct MHD_Response *hx_web_events_response(struct hx_web_request *r);
/** The request ended before its stream was handed over. */
void hx_web_events_forget(struct hx_web_stream *s);
void hx_web_events_close(struct hx_web *w);

/* --- the API --- */

extern const struct hx_web_route hx_web_routes[];
extern const size_t hx_web_route_count;
void hx_web_live_json(const struct hx_web *w, struct hx_web_out *o, uint64_t now_ms);
void hx_api_live(struct hx_web_request *r);
void hx_api_status(struct hx_web_request *r);
void hx_api_registers(struct hx_web_request *r);
void hx_api_telegrams(struct hx_web_request *r);
void hx_api_history(struct hx_web_request *r);
void hx_api_history_recent(struct hx_web_request *r);
void hx_api_log(struct hx_web_request *r);
/** Any thread. @return NULL: none is attached. */
struct hx_network *hx_web_network(struct hx_web *w);
void hx_api_network(struct hx_web_request *r);
void hx_web_put_gateways(struct hx_web *w, struct hx_web_out *o);
void hx_api_network_confirm(struct hx_web_request *r);
void hx_api_settings(struct hx_web_request *r);
void hx_api_schema(struct hx_web_request *r);
void hx_api_settings_patch(struct hx_web_request *r);
void hx_api_session(struct hx_web_request *r);
void hx_api_session_begin(struct hx_web_request *r);
void hx_api_session_end(struct hx_web_request *r);
void hx_api_password(struct hx_web_request *r);
void hx_api_restart(struct hx_web_request *r);
void hx_api_factory_reset(struct hx_web_request *r);
/** The gateway thread answered. */
void hx_web_reset_answer(struct hx_web *w, bool ok, const char *why);
void hx_api_backup(struct hx_web_request *r);
void hx_api_backup_secrets(struct hx_web_request *r);
void hx_api_restore(struct hx_web_request *r);
void hx_api_mqtt_test(struct hx_web_request *r);
void hx_api_metrics(struct hx_web_request *r);
void hx_api_health(struct hx_web_request *r);
void hx_api_certificate(struct hx_web_request *r);
/** Decrypt the secrets of a backup on the worker; @p done gets them as text, or not good. */
void hx_web_open_secrets(struct hx_web_request *r, const json_t *backup, const char *passphrase,
                         void (*done)(struct hx_web_request *r, struct hx_web_seal *s));
void hx_web_mqtt_test_init(struct hx_web *w);

#endif
