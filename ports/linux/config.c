/* config.c - see config.h */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file_text.h"

#define ENV_PREFIX "HAN2X_"
#define ENV_NAME_MAX 64u
#define SHOWN_MAX 60 /* octets of a value that an error shows */
#define ALLOWED_MAX 512u
#define SECRET_FILE_MAX 4096u

extern char **environ;

/** A place that a complaint names: a file's line, a variable, an argument. */
struct place {
    const char *name;
    unsigned line; /* 0: no lines */
};

void config_source_init(struct config_source *src)
{
    *src = (struct config_source){.environment = environ};
}

const char *config_path(const struct config_source *src)
{
    return src->path != NULL ? src->path : CONFIG_DEFAULT_PATH;
}

static struct hx_span span_str(const char *s)
{
    return (struct hx_span){(const uint8_t *)s, strlen(s)};
}

/* --- complaints --- */

/* Outside text, so that a terminal comes to no harm: control characters become '?'. */
static void put_shown(FILE *out, struct hx_span s)
{
    for (size_t i = 0; i < s.len && i < SHOWN_MAX; i++)
        (void)fputc(s.ptr[i] < 0x20 || s.ptr[i] == 0x7F ? '?' : s.ptr[i], out);
    if (s.len > SHOWN_MAX)
        (void)fputs("...", out);
}

static void put_place(FILE *out, struct place where)
{
    (void)fprintf(out, "%s:", where.name);
    if (where.line > 0)
        (void)fprintf(out, "%u:", where.line);
    (void)fputc(' ', out);
}

static void put_sections(FILE *out)
{
    const char *last = "";
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        const char *section = hx_setting_row((enum hx_setting_id)i)->section;
        if (strcmp(section, last) != 0)
            (void)fprintf(out, "%s[%s]", i > 0 ? " " : "", section);
        last = section;
    }
}

static void put_keys(FILE *out, struct hx_span section)
{
    const char *gap = "";
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        const struct hx_setting *row = hx_setting_row((enum hx_setting_id)i);
        if (strlen(row->section) == section.len &&
            memcmp(row->section, section.ptr, section.len) == 0) {
            (void)fprintf(out, "%s%s", gap, row->key);
            gap = " ";
        }
    }
}

static void complain_value(FILE *out, struct place where, enum hx_setting_id id,
                           struct hx_span value)
{
    const struct hx_setting *row = hx_setting_row(id);
    uint8_t allowed[ALLOWED_MAX];
    struct hx_wr w = {.ptr = allowed, .cap = sizeof allowed};
    hx_setting_allowed(&w, id);
    put_place(out, where);
    (void)fprintf(out, "%s.%s", row->section, row->key);
    if (row->type != HX_SET_SECRET) {
        (void)fputs(" = '", out);
        put_shown(out, value);
        (void)fputc('\'', out);
    }
    (void)fprintf(out, " is not allowed; allowed: %.*s\n", (int)w.len, (const char *)allowed);
}

/* No such key in a section that there is, or no such section: with a suggestion if one is near. */
static void complain_key(FILE *out, struct place where, struct hx_span section, struct hx_span key)
{
    enum hx_setting_id near;
    put_place(out, where);
    (void)fputs("there is no setting ", out);
    put_shown(out, section);
    (void)fputc('.', out);
    put_shown(out, key);
    if (hx_setting_nearest(section, key, &near) == HX_OK) {
        const struct hx_setting *row = hx_setting_row(near);
        (void)fprintf(out, "; did you mean %s.%s?", row->section, row->key);
    } else if (hx_setting_has_section(section)) {
        (void)fputs("; allowed here: ", out);
        put_keys(out, section);
    } else {
        (void)fputs("; sections: ", out);
        put_sections(out);
    }
    (void)fputc('\n', out);
}

static void complain_section(FILE *out, struct place where, struct hx_span section)
{
    enum hx_setting_id near;
    put_place(out, where);
    (void)fputs("there is no section [", out);
    put_shown(out, section);
    (void)fputc(']', out);
    if (hx_setting_nearest(section, (struct hx_span){NULL, 0}, &near) == HX_OK) {
        (void)fprintf(out, "; did you mean [%s]?\n", hx_setting_row(near)->section);
        return;
    }
    (void)fputs("; allowed: ", out);
    put_sections(out);
    (void)fputc('\n', out);
}

