/* settings_doc.c - see hx/settings.h: the table of settings as documentation. */
#include "hx/settings.h"

#include "settings_text.h"

static bool starts_section(unsigned i)
{
    return i == 0 || !span_is(span_of(hx_setting_row((enum hx_setting_id)i)->section),
                              hx_setting_row((enum hx_setting_id)(i - 1u))->section);
}

/* --- Markdown --- */

/* Text of a cell: signs that Markdown or HTML would take for their own are escaped. */
static void md_text(struct hx_wr *w, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '<' || *text == '*' || *text == '_')
            hx_wr_u8(w, '\\');
        hx_wr_u8(w, (uint8_t)*text);
    }
}

static void md_code(struct hx_wr *w, const char *text)
{
    if (*text == '\0') {
        hx_wr_str(w, "(empty)");
        return;
    }
    hx_wr_u8(w, '`');
    hx_wr_str(w, text);
    hx_wr_u8(w, '`');
}

static void md_row(struct hx_wr *w, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    hx_wr_str(w, "| `");
    hx_wr_str(w, row->key);
    hx_wr_str(w, "` | ");
    md_code(w, row->def);
    hx_wr_str(w, " | ");
    hx_setting_allowed(w, id);
    hx_wr_str(w, " | ");
    md_text(w, row->meaning);
    hx_wr_str(w, " |\n");
}

void hx_settings_markdown(struct hx_wr *w)
{
    hx_wr_str(w,
              "# Settings\n\n"
              "One text file of `KEY = VALUE` lines in `[sections]`; `#` begins a comment, double "
              "quotes keep `#` and outer blanks in a value. Every key has a default, so an empty "
              "file works. `HAN2X_SECTION_KEY` in the environment goes before the file, and "
              "`-s section.key=value` before both.\n\n");
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        if (starts_section(i)) {
            hx_wr_str(w, i == 0 ? "## `[" : "\n## `[");
            hx_wr_str(w, hx_setting_row((enum hx_setting_id)i)->section);
            hx_wr_str(w, "]`\n\n| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n");
        }
        md_row(w, (enum hx_setting_id)i);
    }
}

/* --- JSON --- */

static const char *type_name(enum hx_setting_type type)
{
    switch (type) {
    case HX_SET_BOOL:
        return "bool";
    case HX_SET_INT:
        return "int";
    case HX_SET_ENUM:
        return "enum";
    case HX_SET_TEXT:
        return "text";
    case HX_SET_SECRET:
        return "secret";
    }
    HX_UNREACHABLE();
}

static void json_member(struct hx_wr *w, const char *name, const char *value)
{
    hx_wr_json(w, span_of(name));
    hx_wr_u8(w, ':');
    hx_wr_json(w, span_of(value));
    hx_wr_u8(w, ',');
}

/* The default as JSON of its own type. */
static void json_default(struct hx_wr *w, const struct hx_setting *row)
{
    hx_wr_str(w, "\"default\":");
    if (row->type == HX_SET_BOOL)
        hx_wr_str(w, span_is(span_of(row->def), "yes") ? "true" : "false");
    else if (row->type == HX_SET_INT)
        hx_wr_str(w, row->def);
    else
        hx_wr_json(w, span_of(row->def));
    hx_wr_u8(w, ',');
}

static void json_choices(struct hx_wr *w, const char *choices)
{
    struct hx_span left = span_of(choices), word = span_word(&left);
    hx_wr_str(w, "\"choices\":[");
    while (word.len > 0) {
        hx_wr_json(w, word);
        word = span_word(&left);
        if (word.len > 0)
            hx_wr_u8(w, ',');
    }
    hx_wr_str(w, "],");
}

static void json_range(struct hx_wr *w, const struct hx_setting *row)
{
    bool number = row->type == HX_SET_INT;
    hx_wr_str(w, number ? "\"min\":" : "\"min_length\":");
    hx_wr_int(w, row->min);
    hx_wr_str(w, number ? ",\"max\":" : ",\"max_length\":");
    hx_wr_int(w, row->max);
    hx_wr_u8(w, ',');
}

static void json_row(struct hx_wr *w, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    uint8_t allowed[256];
    struct hx_wr a = {.ptr = allowed, .cap = sizeof allowed};
    hx_wr_u8(w, '{');
    json_member(w, "section", row->section);
    json_member(w, "key", row->key);
    json_member(w, "type", type_name(row->type));
    json_default(w, row);
    if (row->type == HX_SET_ENUM)
        json_choices(w, row->choices);
    else if (row->type != HX_SET_BOOL)
        json_range(w, row);
    hx_setting_allowed(&a, id);
    HX_ASSERT(a.err == HX_OK);
    hx_wr_str(w, "\"allowed\":");
    hx_wr_json(w, (struct hx_span){allowed, a.len});
    hx_wr_str(w, ",\"meaning\":");
    hx_wr_json(w, span_of(row->meaning));
    hx_wr_u8(w, '}');
}

void hx_settings_json(struct hx_wr *w)
{
    hx_wr_str(w, "[\n");
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        json_row(w, (enum hx_setting_id)i);
        hx_wr_str(w, i + 1u < HX_SETTING_COUNT ? ",\n" : "\n");
    }
    hx_wr_str(w, "]\n");
}

/* --- roff, the list of settings in han2x.conf(5) --- */

static void man_text(struct hx_wr *w, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '-') /* a plain - is a hyphen to roff */
            hx_wr_u8(w, '\\');
        hx_wr_u8(w, (uint8_t)*text);
    }
}

static void man_row(struct hx_wr *w, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    hx_wr_str(w, ".TP\n.B ");
    man_text(w, row->key);
    hx_wr_str(w, "\n");
    man_text(w, row->meaning);
    hx_wr_str(w, "\nAllowed: ");
    hx_setting_allowed(w, id);
    hx_wr_str(w, row->def[0] == '\0' ? ".\nDefault: empty.\n" : ".\nDefault: ");
    if (row->def[0] != '\0') {
        hx_wr_str(w, "\\fB");
        man_text(w, row->def);
        hx_wr_str(w, "\\fR.\n");
    }
}

void hx_settings_man(struct hx_wr *w)
{
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        if (starts_section(i)) {
            hx_wr_str(w, ".SS [");
            hx_wr_str(w, hx_setting_row((enum hx_setting_id)i)->section);
            hx_wr_str(w, "]\n");
        }
        man_row(w, (enum hx_setting_id)i);
    }
}
