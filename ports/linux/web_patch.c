/* web_patch.c - see web_patch.h. */
#include "web_patch.h"

#include "unconst.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 640u       /* a value as text: HX_SETTING_TEXT_MAX, each octet escaped, quotes */
#define GROWTH (96u * 1024u) /* of a file by new sections and keys with their meanings */

static struct hx_span span_str(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

static const struct hx_setting *row_of(unsigned id)
{
    return hx_setting_row((enum hx_setting_id)id);
}

/* --- bodies --- */

/* Brackets outside strings: the library calls itself for each level. */
static bool is_too_deep(struct hx_span body)
{
    int depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < body.len; i++) {
        uint8_t c = body.ptr[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > HX_WEB_DEPTH)
            return true;
    }
    return false;
}

json_t *hx_web_json(struct hx_span body, char why[HX_WEB_FAULT_TEXT])
{
    json_error_t error;
    json_t *json;

    if (is_too_deep(body)) {
        (void)snprintf(why, HX_WEB_FAULT_TEXT, "the body is nested too deeply");
        return NULL;
    }
    json = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        (void)snprintf(why, HX_WEB_FAULT_TEXT, "the body is no JSON: line %d: %s", error.line,
                       error.text);
    else if (!json_is_object(json)) {
        (void)snprintf(why, HX_WEB_FAULT_TEXT, "the body is no JSON object");
        json_decref(json);
        json = NULL;
    }
    return json;
}

const char *hx_web_json_text(const json_t *object, const char *key, size_t max)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value) || json_string_length(value) > max ||
        strlen(json_string_value(value)) != json_string_length(value))
        return NULL;
    return json_string_value(value);
}

/* --- faults --- */

__attribute__((format(printf, 5, 6))) static void complain(struct hx_web_faults *f,
                                                           const char *section, const char *key,
                                                           const char *allowed, const char *format,
                                                           ...)
{
    struct hx_web_fault *at = &f->fault[f->count];
    va_list args;

    if (f->count == HX_WEB_FAULTS)
        return; /* enough are told */
    f->count++;
    (void)snprintf(at->key, sizeof at->key, "%.32s%s%.40s", section, *key != '\0' ? "." : "", key);
    (void)snprintf(at->allowed, sizeof at->allowed, "%s", allowed);
    va_start(args, format);
    (void)vsnprintf(at->message, sizeof at->message, format, args);
    va_end(args);
}

static void complain_value(struct hx_web_faults *f, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    uint8_t allowed[HX_WEB_FAULT_TEXT];
    struct hx_wr w = {.ptr = allowed, .cap = sizeof allowed - 1u};

    hx_setting_allowed(&w, id);
    allowed[w.len] = '\0';
    complain(f, row->section, row->key, (const char *)allowed, "%s.%s is not allowed to be this",
             row->section, row->key);
}

/* --- patch --- */

/* A value as the settings table reads it. @return false when it is of no type that could fit. */
static bool value_text(const json_t *value, char text[VALUE_MAX], struct hx_span *out)
{
    int n = 0;

    switch (json_typeof(value)) {
    case JSON_TRUE:
    case JSON_FALSE:
        n = snprintf(text, VALUE_MAX, "%s", json_is_true(value) ? "yes" : "no");
        break;
    case JSON_INTEGER:
        n = snprintf(text, VALUE_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_STRING:
        *out =
            (struct hx_span){(const uint8_t *)json_string_value(value), json_string_length(value)};
        return memchr(out->ptr, '\0', out->len) == NULL;
    case JSON_NULL:
    case JSON_REAL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return false;
    }
    *out = (struct hx_span){(const uint8_t *)text, (size_t)n};
    return true;
}

/* The password: only whoever knows the one in use may set another. */
static bool has_own_door(enum hx_setting_id id)
{
    return id == HX_S_WEB_PASSWORD_HASH || id == HX_S_WEB_PASSWORD_HASH_FILE;
}

struct patch {
    const struct hx_web_fixed *fixed;
    enum hx_web_patch_for what;
    struct hx_settings *s;
    struct hx_web_faults *f;
};

static void patch_value(struct patch *p, enum hx_setting_id id, const json_t *value)
{
    const struct hx_setting *row = hx_setting_row(id);
    char text[VALUE_MAX];
    struct hx_span span;

    if (json_is_null(value) && row->type == HX_SET_SECRET)
        return; /* as it was read: no change */
    if (p->what == HX_PATCH_RESTORE && has_own_door(id))
        return; /* the one in use stays */
    if (has_own_door(id)) {
        complain(p->f, row->section, row->key, "POST /api/v1/password",
                 "the password is changed where the one in use is asked for");
        return;
    }
    if (!value_text(value, text, &span) || hx_settings_set(p->s, id, span) != HX_OK)
        complain_value(p->f, id);
}

static void patch_section(struct patch *p, const char *section, json_t *keys)
{
    const char *key;
    json_t *value;

    if (!hx_setting_has_section(span_str(section)) || !json_is_object(keys)) {
        complain(p->f, section, "", "a section of the settings, an object in it",
                 "there is no such section, or it is no object");
        return;
    }
    json_object_foreach(keys, key, value)
    {
        enum hx_setting_id id;

        if (hx_setting_find(span_str(section), span_str(key), &id) != HX_OK)
            complain(p->f, section, key, "a key of this section", "there is no such setting");
        else
            patch_value(p, id, value);
    }
}

static void check_fixed(struct patch *p, const struct hx_settings *old)
{
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        const struct hx_setting *row = row_of(i);

        if (p->fixed->is[i] && hx_web_setting_differs(old, p->s, (enum hx_setting_id)i))
            complain(p->f, row->section, row->key, "the value it has",
                     "it is set by command line, environment or a file of its own");
    }
}

