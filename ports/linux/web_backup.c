/* web_backup.c - backups of the settings; secrets go in only encrypted with a passphrase.
 * Source: AES-256-GCM, NIST SP 800-38D; PBKDF2 with SHA-256, RFC 8018; iterations: OWASP, 2023. */
#include "web_inside.h"

#include "clock.h"
#include "unconst.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ITERATIONS 600000u
#define ITERATIONS_MAX 2000000u /* of a backup from outside: some seconds of work */
#define KEY 32u
#define PASSPHRASE_MIN 8u
static bool derive(const char *passphrase, const struct hx_web_sealed *s, uint8_t key[KEY])
{
    const gnutls_datum_t pass = {unconst(passphrase), (unsigned)strlen(passphrase)};
    const gnutls_datum_t salt = {unconst(s->salt), HX_SEAL_SALT};

    return gnutls_pbkdf2(GNUTLS_MAC_SHA256, &pass, &salt, s->iterations, key, KEY) >= 0;
}

/* @return a cipher with the key of @p passphrase; NULL. */
static gnutls_aead_cipher_hd_t cipher_of(const char *passphrase, const struct hx_web_sealed *s)
{
    gnutls_aead_cipher_hd_t cipher = NULL;
    uint8_t octets[KEY];
    const gnutls_datum_t key = {octets, KEY};

    if (derive(passphrase, s, octets) &&
        gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key) < 0)
        cipher = NULL;
    explicit_bzero(octets, sizeof octets);
    return cipher;
}

static bool seal(const char *passphrase, const uint8_t *plain, size_t len, struct hx_web_sealed *s)
{
    gnutls_aead_cipher_hd_t cipher;
    int err;

    s->iterations = ITERATIONS;
    s->len = sizeof s->data;
    if (getrandom(s->salt, HX_SEAL_SALT, 0) != (ssize_t)HX_SEAL_SALT ||
        getrandom(s->nonce, HX_SEAL_NONCE, 0) != (ssize_t)HX_SEAL_NONCE)
        return false;
    cipher = cipher_of(passphrase, s);
    if (cipher == NULL)
        return false;
    err = gnutls_aead_cipher_encrypt(cipher, s->nonce, HX_SEAL_NONCE, NULL, 0, HX_SEAL_TAG, plain,
                                     len, s->data, &s->len);
    gnutls_aead_cipher_deinit(cipher);
    return err >= 0;
}

/* --- making --- */

static void put_base64(struct hx_web_out *o, const char *key, const uint8_t *p, size_t n)
{
    const gnutls_datum_t in = {unconst(p), (unsigned)n};
    gnutls_datum_t text = {NULL, 0};

    if (gnutls_base64_encode2(&in, &text) < 0) {
        o->failed = true;
        return;
    }
    hx_web_span(o, key, (struct hx_span){text.data, text.size});
    gnutls_free(text.data);
}

static void put_sealed(struct hx_web_out *o, const struct hx_web_sealed *s)
{
    hx_web_open_object(o, "secrets");
    hx_web_text(o, "cipher", "AES-256-GCM");
    hx_web_text(o, "kdf", "PBKDF2-SHA256");
    hx_web_int(o, "iterations", s->iterations);
    put_base64(o, "salt", s->salt, HX_SEAL_SALT);
    put_base64(o, "nonce", s->nonce, HX_SEAL_NONCE);
    put_base64(o, "data", s->data, s->len);
    hx_web_close_object(o);
}

static void answer(struct hx_web_request *r, const struct hx_web_sealed *s)
{
    struct hx_web_out *o = &r->out;
    int64_t utc_ms = hx_clock_utc_ms();

    hx_web_open_object(o, NULL);
    hx_web_text(o, "format", "han2x-backup");
    hx_web_int(o, "version", 1);
    hx_web_time(o, "made", utc_ms >= HX_CLOCK_KNOWN_MS, utc_ms);
    hx_web_text(o, "program", HX_VERSION);
    hx_web_settings_json(o, "settings", &r->web->settings, false);
    if (s != NULL)
        put_sealed(o, s);
    hx_web_close_object(o);
    r->download = "han2x-backup.json";
    hx_web_record(r, HX_NOTE_BACKUP, s != NULL ? "backup with encrypted secrets" : "backup");
    hx_web_reply(r, 200);
}

void hx_api_backup(struct hx_web_request *r)
{
    answer(r, NULL);
}

/* --- reading --- */

static bool read_base64(const json_t *o, const char *key, uint8_t *out, size_t min, size_t max,
                        size_t *len)
{
    const char *text = hx_web_json_text(o, key, 2u * (HX_SEAL_TEXT + HX_SEAL_TAG));
    gnutls_datum_t in, octets = {NULL, 0};
    bool good;

    if (text == NULL)
        return false;
    in = (gnutls_datum_t){unconst(text), (unsigned)strlen(text)};
    if (gnutls_base64_decode2(&in, &octets) < 0)
        return false;
    good = octets.size >= min && octets.size <= max;
    if (good)
        memcpy(out, octets.data, octets.size);
    *len = octets.size;
    gnutls_free(octets.data);
    return good;
}

