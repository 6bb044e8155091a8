/* web_api_write.c - what the API changes: sessions, password, settings, restart, reset. */
#include "web_inside.h"

#include "clock.h"
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTORY_PASSWORD "vari"
#define PASSWORD_MIN 8u /* NIST SP 800-63B, 5.1.1.2 */
#define ADDRESSES 8u    /* that are proposed when one is refused */

/* --- session --- */

static void put_session(struct hx_web_request *r)
{
    const struct hx_web *w = r->web;
    struct hx_web_out *o = &r->out;
    bool in = r->logged_in;
    uint64_t wait_ms = hx_web_backoff_wait_ms(&w->backoff, r->conn->address, hx_clock_ms());

    hx_web_open_object(o, NULL);
    hx_web_bool(o, "logged_in", in);
    hx_web_text(o, "username", in ? w->settings.text[HX_S_WEB_USERNAME] : NULL);
    if (in) {
        hx_web_bool(o, "factory_password", hx_web_factory_password(w));
        hx_web_bool(o, "read_only", hx_web_read_only(w));
    } else {
        hx_web_null(o, "factory_password");
        hx_web_null(o, "read_only");
    }
    hx_web_text(o, "name", in ? w->settings.text[HX_S_DEVICE_NAME] : NULL);
    hx_web_span(o, "language", hx_settings_choice(&w->settings, HX_S_DEVICE_LANGUAGE));
    hx_web_text(o, "version", in ? HX_VERSION : NULL);
    hx_web_bool(o, "tls", r->conn->listener->tls);
    hx_web_int(o, "retry_after_s", (int64_t)((wait_ms + 999u) / 1000u));
    hx_web_close_object(o);
}

void hx_api_session(struct hx_web_request *r)
{
    put_session(r);
    hx_web_reply(r, 200);
}

static void after_session_login(struct hx_web_request *r)
{
    r->has_login = false; /* no Basic challenge on the login form */
    r->logged_in = r->verdict == HX_VERDICT_GOOD;
    if (!r->logged_in) {
        hx_web_answer_verdict(r);
        return;
    }
    hx_web_log_in(r);
    put_session(r);
    hx_web_reply(r, 200);
}

void hx_api_session_begin(struct hx_web_request *r)
{
    json_t *body = hx_web_body(r);
    const char *user, *password;

    if (body == NULL)
        return;
    user = hx_web_json_text(body, "username", HX_WEB_USER_MAX);
    password = hx_web_json_text(body, "password", HX_WEB_PASSWORD_MAX);
    if (user == NULL || password == NULL) {
        hx_web_refuse_field(r, user == NULL ? "username" : "password", "a text is needed here",
                            "username: at most 64 octets; password: at most 512");
        json_decref(body);
        return;
    }
    (void)snprintf(r->login.username, sizeof r->login.username, "%s", user);
    (void)snprintf(r->login.password, sizeof r->login.password, "%s", password);
    json_decref(body);
    hx_web_verify(r, after_session_login);
}

void hx_api_session_end(struct hx_web_request *r)
{
    bool tls = r->conn->listener->tls;

    if (r->token[0] != '\0') {
        hx_web_session_end(&r->web->sessions,
                           (struct hx_span){(const uint8_t *)r->token, strlen(r->token)});
        hx_web_events_end(r->web, r->token);
        hx_web_record(r, HX_NOTE_LOGOUT, "logged out");
    }
    (void)snprintf(r->cookie, sizeof r->cookie,
                   "%s=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0%s",
                   tls ? HX_WEB_COOKIE_TLS : HX_WEB_COOKIE, tls ? "; Secure" : "");
    hx_web_reply(r, 204);
}

/* --- settings --- */

static void put_settings(struct hx_web_request *r, const char *key)
{
    const struct hx_web *w = r->web;

    hx_web_settings_answer(&r->out, key, &w->settings, &w->fixed, config_path(w->config));
}

void hx_api_settings(struct hx_web_request *r)
{
    put_settings(r, NULL);
    hx_web_reply(r, 200);
}

void hx_api_schema(struct hx_web_request *r)
{
    hx_web_schema_json(&r->out);
    hx_web_reply(r, 200);
}

/* Names of what differs, for answer and log. @return how many. */
static unsigned list_changes(const struct hx_settings *a, const struct hx_settings *b,
                             struct hx_web_out *names, bool effect[HX_EFFECT_COUNT])
{
    unsigned n = 0;

    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        const struct hx_setting *row = hx_setting_row((enum hx_setting_id)i);