static void check_needs(struct patch *p)
{
    enum hx_setting_id asks, needs;
    uint8_t allowed[HX_WEB_FAULT_TEXT];
    struct hx_wr w = {.ptr = allowed, .cap = sizeof allowed - 1u};

    if (hx_settings_check(p->s, &asks, &needs) == HX_OK)
        return;
    hx_setting_allowed(&w, needs);
    allowed[w.len] = '\0';
    complain(p->f, hx_setting_row(needs)->section, hx_setting_row(needs)->key,
             (const char *)allowed, "%s.%s needs it, and it is empty",
             hx_setting_row(asks)->section, hx_setting_row(asks)->key);
}

void hx_web_patch(const json_t *body, const struct hx_web_fixed *fixed, enum hx_web_patch_for what,
                  struct hx_settings *s, struct hx_web_faults *f)
{
    struct hx_settings *new = malloc(sizeof *new);
    struct patch p = {fixed, what, new, f};
    const char *section;
    json_t *keys;
    void *each;

    f->count = 0;
    if (new == NULL) {
        complain(f, "", "", "", "out of memory");
        return;
    }
    *new = *s;
    /* the iterator takes no const; nothing is changed through it */
    for (each = json_object_iter(unconst(body)); each != NULL;
         each = json_object_iter_next(unconst(body), each)) {
        section = json_object_iter_key(each);
        keys = json_object_iter_value(each);
        patch_section(&p, section, keys);
    }
    if (f->count == 0)
        check_fixed(&p, s);
    if (f->count == 0)
        check_needs(&p);
    if (f->count == 0)
        *s = *new;
    explicit_bzero(new, sizeof *new);
    free(new);
}

bool hx_web_setting_differs(const struct hx_settings *a, const struct hx_settings *b,
                            enum hx_setting_id id)
{
    return a->num[id] != b->num[id] || strcmp(a->text[id], b->text[id]) != 0;
}

/* --- fixed settings --- */

static bool is_env_of(const struct hx_setting *row, const char *variable)
{
    char want[96];
    int n = snprintf(want, sizeof want, "HAN2X_%s_%s=", row->section, row->key);

    for (int i = 0; i < n; i++)
        want[i] = (char)toupper((unsigned char)want[i]);
    return n > 0 && strncmp(variable, want, (size_t)n) == 0;
}

/* "section . key = value", as config_override has checked it. */
static bool is_override_of(const struct hx_setting *row, const char *text)
{
    const char *parts[2] = {row->section, row->key};

    for (size_t i = 0; i < 2; i++) {
        text += strspn(text, " ");
        if (strncmp(text, parts[i], strlen(parts[i])) != 0)
            return false;
        text += strlen(parts[i]);
        text += strspn(text, " ");
        if (*text++ != (i == 0 ? '.' : '='))
            return false;
    }
    return true;
}

void hx_web_fixed_find(const struct config_source *source, const struct hx_settings *s,
                       struct hx_web_fixed *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        for (size_t k = 0; k < source->override_count; k++)
            out->is[i] |= is_override_of(row_of(i), source->overrides[k]);
        for (char *const *e = source->environment; e != NULL && *e != NULL; e++)
            out->is[i] |= is_env_of(row_of(i), *e);
    }
    out->is[HX_S_WEB_PASSWORD_HASH] |= s->text[HX_S_WEB_PASSWORD_HASH_FILE][0] != '\0';
}

