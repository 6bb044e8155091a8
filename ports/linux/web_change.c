/* web_change.c - a change of settings: file, gateway, answer; all of it or nothing.
 *
 *   IDLE ─▶ WRITE (worker: hash a new password, replace the file) ─▶ RELOAD (gateway thread)
 *     ▲        │ not written                                        │ put to use
 *     └────────┴────────────────────────────────────────────────────┤
 *     └──────────────────────── UNDO (worker: the old file) ◀───────┘ refused
 */
#include "web_inside.h"

#include "file_replace.h"
#include "file_text.h"
#include "log.h"
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void hx_web_ask(struct hx_web *w, enum hx_web_command c)
{
    const uint64_t one = 1;

    (void)pthread_mutex_lock(&w->lock); /* our own, healthy lock: cannot fail */
    if (w->commands < HX_WEB_COMMANDS)
        w->command[w->commands++] = c; /* else the gateway thread hangs: nothing would help */
    (void)pthread_mutex_unlock(&w->lock);
    if (write(w->command_fd, &one, sizeof one) != (ssize_t)sizeof one)
        return; /* the counter is full: it has been told */
}

/* --- worker --- */

static bool read_before(struct hx_web_change *c, const char *path)
{
    if (file_text_read(path, CONFIG_FILE_MAX, &c->before, &c->before_text))
        return true;
    c->before = NULL;
    c->before_text = (struct hx_span){NULL, 0};
    if (errno == ENOENT)
        return true;
    (void)snprintf(c->why, sizeof c->why, "%s cannot be read: %s", path, strerror(errno));
    return false;
}

static bool hash_password(struct hx_web_change *c)
{
    char *to = c->new->text[HX_S_WEB_PASSWORD_HASH];

    if (c->new_password[0] == '\0')
        return true;
    if (hx_web_hash_new(c->new_password, to) == HX_OK) {
        c->new->text[HX_S_WEB_PASSWORD_HASH_FILE][0] = '\0';
        return true;
    }
    (void)snprintf(c->why, sizeof c->why, "the password could not be hashed");
    return false;
}

/* HTTPS would be gone, and with it perhaps the way to put it right. */
static bool check_certificate(struct hx_web_change *c)
{
    const char *cert = c->new->text[HX_S_WEB_TLS_CERT], *key = c->new->text[HX_S_WEB_TLS_KEY];
    struct hx_web_tls trial = {.key = NULL};
    bool good;

    if ((*cert == '\0' && *key == '\0') ||
        (!hx_web_setting_differs(c->old, c->new, HX_S_WEB_TLS_CERT) &&
         !hx_web_setting_differs(c->old, c->new, HX_S_WEB_TLS_KEY)))
        return true;
    hx_log_keep(c->why, sizeof c->why); /* of this thread */
    good = hx_web_tls_load(&trial, cert, key, "", NULL, 0) == HX_OK;
    hx_log_keep(NULL, 0);
    hx_web_tls_free(&trial);
    return good;
}

/* @return true when the file is the new one. */
static bool replace(const char *path, struct hx_span text)
{
    enum hx_err err = file_replace(path, text, 0600);

    if (err == HX_MORE)
        hx_log(HX_LOG_WARNING,
               "the settings file %s was written, but a power cut may bring the old one back: %s",
               path, strerror(errno));
    return err != HX_E_IO;
}

/* The way back of network settings first: a power cut may come at any time. */
static void put(struct hx_web_change *c, const char *path, struct hx_span text)
{
    struct hx_network *n = hx_web_network(c->web);

    if (hx_network_prepare(n, c->new, c->why) != HX_OK || replace(path, text))
        return;
    (void)snprintf(c->why, sizeof c->why, "the settings file %s cannot be written: %s", path,
                   strerror(errno));
    hx_network_give_up(n);
}

