/* hx/settings.h - all settings: one table with section, key, type, range, default and meaning.
 * In:     text values from a file, the command line, the environment, the web.
 * Out:    checked values; the table itself for forms, man pages and messages.
 * State:  struct hx_settings, owned by the caller.
 * Source: rows in settings.def; docs/en/settings.md is made from them. */
#ifndef HX_SETTINGS_H
#define HX_SETTINGS_H

#include "hx/base.h"

#define HX_SETTING_TEXT_MAX 255u /* octets of a text value */

enum hx_setting_type {
    HX_SET_BOOL,   /* yes, no */
    HX_SET_INT,    /* min … max */
    HX_SET_ENUM,   /* one of `choices`, number = index */
    HX_SET_TEXT,   /* min to max octets, checked by `check` */
    HX_SET_SECRET, /* text that is never shown */
};

/** Further checks of a text value, by name so that firmware and form can know them. */
enum hx_setting_check {
    HX_CHECK_NONE,
    HX_CHECK_SOURCE,  /* meter source */
    HX_CHECK_LISTEN,  /* "all" or an IP address */
    HX_CHECK_TOPIC,   /* MQTT topic without wildcards */
    HX_CHECK_URLS,    /* blank-separated mqtt:// mqtts:// …, or empty */
    HX_CHECK_FORMATS, /* list of han2x json sparkplug */
    HX_CHECK_ADDRESS, /* a.b.c.d/prefix */
    HX_CHECK_IPV4,    /* a.b.c.d or empty */
    HX_CHECK_IPV4S,   /* blank-separated a.b.c.d, or empty */
    HX_CHECK_HOSTNAME,
    HX_CHECK_PATH, /* absolute path or empty */
    HX_CHECK_GPIO, /* chip:line or empty */
    HX_CHECK_NAME, /* file name without slash, or empty */
    HX_CHECK_ZONE, /* time zone name */
    HX_CHECK_USER, /* no colon: HTTP Basic ends the name there */
    HX_CHECK_HASH, /* crypt(5) hash or empty */
};
#define HX_CHECK_COUNT 16u

/** One row of the table. */
struct hx_setting {
    const char *section, *key;
    enum hx_setting_type type;
    int64_t min, max;    /* HX_SET_INT: range; texts: shortest and longest */
    const char *def;     /* default as text */
    const char *choices; /* HX_SET_ENUM: blank-separated */
    enum hx_setting_check check;
    const char *meaning; /* English, one sentence, with unit */
};

#define HX_SETTING(id, section, key, type, min, max, def, choices, check, meaning) HX_S_##id,
enum hx_setting_id {
#include "hx/settings.def"
    HX_SETTING_COUNT
};
#undef HX_SETTING

/** Numbers of the choices that programs ask for by name; the unit test ties them to the rows. */
enum hx_parity { HX_PARITY_NONE, HX_PARITY_EVEN, HX_PARITY_ODD, HX_PARITY_AUTO };
enum hx_rs485 { HX_RS485_AUTO, HX_RS485_YES, HX_RS485_NO };
enum hx_net_mode { HX_NET_STATIC, HX_NET_DHCP };
enum hx_factory_login { HX_FACTORY_LOOK, HX_FACTORY_ALLOW };

/** @return the row of @p id. */
const struct hx_setting *hx_setting_row(enum hx_setting_id id);
/** @return HX_OK and @p id; HX_E_VALUE when there is no such key. */
enum hx_err hx_setting_find(struct hx_span section, struct hx_span key, enum hx_setting_id *id);
/** @return true when some row has this section. */
bool hx_setting_has_section(struct hx_span section);
/** The setting whose name is close to a misspelt one: at most two letters added, lost or changed
 * in section and key together, or the right key in another section.
 * @return HX_OK and @p id; HX_E_VALUE when nothing is close. */
enum hx_err hx_setting_nearest(struct hx_span section, struct hx_span key, enum hx_setting_id *id);

/** Values. Numbers, choices and yes/no are in num; texts in text, NUL-terminated. */
struct hx_settings {
    int64_t num[HX_SETTING_COUNT];
    char text[HX_SETTING_COUNT][HX_SETTING_TEXT_MAX + 1u];
};