static void complain_fault(FILE *out, const char *path, const struct hx_settings_fault *f)
{
    struct place where = {path, f->line};
    switch (f->fault) {
    case HX_FAULT_SECTION:
        complain_section(out, where, f->section);
        return;
    case HX_FAULT_KEY:
        complain_key(out, where, f->section, f->key);
        return;
    case HX_FAULT_VALUE:
        complain_value(out, where, f->id, f->value);
        return;
    case HX_FAULT_ORPHAN:
        put_place(out, where);
        put_shown(out, f->key);
        (void)fputs(" stands before the first [section]; sections: ", out);
        put_sections(out);
        (void)fputc('\n', out);
        return;
    case HX_FAULT_LINE:
    case HX_FAULT_NONE:
        put_place(out, where);
        (void)fputs("cannot be read; allowed: [section], KEY = VALUE, # comment, blank lines\n",
                    out);
        return;
    }
}

/* --- the settings file --- */

static enum hx_err load_file(const struct config_source *src, FILE *complaints,
                             struct hx_settings *s)
{
    const char *path = config_path(src);
    struct hx_settings_fault fault;
    struct hx_span text;
    uint8_t *memory;
    enum hx_err err;
    if (!file_text_read(path, CONFIG_FILE_MAX, &memory, &text)) {
        if (src->path == NULL && errno == ENOENT)
            return HX_OK;
        (void)fprintf(complaints, "%s: cannot read the settings file: %s\n", path, strerror(errno));
        return HX_E_IO;
    }
    err = hx_settings_parse(s, text, &fault);
    if (err != HX_OK)
        complain_fault(complaints, path, &fault);
    free(memory);
    return err;
}

/* --- environment --- */

/* True when name (len octets, no prefix) is SECTION_KEY of this row. */
static bool is_env_name(const struct hx_setting *row, const char *name, size_t len)
{
    char want[ENV_NAME_MAX];
    int n = snprintf(want, sizeof want, "%s_%s", row->section, row->key);
    if (n < 0 || (size_t)n != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (toupper((unsigned char)want[i]) != name[i])
            return false;
    return true;
}

/* A variable that is no setting may be somebody else's: told, and passed over. */
static void warn_unknown_env(FILE *complaints, const char *name, size_t len)
{
    enum hx_setting_id near;
    struct hx_span all = {(const uint8_t *)name, len};
    (void)fputs("warning: environment variable " ENV_PREFIX, complaints);
    put_shown(complaints, all);
    (void)fputs(" is no setting", complaints);
    for (size_t i = 1; i + 1 < len; i++) {
        struct hx_span section = {all.ptr, i}, key = {all.ptr + i + 1, len - i - 1};
        if (name[i] == '_' && hx_setting_nearest(section, key, &near) == HX_OK) {
            const struct hx_setting *row = hx_setting_row(near);
            (void)fprintf(complaints, "; did you mean the one for %s.%s?", row->section, row->key);
            break;
        }
    }
    (void)fputc('\n', complaints);
}

static enum hx_err take_variable(const char *variable, FILE *complaints, struct hx_settings *s)
{
    const char *name = variable + strlen(ENV_PREFIX), *equals = strchr(variable, '=');
    char shown[ENV_NAME_MAX + sizeof ENV_PREFIX];
    size_t len = (size_t)(equals - name);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        enum hx_setting_id id = (enum hx_setting_id)i;
        if (!is_env_name(hx_setting_row(id), name, len))
            continue;
        if (hx_settings_set(s, id, span_str(equals + 1)) == HX_OK)
            return HX_OK;
        (void)snprintf(shown, sizeof shown, "%.*s", (int)(equals - variable), variable);
        complain_value(complaints, (struct place){shown, 0}, id, span_str(equals + 1));
        return HX_E_VALUE;
    }
    warn_unknown_env(complaints, name, len);
    return HX_OK;
}

static enum hx_err load_environment(char *const *environment, FILE *complaints,
                                    struct hx_settings *s)
{
    for (; environment != NULL && *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        if (strncmp(*environment, ENV_PREFIX, strlen(ENV_PREFIX)) != 0 || equals == NULL)
            continue;
        enum hx_err err = take_variable(*environment, complaints, s);
        if (err != HX_OK)
            return err;
    }
    return HX_OK;
}

/* --- -s section.key=value --- */

static struct hx_span trimmed(const char *from, const char *to)
{
    while (from < to && *from == ' ')
        from++;
    while (to > from && to[-1] == ' ')
        to--;
    return (struct hx_span){(const uint8_t *)from, (size_t)(to - from)};
}

