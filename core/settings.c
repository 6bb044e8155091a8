/* settings.c - see hx/settings.h: the table, values in and out. */
#include "hx/settings.h"

#include "settings_check.h"
#include "settings_text.h"

#define HX_SETTING(id, section, key, type, min, max, def, choices, check, meaning)                 \
    [HX_S_##id] = {section, key, type, min, max, def, choices, check, meaning},
static const struct hx_setting table[HX_SETTING_COUNT] = {
#include "hx/settings.def"
};
#undef HX_SETTING

/* Words for yes and no; the first of each is what we write. */
static const char *const yes_words[] = {"yes", "true", "on", "1"};
static const char *const no_words[] = {"no", "false", "off", "0"};
#define BOOL_WORDS 4u

const struct hx_setting *hx_setting_row(enum hx_setting_id id)
{
    HX_ASSERT((unsigned)id < HX_SETTING_COUNT);
    return &table[id];
}

enum hx_err hx_setting_find(struct hx_span section, struct hx_span key, enum hx_setting_id *id)
{
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        if (span_is(key, table[i].key) && span_is(section, table[i].section)) {
            *id = (enum hx_setting_id)i;
            return HX_OK;
        }
    }
    return HX_E_VALUE;
}

bool hx_setting_has_section(struct hx_span section)
{
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        if (span_is(section, table[i].section))
            return true;
    return false;
}

/* --- the nearest name --- */

#define NAME_MAX_LEN 32u /* longest key 20, longest section 10; a longer word is near to none */
#define NEAR_MAX 2u
#define FAR 99u

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance without regard to case, one row of its matrix at a time. */
static unsigned distance(struct hx_span a, const char *name)
{
    struct hx_span b = span_of(name);
    uint8_t row[NAME_MAX_LEN + 1u];
    if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
        return FAR;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = (uint8_t)j;
    for (size_t i = 0; i < a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (uint8_t)(i + 1);
        for (size_t j = 0; j < b.len; j++) {
            unsigned change = diagonal + (lower(a.ptr[i]) != lower(b.ptr[j]));
            diagonal = row[j + 1];
            row[j + 1] = (uint8_t)min3(change, diagonal + 1u, row[j] + 1u);
        }
    }
    return row[b.len];
}

/* The one row that has this key, in whatever section; none when several have. */
static enum hx_err find_elsewhere(struct hx_span key, enum hx_setting_id *id)
{
    unsigned found = 0;
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        if (span_is(key, table[i].key)) {
            *id = (enum hx_setting_id)i;
            found++;
        }
    }
    return found == 1 ? HX_OK : HX_E_VALUE;
}

enum hx_err hx_setting_nearest(struct hx_span section, struct hx_span key, enum hx_setting_id *id)
{
    unsigned best = FAR;
    enum hx_setting_id nearest = HX_S_METER_SOURCE, elsewhere;
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        unsigned d = distance(section, table[i].section);
        if (key.len > 0)
            d += distance(key, table[i].key);
        if (d < best) {
            best = d;
            nearest = (enum hx_setting_id)i;
        }
    }
    /* two changes in a word of three letters make another word, not a misspelt one */
    if (best <= NEAR_MAX && best * 2u <= (key.len > 0 ? key.len : section.len)) {
        *id = nearest;
        return HX_OK;
    }
    if (key.len == 0 || find_elsewhere(key, &elsewhere) != HX_OK)
        return HX_E_VALUE;
    *id = elsewhere;
    return HX_OK;
}

/* --- values --- */

static enum hx_err parse_bool(struct hx_span text, int64_t *out)
{
    for (unsigned i = 0; i < BOOL_WORDS; i++) {
        if (span_is(text, yes_words[i]) || span_is(text, no_words[i])) {
            *out = span_is(text, yes_words[i]);
            return HX_OK;
        }
    }
    return HX_E_VALUE;
}

static enum hx_err parse_choice(const char *choices, struct hx_span text, int64_t *out)
{
    struct hx_span left = span_of(choices), word;
    for (int64_t i = 0; (word = span_word(&left)).len > 0; i++) {
        if (word.len == text.len && memcmp(word.ptr, text.ptr, word.len) == 0) {
            *out = i;
            return HX_OK;
        }
    }
    return HX_E_VALUE;
}

static enum hx_err parse_int(const struct hx_setting *row, struct hx_span text, int64_t *out)
{
    int64_t v = 0;
    if (!span_number(text, &v) || v < row->min || v > row->max)
        return HX_E_VALUE;
    *out = v;
    return HX_OK;
}

/* A secret and its file: whichever was set last counts. */
static void push_out(struct hx_settings *s, enum hx_setting_id id)
{
    static const enum hx_setting_id pairs[][2] = {
        {HX_S_MQTT_PASSWORD, HX_S_MQTT_PASSWORD_FILE},
        {HX_S_WEB_PASSWORD_HASH, HX_S_WEB_PASSWORD_HASH_FILE},
    };
    if (s->text[id][0] == '\0')
        return;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        for (unsigned side = 0; side < 2; side++)
            if (pairs[i][side] == id)
                memset(s->text[pairs[i][1u - side]], 0, sizeof s->text[0]);
}