/* --- the file --- */

/* One edit after the other, to and fro between two buffers. */
static bool edit_all(struct hx_span file, const struct hx_settings *old,
                     const struct hx_settings *new, uint8_t *buffer[2], size_t cap, size_t *len)
{
    memcpy(buffer[0], file.ptr, file.len);
    *len = file.len;
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        struct hx_wr w = {.ptr = buffer[1], .cap = cap};
        uint8_t *swap = buffer[0];

        if (!hx_web_setting_differs(old, new, (enum hx_setting_id)i))
            continue;
        hx_ini_edit(&w, (struct hx_span){buffer[0], *len}, new, (enum hx_setting_id)i);
        if (w.err != HX_OK)
            return false;
        *len = w.len;
        buffer[0] = buffer[1];
        buffer[1] = swap;
    }
    return true;
}

static bool write_new(const struct hx_settings *old, const struct hx_settings *new, uint8_t *out,
                      size_t cap, size_t *len)
{
    struct hx_settings *own = malloc(sizeof *own);
    struct hx_wr w = {.ptr = out, .cap = cap};

    if (own == NULL)
        return false;
    hx_settings_init(own);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        if (!hx_web_setting_differs(old, new, (enum hx_setting_id)i))
            continue;
        own->num[i] = new->num[i];
        memcpy(own->text[i], new->text[i], sizeof own->text[i]);
    }
    hx_settings_file(&w, own);
    explicit_bzero(own, sizeof *own);
    free(own);
    *len = w.len;
    return w.err == HX_OK;
}

uint8_t *hx_web_new_file(struct hx_span file, const struct hx_settings *old,
                         const struct hx_settings *new, size_t *len)
{
    size_t cap = file.len + GROWTH;
    uint8_t *buffer[2] = {malloc(cap), malloc(cap)};
    bool done = false;

    if (buffer[0] != NULL && buffer[1] != NULL)
        done = file.len != 0 ? edit_all(file, old, new, buffer, cap, len)
                             : write_new(old, new, buffer[0], cap, len);
    free(buffer[1]);
    if (done)
        return buffer[0];
    free(buffer[0]);
    return NULL;
}

/* --- effects --- */

enum hx_web_effect hx_web_effect_of(enum hx_setting_id id)
{
    static const struct {
        const char *section;
        enum hx_web_effect effect;
    } rows[] = {
        {"meter", HX_EFFECT_METER}, {"modbus_tcp", HX_EFFECT_TCP},  {"modbus_rtu", HX_EFFECT_RTU},
        {"mqtt", HX_EFFECT_MQTT},   {"network", HX_EFFECT_NETWORK},
    };

    switch ((int)id) {
    case HX_S_MODBUS_TCP_UNIT: /* the next request is answered by the new rule */
    case HX_S_MODBUS_TCP_ANY_UNIT:
    case HX_S_MODBUS_TCP_IDLE_TIMEOUT_S:
    case HX_S_MODBUS_TCP_ALLOW_WRITE:
        return HX_EFFECT_NONE;
    case HX_S_WEB_ENABLED:
    case HX_S_WEB_LISTEN:
    case HX_S_WEB_PORT:
    case HX_S_WEB_TLS_PORT:
    case HX_S_WEB_TLS_CERT:
    case HX_S_WEB_TLS_KEY:
        return HX_EFFECT_WEB;
    case HX_S_DEVICE_TIMEZONE:
        return HX_EFFECT_MQTT;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].section, hx_setting_row(id)->section) == 0)
            return rows[i].effect;
    return HX_EFFECT_NONE;
}

const char *hx_web_effect_name(enum hx_web_effect e)
{
    static const char *const names[HX_EFFECT_COUNT] = {"none", "meter", "modbus_tcp", "modbus_rtu",
                                                       "mqtt", "web",   "network",    "restart"};

    return names[e];
}

/* --- settings as JSON --- */

static void put_value(struct hx_web_out *o, const char *key, const struct hx_settings *s,
                      enum hx_setting_id id, bool secrets)
{
    switch (hx_setting_row(id)->type) {
    case HX_SET_BOOL:
        hx_web_bool(o, key, s->num[id] != 0);
        return;
    case HX_SET_INT:
        hx_web_int(o, key, s->num[id]);
        return;
    case HX_SET_ENUM:
        hx_web_span(o, key, hx_settings_choice(s, id));
        return;
    case HX_SET_TEXT:
        hx_web_text(o, key, s->text[id]);
        return;
    case HX_SET_SECRET:
        hx_web_text(o, key, secrets ? s->text[id] : NULL);
        return;
    }
}