/** Every setting at its default. */
void hx_settings_init(struct hx_settings *s);
/** Set one from text. A secret and the file that may hold it push each other out: setting one to
 * something empties the other, so the one set last counts.
 * @return HX_OK; HX_E_VALUE: nothing changed, hx_setting_allowed says what is allowed. */
enum hx_err hx_settings_set(struct hx_settings *s, enum hx_setting_id id, struct hx_span text);
/** @return the word chosen in HX_SET_ENUM row @p id, inside the table: "auto", "9600". */
struct hx_span hx_settings_choice(const struct hx_settings *s, enum hx_setting_id id);
/** @return the number that the chosen word of @p id is (9600), 0 for a word that is none (auto). */
uint32_t hx_settings_choice_number(const struct hx_settings *s, enum hx_setting_id id);
/** Settings that ask for another one: an enabled part without the address it needs.
 * @param[out] asks, needs  on HX_E_VALUE: the two settings.
 * @return HX_OK; HX_E_VALUE @p needs is empty although @p asks is yes. */
enum hx_err hx_settings_check(const struct hx_settings *s, enum hx_setting_id *asks,
                              enum hx_setting_id *needs);
/** Write what is allowed for @p id, in words: "a whole number from 1 to 65535". */
void hx_setting_allowed(struct hx_wr *w, enum hx_setting_id id);
/** Write the value of @p id as it stands in a file; secrets too: for the file only. */
void hx_setting_format(struct hx_wr *w, const struct hx_settings *s, enum hx_setting_id id);

/** One line of a settings file. */
enum hx_ini_kind { HX_INI_BLANK, HX_INI_SECTION, HX_INI_PAIR };
struct hx_ini {
    enum hx_ini_kind kind;
    struct hx_span section; /* HX_INI_SECTION: name */
    struct hx_span key, value;
    bool quoted; /* value stood in quotes: hx_ini_unquote gives what it means */
};
/** Parse one line without its line end. `#` begins a comment at the start of a line or after a
 * blank; a value may stand in double quotes to keep `#` and outer blanks, inside them `\"` and `\\`
 * stand for `"` and `\`.
 * @return HX_OK; HX_E_VALUE: neither blank, comment, [section] nor KEY = VALUE. */
enum hx_err hx_ini_parse(struct hx_span line, struct hx_ini *out);
/** Write what the quoted @p value means. */
void hx_ini_unquote(struct hx_wr *w, struct hx_span value);

/** Why a file was refused. */
enum hx_fault {
    HX_FAULT_NONE,
    HX_FAULT_LINE,    /* neither blank, comment, [section] nor KEY = VALUE */
    HX_FAULT_SECTION, /* no such section */
    HX_FAULT_ORPHAN,  /* KEY = VALUE before the first [section] */
    HX_FAULT_KEY,     /* no such key in this section */
    HX_FAULT_VALUE,   /* value not allowed for id */
};
/** Where and why a file was refused. */
struct hx_settings_fault {
    enum hx_fault fault;
    unsigned line;                      /* from 1 */
    enum hx_setting_id id;              /* HX_FAULT_VALUE */
    struct hx_span section, key, value; /* inside the file's text */
};
/** Read a whole file's text over @p s. A key that stands twice counts as it stands last.
 * @return HX_OK; HX_E_VALUE with @p fault: @p s is then partly changed, use a copy. */
enum hx_err hx_settings_parse(struct hx_settings *s, struct hx_span file,
                              struct hx_settings_fault *fault);

/** Write @p file with @p id set as in @p s. One changed value changes one line; comments, blank
 * lines and lines that nobody understands stay as they are. A missing key goes to the end of its
 * section, a missing section to the end of the file, with the meaning as a comment above.
 * @p w gets HX_E_SPACE when it is too small. */
void hx_ini_edit(struct hx_wr *w, struct hx_span file, const struct hx_settings *s,
                 enum hx_setting_id id);
/** Write a whole new file: every setting with its meaning as a comment, those at their default
 * commented out. */
void hx_settings_file(struct hx_wr *w, const struct hx_settings *s);

/** The table as documentation; man is roff for section 5. */
void hx_settings_markdown(struct hx_wr *w);
void hx_settings_json(struct hx_wr *w);
void hx_settings_man(struct hx_wr *w);

#endif