static enum hx_err take_override(const char *text, FILE *complaints, struct hx_settings *s)
{
    static const struct place where = {"-s", 0};
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');
    enum hx_setting_id id;
    if (equals == NULL || dot == NULL || dot > equals) {
        put_place(complaints, where);
        (void)fputc('\'', complaints);
        put_shown(complaints, span_str(text));
        (void)fputs("' is not section.key=value\n", complaints);
        return HX_E_VALUE;
    }
    struct hx_span section = trimmed(text, dot), key = trimmed(dot + 1, equals);
    struct hx_span value = trimmed(equals + 1, text + strlen(text));
    if (hx_setting_find(section, key, &id) != HX_OK) {
        complain_key(complaints, where, section, key);
        return HX_E_VALUE;
    }
    if (hx_settings_set(s, id, value) != HX_OK) {
        complain_value(complaints, where, id, value);
        return HX_E_VALUE;
    }
    return HX_OK;
}

enum hx_err config_override(struct config_source *src, const char *text, FILE *complaints)
{
    struct hx_settings scratch;
    enum hx_err err;
    if (src->override_count == CONFIG_OVERRIDES_MAX) {
        (void)fprintf(complaints, "-s: at most %u settings on the command line\n",
                      CONFIG_OVERRIDES_MAX);
        return HX_E_SPACE;
    }
    hx_settings_init(&scratch);
    err = take_override(text, complaints, &scratch);
    if (err == HX_OK)
        src->overrides[src->override_count++] = text;
    return err;
}

/* --- *_file secrets --- */

/* The first line is the secret; the name of the file stays, so that it can be read again. */
static enum hx_err read_secret(enum hx_setting_id secret, enum hx_setting_id file, FILE *complaints,
                               struct hx_settings *s)
{
    char path[HX_SETTING_TEXT_MAX + 1u];
    struct hx_span text;
    uint8_t *memory;
    enum hx_err err;
    memcpy(path, s->text[file], sizeof path);
    if (path[0] == '\0')
        return HX_OK;
    if (!file_text_read(path, SECRET_FILE_MAX, &memory, &text)) {
        (void)fprintf(complaints, "%s.%s: cannot read %s: %s\n", hx_setting_row(file)->section,
                      hx_setting_row(file)->key, path, strerror(errno));
        return HX_E_IO;
    }
    text.len = strcspn((const char *)text.ptr, "\r\n");
    err = hx_settings_set(s, secret, text);
    if (err != HX_OK)
        complain_value(complaints, (struct place){path, 1}, secret, text);
    memcpy(s->text[file], path, sizeof path);
    explicit_bzero(memory, text.len);
    free(memory);
    return err;
}

static enum hx_err read_secrets(FILE *complaints, struct hx_settings *s)
{
    enum hx_err err = read_secret(HX_S_MQTT_PASSWORD, HX_S_MQTT_PASSWORD_FILE, complaints, s);
    if (err == HX_OK)
        err = read_secret(HX_S_WEB_PASSWORD_HASH, HX_S_WEB_PASSWORD_HASH_FILE, complaints, s);
    return err;
}

static enum hx_err check_needs(FILE *complaints, const struct hx_settings *s)
{
    enum hx_setting_id asks, needs;
    if (hx_settings_check(s, &asks, &needs) == HX_OK)
        return HX_OK;
    const struct hx_setting *a = hx_setting_row(asks), *n = hx_setting_row(needs);
    (void)fprintf(complaints, "%s.%s = yes needs %s.%s, which is empty: %s\n", a->section, a->key,
                  n->section, n->key, n->meaning);
    return HX_E_VALUE;
}

enum hx_err config_load(const struct config_source *src, FILE *complaints, struct hx_settings *s)
{
    struct hx_settings new;
    enum hx_err err;
    hx_settings_init(&new);
    err = load_file(src, complaints, &new);
    if (err == HX_OK)
        err = load_environment(src->environment, complaints, &new);
    for (size_t i = 0; i < src->override_count && err == HX_OK; i++)
        err = take_override(src->overrides[i], complaints, &new);
    if (err == HX_OK)
        err = read_secrets(complaints, &new);
    if (err == HX_OK)
        err = check_needs(complaints, &new);
    if (err == HX_OK)
        *s = new;
    return err;
}