static enum hx_err set_text(struct hx_settings *s, enum hx_setting_id id, struct hx_span text)
{
    const struct hx_setting *row = hx_setting_row(id);
    char *out = s->text[id];
    if (text.len < (size_t)row->min || text.len > (size_t)row->max)
        return HX_E_VALUE;
    if (!setting_is_text(text) || !setting_check(row->check, text))
        return HX_E_VALUE;
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    memset(out + text.len, 0, HX_SETTING_TEXT_MAX + 1u - text.len); /* no rest of an old secret */
    push_out(s, id);
    return HX_OK;
}

enum hx_err hx_settings_set(struct hx_settings *s, enum hx_setting_id id, struct hx_span text)
{
    const struct hx_setting *row = hx_setting_row(id);
    switch (row->type) {
    case HX_SET_BOOL:
        return parse_bool(text, &s->num[id]);
    case HX_SET_INT:
        return parse_int(row, text, &s->num[id]);
    case HX_SET_ENUM:
        return parse_choice(row->choices, text, &s->num[id]);
    case HX_SET_TEXT:
    case HX_SET_SECRET:
        return set_text(s, id, text);
    }
    HX_UNREACHABLE();
}

void hx_settings_init(struct hx_settings *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        enum hx_err err = hx_settings_set(s, (enum hx_setting_id)i, span_of(table[i].def));
        HX_ASSERT(err == HX_OK);
    }
}

struct hx_span hx_settings_choice(const struct hx_settings *s, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    struct hx_span left = span_of(row->choices), word = span_word(&left);
    HX_ASSERT(row->type == HX_SET_ENUM);
    for (int64_t i = 0; i < s->num[id]; i++)
        word = span_word(&left);
    return word;
}

uint32_t hx_settings_choice_number(const struct hx_settings *s, enum hx_setting_id id)
{
    int64_t v = 0;
    return span_number(hx_settings_choice(s, id), &v) ? (uint32_t)v : 0;
}

enum hx_err hx_settings_check(const struct hx_settings *s, enum hx_setting_id *asks,
                              enum hx_setting_id *needs)
{
    static const enum hx_setting_id pairs[][2] = {
        {HX_S_MODBUS_RTU_ENABLED, HX_S_MODBUS_RTU_DEVICE},
        {HX_S_MQTT_ENABLED, HX_S_MQTT_URL},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (s->num[pairs[i][0]] != 0 && s->text[pairs[i][1]][0] == '\0') {
            *asks = pairs[i][0];
            *needs = pairs[i][1];
            return HX_E_VALUE;
        }
    }
    return HX_OK;
}

/* --- words for people --- */

static void allowed_choices(struct hx_wr *w, const char *choices)
{
    struct hx_span left = span_of(choices), word = span_word(&left);
    hx_wr_str(w, "one of ");
    while (word.len > 0) {
        hx_wr_bytes(w, word.ptr, word.len);
        word = span_word(&left);
        if (word.len > 0)
            hx_wr_str(w, ", ");
    }
}

static void allowed_text(struct hx_wr *w, const struct hx_setting *row)
{
    hx_wr_str(w, setting_check_words(row->check));
    hx_wr_str(w, "; at most ");
    hx_wr_int(w, row->max);
    hx_wr_str(w, " octets");
}

void hx_setting_allowed(struct hx_wr *w, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    switch (row->type) {
    case HX_SET_BOOL:
        hx_wr_str(w, "yes or no");
        return;
    case HX_SET_INT:
        hx_wr_str(w, "a whole number from ");
        hx_wr_int(w, row->min);
        hx_wr_str(w, " to ");
        hx_wr_int(w, row->max);
        return;
    case HX_SET_ENUM:
        allowed_choices(w, row->choices);
        return;
    case HX_SET_TEXT:
    case HX_SET_SECRET:
        allowed_text(w, row);
        return;
    }
    HX_UNREACHABLE();
}

static bool needs_quotes(struct hx_span s)
{
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '#' || s.ptr[i] == '"')
            return true;
    return is_blank(s.ptr[0]) || is_blank(s.ptr[s.len - 1]);
}

static void format_text(struct hx_wr *w, struct hx_span s)
{
    if (!needs_quotes(s)) {
        hx_wr_bytes(w, s.ptr, s.len);
        return;
    }
    hx_wr_u8(w, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\\')
            hx_wr_u8(w, '\\');
        hx_wr_u8(w, s.ptr[i]);
    }
    hx_wr_u8(w, '"');
}

void hx_setting_format(struct hx_wr *w, const struct hx_settings *s, enum hx_setting_id id)
{
    struct hx_span word;
    switch (hx_setting_row(id)->type) {
    case HX_SET_BOOL:
        hx_wr_str(w, s->num[id] != 0 ? yes_words[0] : no_words[0]);
        return;
    case HX_SET_INT:
        hx_wr_int(w, s->num[id]);
        return;
    case HX_SET_ENUM:
        word = hx_settings_choice(s, id);
        hx_wr_bytes(w, word.ptr, word.len);
        return;
    case HX_SET_TEXT:
    case HX_SET_SECRET:
        format_text(w, span_of(s->text[id]));
        return;
    }
    HX_UNREACHABLE();
}
