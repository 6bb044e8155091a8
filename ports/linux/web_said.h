/* web_said.h - codes for what the program says in words, so that pages can say it in their
 * reader's language.
 * In:     a text, English.  Out: its code and what varies in it.  State: none; pure. */
#ifndef HX_WEB_SAID_H
#define HX_WEB_SAID_H

#include "web_out.h"

#define HX_WEB_SAID_VALUES 4u

/** What a text of web_said.def says. */
struct hx_web_said {
    const char *code; /* NULL: no row fits */
    unsigned count;
    struct hx_span value[HX_WEB_SAID_VALUES]; /* what varies, in order; parts of the text */
};
struct hx_web_said hx_web_said(struct hx_span text);
/** Write ,"<key>_code":…,"<key>_values":[…] for a text that stands in @p key. Code null: unknown.
 */
void hx_web_put_said(struct hx_web_out *o, const char *key, struct hx_span text);
/** The text itself and its code. */
void hx_web_text_said(struct hx_web_out *o, const char *key, const char *text);

#endif
