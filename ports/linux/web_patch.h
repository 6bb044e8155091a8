/* web_patch.h - changes of settings as JSON: read, checked, all or nothing; and settings as JSON.
 * In:     a body from outside; the settings in use.  Out: new settings, or what is wrong with each
 *         field. Pure: no file is touched.
 * State:  none. */
#ifndef HX_WEB_PATCH_H
#define HX_WEB_PATCH_H

#include "config.h"
#include "web_out.h"

#include "hx/settings.h"

#include <jansson.h>

#define HX_WEB_DEPTH 6    /* of objects and arrays in a body; a backup needs 4 */
#define HX_WEB_FAULTS 16u /* fields that are told at once */
#define HX_WEB_FAULT_TEXT 200u

/** Parse a body: one JSON object, no doubles, not deeper than HX_WEB_DEPTH.
 * @param[out] why  on failure, in words.
 * @return the object, a new reference; NULL. */
json_t *hx_web_json(struct hx_span body, char why[HX_WEB_FAULT_TEXT]);
/** @return text of member @p key when it is a string without NUL and at most @p max octets; NULL.
 */
const char *hx_web_json_text(const json_t *object, const char *key, size_t max);

/** A field that was refused. */
struct hx_web_fault {
    char key[80], message[HX_WEB_FAULT_TEXT], allowed[HX_WEB_FAULT_TEXT];
};
struct hx_web_faults {
    unsigned count; /* at most HX_WEB_FAULTS are kept */
    struct hx_web_fault fault[HX_WEB_FAULTS];
};

/** Settings that come from command line, environment or a *_file: a file cannot change them. */
struct hx_web_fixed {
    bool is[HX_SETTING_COUNT];
};
void hx_web_fixed_find(const struct config_source *source, const struct hx_settings *s,
                       struct hx_web_fixed *out);

enum hx_web_patch_for {
    HX_PATCH_USER,    /* password hash and its file are refused: they have a door of their own */
    HX_PATCH_RESTORE, /* the same are passed over: a backup is no way to another password */
};
/** Read {section: {key: value}} over @p s.
 * @param s        in: settings in use; out: the new ones when there is no fault.
 * @param[out] f   what was wrong; count 0: nothing. */
void hx_web_patch(const json_t *body, const struct hx_web_fixed *fixed, enum hx_web_patch_for what,
                  struct hx_settings *s, struct hx_web_faults *f);

/** @return true when @p id is another in @p b than in @p a. */
bool hx_web_setting_differs(const struct hx_settings *a, const struct hx_settings *b,
                            enum hx_setting_id id);

/** The new text of the settings file: @p file with every setting that differs between @p old and
 * @p new. An empty @p file becomes a whole new one.
 * @return text on the heap, NULL when there is no memory. */
uint8_t *hx_web_new_file(struct hx_span file, const struct hx_settings *old,
                         const struct hx_settings *new, size_t *len);

/** What a change of a setting interrupts. */
enum hx_web_effect {
    HX_EFFECT_NONE,
    HX_EFFECT_METER,
    HX_EFFECT_TCP,
    HX_EFFECT_RTU,
    HX_EFFECT_MQTT,
    HX_EFFECT_WEB,
    HX_EFFECT_NETWORK,
    HX_EFFECT_RESTART,
};
#define HX_EFFECT_COUNT 8u
enum hx_web_effect hx_web_effect_of(enum hx_setting_id id);
const char *hx_web_effect_name(enum hx_web_effect e);

/** Write {section: {key: value}} with secrets null. @param secrets  only the secrets, as
 * texts, less the password's hash. */
void hx_web_settings_json(struct hx_web_out *o, const char *key, const struct hx_settings *s,
                          bool secrets);
/** Write the answer of GET /api/v1/settings. */
void hx_web_settings_answer(struct hx_web_out *o, const char *key, const struct hx_settings *s,
                            const struct hx_web_fixed *fixed, const char *file);
/** … of GET /api/v1/settings/schema. */
void hx_web_schema_json(struct hx_web_out *o);

#endif
