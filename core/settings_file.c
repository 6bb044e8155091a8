/* settings_file.c - see hx/settings.h: the settings file, read and edited as text.
 *
 *   [section]        # comment
 *   key = value      # comment
 *   key = "a \"quoted\" value, with # and outer blanks "
 */
#include "hx/settings.h"

#include "settings_text.h"

#define COMMENT_COLUMNS 96u
#define UTF8_BOM "\xEF\xBB\xBF" /* some Windows editors put it in front */

static bool is_key_char(uint8_t c)
{
    return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static bool is_comment(struct hx_span s)
{
    return s.len > 0 && s.ptr[0] == '#';
}

static bool is_rest(struct hx_span s)
{
    struct hx_span t = span_trim(s);
    return t.len == 0 || is_comment(t);
}

static enum hx_err parse_section(struct hx_span s, struct hx_ini *out)
{
    size_t whole;
    s = span_from(s, 1);
    whole = s.len;
    struct hx_span name = span_cut(&s, ']');
    if (name.len == whole || !is_rest(s))
        return HX_E_VALUE;
    *out = (struct hx_ini){.kind = HX_INI_SECTION, .section = span_trim(name)};
    return HX_OK;
}

/* s begins with the opening quote. */
static enum hx_err parse_quoted(struct hx_span s, struct hx_ini *out)
{
    size_t n = 1;
    while (n < s.len && s.ptr[n] != '"')
        n += s.ptr[n] == '\\' && n + 1 < s.len ? 2 : 1;
    if (n >= s.len || !is_rest(span_from(s, n + 1)))
        return HX_E_VALUE;
    out->value = (struct hx_span){s.ptr + 1, n - 1};
    out->quoted = true;
    return HX_OK;
}

static struct hx_span bare_value(struct hx_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '#' && (i == 0 || is_blank(s.ptr[i - 1])))
            s.len = i;
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static enum hx_err parse_pair(struct hx_span s, struct hx_ini *out)
{
    struct hx_ini pair = {.kind = HX_INI_PAIR, .key = {s.ptr, 0}};
    while (pair.key.len < s.len && is_key_char(s.ptr[pair.key.len]))
        pair.key.len++;
    s = span_from(s, pair.key.len);
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = span_from(s, 1);
    if (pair.key.len == 0 || !span_skip(&s, "="))
        return HX_E_VALUE;
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = span_from(s, 1);
    if (s.len > 0 && s.ptr[0] == '"') {
        enum hx_err err = parse_quoted(s, &pair);
        if (err != HX_OK)
            return err;
    } else {
        pair.value = bare_value(s);
    }
    *out = pair;
    return HX_OK;
}

enum hx_err hx_ini_parse(struct hx_span line, struct hx_ini *out)
{
    struct hx_span s = span_trim(line);
    if (s.len == 0 || is_comment(s)) {
        *out = (struct hx_ini){.kind = HX_INI_BLANK};
        return HX_OK;
    }
    return s.ptr[0] == '[' ? parse_section(s, out) : parse_pair(s, out);
}

void hx_ini_unquote(struct hx_wr *w, struct hx_span value)
{
    for (size_t i = 0; i < value.len; i++) {
        bool escape = value.ptr[i] == '\\' && i + 1 < value.len &&
                      (value.ptr[i + 1] == '"' || value.ptr[i + 1] == '\\');
        if (escape)
            i++;
        hx_wr_u8(w, value.ptr[i]);
    }
}

/* --- reading --- */

/* Next line without its line end; false at the end of the text. */
static bool next_line(struct hx_span *text, struct hx_span *line)
{
    if (text->len == 0)
        return false;
    *line = span_cut(text, '\n');
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    return true;
}

static enum hx_err set_value(struct hx_settings *s, enum hx_setting_id id, const struct hx_ini *ini)
{
    uint8_t plain[HX_SETTING_TEXT_MAX];
    struct hx_wr w = {.ptr = plain, .cap = sizeof plain};
    if (!ini->quoted)
        return hx_settings_set(s, id, ini->value);
    hx_ini_unquote(&w, ini->value);
    return w.err == HX_OK ? hx_settings_set(s, id, (struct hx_span){plain, w.len}) : HX_E_VALUE;
}

/* One line's effect; section is the one that it stands in. */
static enum hx_fault take_line(struct hx_settings *s, const struct hx_ini *ini,
                               struct hx_span *section, enum hx_setting_id *id)
{
    switch (ini->kind) {
    case HX_INI_BLANK:
        return HX_FAULT_NONE;
    case HX_INI_SECTION:
        *section = ini->section;
        return hx_setting_has_section(*section) ? HX_FAULT_NONE : HX_FAULT_SECTION;
    case HX_INI_PAIR:
        if (section->ptr == NULL)
            return HX_FAULT_ORPHAN;
        if (hx_setting_find(*section, ini->key, id) != HX_OK)
            return HX_FAULT_KEY;
        return set_value(s, *id, ini) == HX_OK ? HX_FAULT_NONE : HX_FAULT_VALUE;
    }
    HX_UNREACHABLE();
}

enum hx_err hx_settings_parse(struct hx_settings *s, struct hx_span file,
                              struct hx_settings_fault *fault)
{
    struct hx_span line, section = {NULL, 0};
    (void)span_skip(&file, UTF8_BOM); /* there or not */
    for (unsigned number = 1; next_line(&file, &line); number++) {
        struct hx_ini ini = {.kind = HX_INI_BLANK};
        enum hx_setting_id id = HX_S_METER_SOURCE;
        enum hx_fault why = HX_FAULT_LINE;
        if (hx_ini_parse(line, &ini) == HX_OK)
            why = take_line(s, &ini, &section, &id);
        if (why != HX_FAULT_NONE) {
            *fault = (struct hx_settings_fault){.fault = why,
                                                .line = number,
                                                .id = id,
                                                .section = section,
                                                .key = ini.key,
                                                .value = ini.value};
            return HX_E_VALUE;
        }
    }
    return HX_OK;
}

/* --- editing --- */

/* Where a new value goes: file[0, at) stays, file[at, end) is replaced. */
struct place {
    enum { PLACE_SECTION, PLACE_KEY, PLACE_DEFAULT, PLACE_VALUE } kind; /* rising: best so far */
    size_t at, end;
};

static size_t offset(struct hx_span file, const uint8_t *p)
{
    return (size_t)(p - file.ptr);
}

/* "#key = default" as hx_settings_file writes it: nothing is lost when it is overwritten. */
static bool is_commented_default(struct hx_span line, const struct hx_setting *row)
{
    struct hx_ini ini;
    if (!is_comment(line) || parse_pair(span_from(line, 1), &ini) != HX_OK)
        return false;
    return !ini.quoted && span_is(ini.key, row->key) && span_is(ini.value, row->def);
}

static void offer(struct place *best, struct place p)
{
    if (p.kind >= best->kind)
        *best = p;
}

/* What this line of the right section offers. */
static void offer_line(struct hx_span file, struct hx_span line, size_t line_end,
                       const struct hx_setting *row, struct place *best)
{
    struct hx_ini ini = {.kind = HX_INI_BLANK};
    if (is_commented_default(line, row)) {
        size_t at = offset(file, line.ptr);
        offer(best, (struct place){PLACE_DEFAULT, at, at + line.len});
        return;
    }
    if (hx_ini_parse(line, &ini) != HX_OK || ini.kind == HX_INI_BLANK)
        return;
    if (ini.kind == HX_INI_PAIR && span_is(ini.key, row->key)) {
        size_t at = offset(file, ini.value.ptr), quote = ini.quoted ? 1 : 0;
        offer(best, (struct place){PLACE_VALUE, at - quote, at + ini.value.len + quote});
        return;
    }
    offer(best, (struct place){PLACE_KEY, line_end, line_end});
}

/* The best place in the whole file; the last of equals, since the last one counts when reading. */
static struct place find_place(struct hx_span file, const struct hx_setting *row)
{
    struct hx_span text = file, line;
    struct place best = {PLACE_SECTION, file.len, file.len};
    bool inside = false;
    (void)span_skip(&text, UTF8_BOM); /* there or not */
    while (next_line(&text, &line)) {
        struct hx_ini ini;
        if (hx_ini_parse(line, &ini) == HX_OK && ini.kind == HX_INI_SECTION)
            inside = span_is(ini.section, row->section);
        if (inside)
            offer_line(file, line, file.len - text.len, row, &best);
    }
    return best;
}

static const char *line_end_of(struct hx_span file)
{
    for (size_t i = 1; i < file.len; i++)
        if (file.ptr[i] == '\n')
            return file.ptr[i - 1] == '\r' ? "\r\n" : "\n";
    return "\n";
}

/* The meaning as comment lines of at most COMMENT_COLUMNS. */
static void write_comment(struct hx_wr *w, const char *text, const char *eol)
{
    struct hx_span left = span_of(text), word;
    size_t column = 0;
    while ((word = span_word(&left)).len > 0) {
        if (column > 0 && column + 1 + word.len > COMMENT_COLUMNS) {
            hx_wr_str(w, eol);
            column = 0;
        }
        hx_wr_str(w, column == 0 ? "# " : " ");
        hx_wr_bytes(w, word.ptr, word.len);
        column += word.len + (column == 0 ? 2 : 1);
    }
    hx_wr_str(w, eol);
}

static void write_pair(struct hx_wr *w, const struct hx_settings *s, enum hx_setting_id id)
{
    hx_wr_str(w, hx_setting_row(id)->key);
    hx_wr_str(w, " = ");
    hx_setting_format(w, s, id);
}

static void write_new(struct hx_wr *w, struct hx_span before, const struct hx_settings *s,
                      enum hx_setting_id id, const char *eol, bool with_section)
{
    const struct hx_setting *row = hx_setting_row(id);
    if (before.len > 0 && before.ptr[before.len - 1] == '\r')
        hx_wr_u8(w, '\n'); /* half a line end at the end of the file: a second CR would be text */
    else if (before.len > 0 && before.ptr[before.len - 1] != '\n')
        hx_wr_str(w, eol);
    if (with_section) {
        hx_wr_str(w, before.len > 0 ? eol : "");
        hx_wr_u8(w, '[');
        hx_wr_str(w, row->section);
        hx_wr_str(w, "]");
        hx_wr_str(w, eol);
    }
    write_comment(w, row->meaning, eol);
    write_pair(w, s, id);
    hx_wr_str(w, eol);
}

/* A comment right behind an empty or quoted value needs a blank now; so does "key =". */
static void write_value(struct hx_wr *w, struct hx_span before, struct hx_span after, bool empty,
                        const struct hx_settings *s, enum hx_setting_id id)
{
    if (empty && before.ptr[before.len - 1] == '=')
        hx_wr_u8(w, ' ');
    hx_setting_format(w, s, id);
    if (is_comment(after))
        hx_wr_u8(w, ' ');
}

void hx_ini_edit(struct hx_wr *w, struct hx_span file, const struct hx_settings *s,
                 enum hx_setting_id id)
{
    struct place p = find_place(file, hx_setting_row(id));
    struct hx_span before = {file.ptr, p.at};
    struct hx_span after = file.len > 0 ? span_from(file, p.end) : file;
    const char *eol = line_end_of(file);
    hx_wr_bytes(w, before.ptr, before.len);
    switch (p.kind) {
    case PLACE_SECTION:
    case PLACE_KEY:
        write_new(w, before, s, id, eol, p.kind == PLACE_SECTION);
        break;
    case PLACE_DEFAULT:
        write_pair(w, s, id);
        break;
    case PLACE_VALUE:
        write_value(w, before, after, p.at == p.end, s, id);
        break;
    }
    hx_wr_bytes(w, after.ptr, after.len);
}

static bool is_default(const struct hx_settings *s, enum hx_setting_id id)
{
    const struct hx_setting *row = hx_setting_row(id);
    uint8_t word[64]; /* yes, a number, a choice */
    struct hx_wr w = {.ptr = word, .cap = sizeof word};
    if (row->type == HX_SET_TEXT || row->type == HX_SET_SECRET)
        return span_is(span_of(s->text[id]), row->def);
    hx_setting_format(&w, s, id);
    return span_is((struct hx_span){word, w.len}, row->def);
}

void hx_settings_file(struct hx_wr *w, const struct hx_settings *s)
{
    const char *section = "";
    hx_wr_str(w, "# Settings of han2x. Lines that begin with # are comments; a setting that is\n"
                 "# commented out has the value shown. See han2x.conf(5) or `han2x settings`.\n");
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++) {
        const struct hx_setting *row = hx_setting_row((enum hx_setting_id)i);
        if (!span_is(span_of(section), row->section)) {
            section = row->section;
            hx_wr_str(w, "\n[");
            hx_wr_str(w, section);
            hx_wr_str(w, "]\n");
        }
        hx_wr_u8(w, '\n');
        write_comment(w, row->meaning, "\n");
        if (is_default(s, (enum hx_setting_id)i))
            hx_wr_u8(w, '#');
        write_pair(w, s, (enum hx_setting_id)i);
        hx_wr_u8(w, '\n');
    }
}