        if (!hx_web_setting_differs(a, b, (enum hx_setting_id)i))
            continue;
        hx_web_put(names, "%s%s.%s", n == 0 ? "" : " ", row->section, row->key);
        effect[hx_web_effect_of((enum hx_setting_id)i)] = true;
        n++;
    }
    hx_web_put_span(names, (struct hx_span){(const uint8_t *)"", 1}); /* a text, with its NUL */
    return n;
}

static void put_words(struct hx_web_out *o, const char *words)
{
    while (*words != '\0') {
        size_t n = strcspn(words, " ");

        hx_web_span(o, NULL, (struct hx_span){(const uint8_t *)words, n});
        words += n + strspn(words + n, " ");
    }
}

static void answer_changes(struct hx_web_request *r, const struct hx_settings *before,
                           const struct hx_settings *after, enum hx_note note)
{
    struct hx_web_out names = {.ptr = NULL};
    bool effect[HX_EFFECT_COUNT] = {false};
    unsigned n = list_changes(before, after, &names, effect);
    char text[HX_AUDIT_TEXT];

    if (n != 0 && !names.failed) {
        (void)snprintf(text, sizeof text, "changed: %s", names.ptr);
        hx_web_record(r, note, text);
    }
    hx_web_open_object(&r->out, NULL);
    hx_web_open_array(&r->out, "changed");
    if (!names.failed)
        put_words(&r->out, names.ptr);
    hx_web_close_array(&r->out);
    hx_web_open_array(&r->out, "effects");
    for (unsigned e = 0; e < HX_EFFECT_COUNT; e++)
        if (effect[e])
            hx_web_text(&r->out, NULL, hx_web_effect_name((enum hx_web_effect)e));
    hx_web_close_array(&r->out);
    put_settings(r, "settings");
    hx_web_close_object(&r->out);
    hx_web_out_free(&names);
    hx_web_reply(r, 200);
}

static void change_failed(struct hx_web_request *r, const char *why)
{
    hx_web_fail(r, 500, "failed", "nothing was changed: %s", why);
}

static void changed(struct hx_web_request *r, const char *why, enum hx_note note)
{
    const struct hx_settings *before = r->before;

    if (why != NULL) {
        change_failed(r, why);
        return;
    }
    if (strcmp(before->text[HX_S_WEB_USERNAME], r->web->settings.text[HX_S_WEB_USERNAME]) != 0 ||
        strcmp(before->text[HX_S_WEB_PASSWORD_HASH],
               r->web->settings.text[HX_S_WEB_PASSWORD_HASH]) != 0) {
        bool by_session = r->token[0] != '\0';

        hx_web_forget_logins(r->web);
        if (by_session)
            hx_web_log_in(r);
    }
    answer_changes(r, before, &r->web->settings, note);
}

static void patched(struct hx_web_request *r, const char *why)
{
    changed(r, why, HX_NOTE_SETTINGS);
}

static void restored(struct hx_web_request *r, const char *why)
{
    changed(r, why, HX_NOTE_RESTORE);
}

static bool keep_before(struct hx_web_request *r)
{
    r->before = malloc(sizeof *r->before);
    if (r->before != NULL)
        *r->before = r->web->settings;
    return r->before != NULL;
}

/* Pages on an address that is not there could not be reached to put it right. @return false:
 * answered. */
static bool listen_ok(struct hx_web_request *r, const struct hx_settings *new)
{
    char address[ADDRESSES][48], allowed[HX_WEB_FAULT_TEXT];
    size_t n, len;
    int err = 0;

    if (hx_web_setting_differs(&r->web->settings, new, HX_S_WEB_LISTEN))
        err = hx_web_try_address(new->text[HX_S_WEB_LISTEN]);
    if (err == 0)
        return true;
    n = hx_network_addresses(address, ADDRESSES);
    len = (size_t)snprintf(allowed, sizeof allowed, "all, 127.0.0.1");
    for (size_t i = 0; i < n && len + strlen(address[i]) + 2u < sizeof allowed; i++)
        len += (size_t)snprintf(allowed + len, sizeof allowed - len, ", %s", address[i]);
    hx_web_refuse_field(r, "web.listen",
                        err == EADDRNOTAVAIL ? "this machine has no such address" : strerror(err),
                        allowed);
    return false;
}