static bool read_sealed(const json_t *o, struct hx_web_sealed *s)
{
    json_int_t n = json_integer_value(json_object_get(o, "iterations"));
    size_t len;

    s->iterations = (unsigned)n;
    return n >= 1 && n <= (json_int_t)ITERATIONS_MAX &&
           read_base64(o, "salt", s->salt, HX_SEAL_SALT, HX_SEAL_SALT, &len) &&
           read_base64(o, "nonce", s->nonce, HX_SEAL_NONCE, HX_SEAL_NONCE, &len) &&
           read_base64(o, "data", s->data, HX_SEAL_TAG, sizeof s->data, &s->len);
}

static bool open_sealed(struct hx_web_seal *s)
{
    gnutls_aead_cipher_hd_t cipher = cipher_of(s->passphrase, &s->sealed);
    int err;

    if (cipher == NULL)
        return false;
    s->len = sizeof s->text;
    err = gnutls_aead_cipher_decrypt(cipher, s->sealed.nonce, HX_SEAL_NONCE, NULL, 0, HX_SEAL_TAG,
                                     s->sealed.data, s->sealed.len, s->text, &s->len);
    gnutls_aead_cipher_deinit(cipher);
    return err >= 0;
}

/* --- sealing and opening on the worker: stretching a passphrase takes a second or more --- */

static void seal_run(struct hx_job *job)
{
    struct hx_web_seal *s = (struct hx_web_seal *)(void *)job; /* its first member */

    s->good = s->opening ? open_sealed(s) : seal(s->passphrase, s->text, s->len, &s->sealed);
}

static void seal_done(struct hx_job *job)
{
    struct hx_web_seal *s = (struct hx_web_seal *)(void *)job;
    struct hx_web_request *r = s->request;

    s->done(r, s);
    explicit_bzero(s->passphrase, sizeof s->passphrase);
    explicit_bzero(s->text, sizeof s->text);
    s->request = NULL;
}

/* @return true when it is ours now; else answered. */
static bool take(struct hx_web_request *r, const char *passphrase, bool opening,
                 void (*done)(struct hx_web_request *r, struct hx_web_seal *s))
{
    struct hx_web_seal *s = &r->web->seal;

    if (s->request != NULL) {
        r->retry_s = 2;
        hx_web_fail(r, 503, "busy", "another backup is under way");
        return false;
    }
    s->request = r;
    s->opening = opening;
    s->done = done;
    s->job.run = seal_run;
    s->job.done = seal_done;
    (void)snprintf(s->passphrase, sizeof s->passphrase, "%s", passphrase);
    return true;
}

static void sealed_done(struct hx_web_request *r, struct hx_web_seal *s)
{
    if (s->good)
        answer(r, &s->sealed);
    else
        hx_web_fail(r, 500, "failed", "the secrets could not be encrypted");
}

static void begin_sealing(struct hx_web_request *r, const char *passphrase)
{
    struct hx_web_seal *s = &r->web->seal;
    struct hx_web_out plain = {.ptr = NULL};

    hx_web_settings_json(&plain, NULL, &r->web->settings, true);
    if (plain.failed || plain.len > sizeof s->text) {
        hx_web_fail(r, 500, "failed", "the secrets could not be encrypted");
    } else if (take(r, passphrase, false, sealed_done)) {
        memcpy(s->text, plain.ptr, plain.len);
        s->len = plain.len;
        (void)hx_worker_submit(&r->web->fast, &s->job); /* idle: request was NULL */
    }
    if (plain.ptr != NULL)
        explicit_bzero(plain.ptr, plain.len);
    hx_web_out_free(&plain);
}

void hx_api_backup_secrets(struct hx_web_request *r)
{
    json_t *body = hx_web_body(r);
    const char *passphrase;

    if (body == NULL)
        return;
    passphrase = hx_web_json_text(body, "passphrase", HX_WEB_PASSWORD_MAX);
    if (passphrase == NULL || strlen(passphrase) < PASSPHRASE_MIN)
        hx_web_refuse_field(r, "passphrase", "too short, or no text", "8 to 512 octets");
    else
        begin_sealing(r, passphrase);
    json_decref(body);
}

void hx_web_open_secrets(struct hx_web_request *r, const json_t *backup, const char *passphrase,
                         void (*done)(struct hx_web_request *r, struct hx_web_seal *s))
{
    struct hx_web_seal *s = &r->web->seal;

    if (!take(r, passphrase, true, done))
        return;
    if (read_sealed(json_object_get(backup, "secrets"), &s->sealed)) {
        (void)hx_worker_submit(&r->web->fast, &s->job); /* idle: request was NULL */
        return;
    }
    s->request = NULL;
    hx_web_refuse_field(r, "backup", "its secrets are damaged", "the backup as it was made");
}