static void write_file(struct hx_web_change *c)
{
    const char *path = config_path(c->web->config);
    size_t len = 0;
    uint8_t *text;

    if (!check_certificate(c) || !hash_password(c) || !read_before(c, path))
        return;
    text = hx_web_new_file(c->before_text, c->old, c->new, &len);
    if (text == NULL)
        (void)snprintf(c->why, sizeof c->why, "the settings file would be too large");
    else
        put(c, path, (struct hx_span){text, len});
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
}

static void undo(struct hx_web_change *c)
{
    const char *path = config_path(c->web->config);

    if (c->before == NULL ? unlink(path) != 0 : !replace(path, c->before_text))
        (void)snprintf(c->why + strlen(c->why), sizeof c->why - strlen(c->why),
                       "; the settings file could not be put back: %s", strerror(errno));
    hx_network_give_up(hx_web_network(c->web));
}

static void change_run(struct hx_job *job)
{
    struct hx_web_change *c = (struct hx_web_change *)(void *)job; /* its first member */

    if (c->step == HX_CHANGE_WRITE)
        write_file(c);
    else
        undo(c);
}

/* --- web thread --- */

static void finish(struct hx_web_change *c)
{
    struct hx_web_request *r = c->request;
    char why[HX_WEB_WHY];

    memcpy(why, c->why, sizeof why);
    if (c->before != NULL)
        explicit_bzero(c->before, c->before_text.len);
    free(c->before);
    explicit_bzero(c->new, sizeof *c->new);
    explicit_bzero(c->old, sizeof *c->old);
    free(c->new);
    free(c->old);
    c->before = NULL;
    c->new = c->old = NULL;
    c->request = NULL;
    explicit_bzero(c->new_password, sizeof c->new_password);
    c->step = HX_CHANGE_IDLE;
    c->done(r, why[0] != '\0' ? why : NULL);
}

static void change_done(struct hx_job *job)
{
    struct hx_web_change *c = (struct hx_web_change *)(void *)job;

    if (c->step == HX_CHANGE_UNDO || c->why[0] != '\0') {
        finish(c);
        return;
    }
    c->step = HX_CHANGE_RELOAD;
    hx_web_ask(c->web, hx_web_setting_differs(c->old, c->new, HX_S_DEVICE_SCALE)
                           ? HX_WEB_RELOAD_SCALE
                           : HX_WEB_RELOAD);
}

void hx_web_change_answer(struct hx_web *w, bool ok, const char *why)
{
    struct hx_web_change *c = &w->change;

    if (c->step != HX_CHANGE_RELOAD)
        return;
    if (ok) {
        finish(c);
        return;
    }
    (void)snprintf(c->why, sizeof c->why, "%s",
                   *why != '\0' ? why : "the gateway could not put the settings to use");
    c->step = HX_CHANGE_UNDO;
    (void)hx_worker_submit(&w->fast, &c->job); /* idle: it is ours */
}

void hx_web_change(struct hx_web_request *r, struct hx_settings *new, const char *password,
                   void (*done)(struct hx_web_request *r, const char *why))
{
    struct hx_web_change *c = &r->web->change;
    struct hx_settings *old = c->step == HX_CHANGE_IDLE ? malloc(sizeof *old) : NULL;

    if (old == NULL) {
        explicit_bzero(new, sizeof *new);
        free(new);
        r->retry_s = 1;
        hx_web_fail(r, 503, "busy", "another change of settings is under way");
        return;
    }
    *old = r->web->settings;
    c->request = r;
    c->old = old;
    c->new = new;
    c->done = done;
    c->why[0] = '\0';
    (void)snprintf(c->new_password, sizeof c->new_password, "%s", password != NULL ? password : "");
    c->step = HX_CHANGE_WRITE;
    (void)hx_worker_submit(&r->web->fast, &c->job); /* idle: it is ours */
}

void hx_web_change_init(struct hx_web *w)
{
    w->change.web = w;
    w->change.job.run = change_run;
    w->change.job.done = change_done;
}