/* @param values  {section: {key: value}}; given back by the caller. */
static void change(struct hx_web_request *r, const json_t *values, const json_t *secrets,
                   enum hx_web_patch_for what, enum hx_note note)
{
    struct hx_settings *new = malloc(sizeof *new);
    struct hx_web_faults *f = malloc(sizeof *f);

    if (new == NULL || f == NULL || !keep_before(r)) {
        free(new);
        hx_web_fail(r, 503, "busy", "out of memory");
        free(f);
        return;
    }
    *new = r->web->settings;
    hx_web_patch(values, &r->web->fixed, what, new, f);
    if (f->count == 0 && secrets != NULL)
        hx_web_patch(secrets, &r->web->fixed, what, new, f);
    if (f->count != 0) {
        hx_web_refuse(r, f);
        explicit_bzero(new, sizeof *new);
        free(new);
    } else if (memcmp(new, &r->web->settings, sizeof *new) == 0) {
        free(new);
        answer_changes(r, &r->web->settings, &r->web->settings, note);
    } else if (!listen_ok(r, new)) {
        explicit_bzero(new, sizeof *new);
        free(new);
    } else {
        hx_web_change(r, new, NULL, note == HX_NOTE_RESTORE ? restored : patched);
    }
    free(f);
}

void hx_api_settings_patch(struct hx_web_request *r)
{
    json_t *body = hx_web_body(r);

    if (body == NULL)
        return;
    change(r, body, NULL, HX_PATCH_USER, HX_NOTE_SETTINGS);
    json_decref(body);
}

/* --- password --- */

static void password_changed(struct hx_web_request *r, const char *why)
{
    if (why != NULL) {
        change_failed(r, why);
        return;
    }
    hx_web_record(r, HX_NOTE_PASSWORD, "password changed");
    hx_web_forget_logins(r->web);
    hx_web_log_in(r);
    r->logged_in = true;
    put_session(r);
    hx_web_reply(r, 200);
}

/* The password in use was right. */
static void change_password(struct hx_web_request *r)
{
    json_t *body = hx_web_body(r);
    const char *user = hx_web_json_text(body, "username", HX_WEB_USER_MAX);
    struct hx_settings *new = malloc(sizeof *new);

    if (new == NULL) {
        hx_web_fail(r, 503, "busy", "out of memory");
    } else {
        *new = r->web->settings;
        if (user != NULL &&
            hx_settings_set(new, HX_S_WEB_USERNAME,
                            (struct hx_span){(const uint8_t *)user, strlen(user)}) != HX_OK) {
            hx_web_refuse_field(r, "username", "not allowed as a user name", "printable, no colon");
            free(new);
        } else {
            hx_web_change(r, new, json_string_value(json_object_get(body, "password")),
                          password_changed);
        }
    }
    json_decref(body);
}

static void after_current(struct hx_web_request *r)
{
    if (r->verdict == HX_VERDICT_WRONG && r->wait_s == 0)
        hx_web_refuse_field(r, "current", "this is not the password in use", "the password in use");
    else if (r->verdict != HX_VERDICT_GOOD)
        hx_web_answer_verdict(r);
    else
        change_password(r);
}

/* @return true when the body is as it must be; else answered. */
static bool check_password_body(struct hx_web_request *r, const json_t *body)
{
    const char *password = hx_web_json_text(body, "password", HX_WEB_PASSWORD_MAX);
    const json_t *user = json_object_get(body, "username");

    if (hx_web_json_text(body, "current", HX_WEB_PASSWORD_MAX) == NULL)
        hx_web_refuse_field(r, "current", "a text is needed here", "the password in use");
    else if (password == NULL || strlen(password) < PASSWORD_MIN)
        hx_web_refuse_field(r, "password", "too short, too long or no text", "8 to 512 octets");
    else if (strcmp(password, FACTORY_PASSWORD) == 0)
        hx_web_refuse_field(r, "password", "this is the factory password", "8 to 512 octets");
    else if (user != NULL && (hx_web_json_text(body, "username", HX_WEB_USER_MAX) == NULL ||
                              json_string_length(user) == 0))
        hx_web_refuse_field(r, "username", "not allowed as a user name",
                            "1 to 64 octets, no colon");
    else
        return true;
    return false;
}