void hx_web_settings_json(struct hx_web_out *o, const char *key, const struct hx_settings *s,
                          bool secrets)
{
    const char *section = "";

    hx_web_open_object(o, key);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        const struct hx_setting *row = row_of(i);

        if (secrets && (row->type != HX_SET_SECRET || has_own_door((enum hx_setting_id)i)))
            continue;
        if (strcmp(section, row->section) != 0) {
            if (*section != '\0')
                hx_web_close_object(o);
            hx_web_open_object(o, row->section);
            section = row->section;
        }
        put_value(o, row->key, s, (enum hx_setting_id)i, secrets);
    }
    if (*section != '\0')
        hx_web_close_object(o);
    hx_web_close_object(o);
}

static void put_name(struct hx_web_out *o, unsigned id)
{
    char name[96];

    (void)snprintf(name, sizeof name, "%s.%s", row_of(id)->section, row_of(id)->key);
    hx_web_text(o, NULL, name);
}

void hx_web_settings_answer(struct hx_web_out *o, const char *key, const struct hx_settings *s,
                            const struct hx_web_fixed *fixed, const char *file)
{
    hx_web_open_object(o, key);
    hx_web_settings_json(o, "settings", s, false);
    hx_web_open_array(o, "secrets_set");
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        if (row_of(i)->type == HX_SET_SECRET && s->text[i][0] != '\0')
            put_name(o, i);
    hx_web_close_array(o);
    hx_web_open_array(o, "fixed");
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        if (fixed->is[i])
            put_name(o, i);
    hx_web_close_array(o);
    hx_web_text(o, "file", file);
    hx_web_close_object(o);
}

/* --- schema --- */

static const char *type_name(enum hx_setting_type t)
{
    static const char *const names[] = {"bool", "int", "enum", "text", "secret"};

    return names[t];
}

static const char *check_name(enum hx_setting_check c)
{
    static const char *const names[HX_CHECK_COUNT] = {
        "none",  "source",   "listen", "topic", "urls", "formats", "address", "ipv4",
        "ipv4s", "hostname", "path",   "gpio",  "name", "zone",    "user",    "hash"};

    return names[c];
}

static void put_choices(struct hx_web_out *o, const struct hx_setting *row)
{
    const char *at = row->choices;

    if (row->type != HX_SET_ENUM) {
        hx_web_null(o, "choices");
        return;
    }
    hx_web_open_array(o, "choices");
    while (*at != '\0') {
        size_t n = strcspn(at, " ");

        hx_web_span(o, NULL, (struct hx_span){(const uint8_t *)at, n});
        at += n + strspn(at + n, " ");
    }
    hx_web_close_array(o);
}

static void put_range(struct hx_web_out *o, const struct hx_setting *row)
{
    if (row->type == HX_SET_BOOL || row->type == HX_SET_ENUM) {
        hx_web_null(o, "min");
        hx_web_null(o, "max");
        return;
    }
    hx_web_int(o, "min", row->min);
    hx_web_int(o, "max", row->max);
}

static void put_row(struct hx_web_out *o, const struct hx_settings *defaults, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    uint8_t allowed[512];
    struct hx_wr w = {.ptr = allowed, .cap = sizeof allowed};

    hx_setting_allowed(&w, id);
    hx_web_open_object(o, NULL);
    hx_web_text(o, "section", row->section);
    hx_web_text(o, "key", row->key);
    hx_web_text(o, "type", type_name(row->type));
    put_range(o, row);
    put_choices(o, row);
    put_value(o, "default", defaults, id, false);
    hx_web_text(o, "meaning", row->meaning);
    hx_web_span(o, "allowed", (struct hx_span){allowed, w.len});
    hx_web_bool(o, "secret", row->type == HX_SET_SECRET);
    hx_web_text(o, "check", check_name(row->check));
    hx_web_text(o, "effect", hx_web_effect_name(hx_web_effect_of(id)));
    hx_web_close_object(o);
}

void hx_web_schema_json(struct hx_web_out *o)
{
    struct hx_settings *defaults = malloc(sizeof *defaults);

    if (defaults == NULL) {
        o->failed = true;
        return;
    }
    hx_settings_init(defaults);
    hx_web_open_object(o, NULL);
    hx_web_open_array(o, "settings");
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        put_row(o, defaults, (enum hx_setting_id)i);
    hx_web_close_array(o);
    hx_web_close_object(o);
    free(defaults);
}