void hx_api_password(struct hx_web_request *r)
{
    const struct hx_web *w = r->web;
    json_t *body = hx_web_body(r);

    if (body == NULL)
        return;
    if (w->fixed.is[HX_S_WEB_PASSWORD_HASH]) {
        hx_web_fail(r, 503, "not_available",
                    "the password is set by command line, environment or a file of its own");
    } else if (check_password_body(r, body)) {
        (void)snprintf(r->login.username, sizeof r->login.username, "%.64s",
                       w->settings.text[HX_S_WEB_USERNAME]); /* 64 octets: the settings table */
        (void)snprintf(r->login.password, sizeof r->login.password, "%s",
                       json_string_value(json_object_get(body, "current")));
        hx_web_verify(r, after_current);
    }
    json_decref(body);
}

/* --- restart and reset --- */

static void accepted(struct hx_web_request *r, const char *message)
{
    hx_web_open_object(&r->out, NULL);
    hx_web_bool(&r->out, "accepted", true);
    hx_web_text(&r->out, "message", message);
    hx_web_close_object(&r->out);
    hx_web_reply(r, 202);
}

void hx_api_restart(struct hx_web_request *r)
{
    hx_web_record(r, HX_NOTE_RESTART, "restart asked for");
    hx_web_ask(r->web, HX_WEB_RESTART);
    accepted(r, "the program ends and begins anew");
}

void hx_api_factory_reset(struct hx_web_request *r)
{
    json_t *body = hx_web_body(r);
    const char *text;

    if (body == NULL)
        return;
    text = hx_web_json_text(body, "confirm", 32);
    if (text == NULL || strcmp(text, "factory-reset") != 0) {
        hx_web_refuse_field(r, "confirm", "not confirmed", "factory-reset");
    } else if (r->web->resetting != NULL) {
        r->retry_s = 1;
        hx_web_fail(r, 503, "busy", "a factory reset is under way");
    } else {
        hx_web_record(r, HX_NOTE_FACTORY_RESET, "factory reset asked for");
        r->web->resetting = r;
        hx_web_ask(r->web, HX_WEB_FACTORY_RESET);
    }
    json_decref(body);
}

void hx_web_reset_answer(struct hx_web *w, bool ok, const char *why)
{
    struct hx_web_request *r = w->resetting;
    char text[HX_AUDIT_TEXT];

    w->resetting = NULL;
    if (r == NULL)
        return;
    if (ok) {
        accepted(r, "everything that was entered is wiped, then the program begins anew");
        return;
    }
    (void)snprintf(text, sizeof text, "factory reset refused: %s", why);
    hx_web_record(r, HX_NOTE_FACTORY_RESET, text);
    change_failed(r, why);
}

/* --- restore; backups are made in web_backup.c --- */

/* The body again: it was read once already, before the secrets were decrypted. */
static void restore_all(struct hx_web_request *r, struct hx_web_seal *seal)
{
    json_t *body, *secrets = NULL;
    char why[HX_WEB_FAULT_TEXT] = "";

    if (seal != NULL && seal->good)
        secrets = hx_web_json((struct hx_span){seal->text, seal->len}, why);
    if (seal != NULL && secrets == NULL) {
        hx_web_refuse_field(r, "passphrase", "the secrets cannot be read with this passphrase",
                            "the passphrase that the backup was made with");
        return;
    }
    body = hx_web_body(r);
    if (body != NULL)
        change(r, json_object_get(json_object_get(body, "backup"), "settings"), secrets,
               HX_PATCH_RESTORE, HX_NOTE_RESTORE);
    json_decref(secrets);
    json_decref(body);
}

void hx_api_restore(struct hx_web_request *r)
{
    json_t *body = hx_web_body(r);
    const json_t *backup = json_object_get(body, "backup");
    const char *format = hx_web_json_text(backup, "format", 32);
    const char *passphrase = hx_web_json_text(body, "passphrase", HX_WEB_PASSWORD_MAX);

    if (body == NULL)
        return;
    if (format == NULL || strcmp(format, "han2x-backup") != 0 ||
        json_integer_value(json_object_get(backup, "version")) != 1 ||
        !json_is_object(json_object_get(backup, "settings")))
        hx_web_refuse_field(r, "backup", "this is no backup of a gateway",
                            "an object with format han2x-backup, version 1 and settings");
    else if (passphrase != NULL && json_object_get(backup, "secrets") != NULL)
        hx_web_open_secrets(r, backup, passphrase, restore_all);
    else
        restore_all(r, NULL);
    json_decref(body);
}
