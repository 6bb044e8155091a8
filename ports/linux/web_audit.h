/* web_audit.h - the log of events that matter for security: at least the last 1000, kept on disk.
 * In:     kind, address, words.  Out: lines of a file; JSON.
 * State:  struct hx_web_audit, owned by the caller; one thread. Two files in the state folder,
 *         `audit` and the one before it, `audit.1`: each is only appended to, 1000 lines long.
 *         Never in it: secrets, readings.
 *
 *   number <tab> UTC in ms, 0 unknown <tab> kind <tab> address <tab> words <newline> */
#ifndef HX_WEB_AUDIT_H
#define HX_WEB_AUDIT_H

#include "web.h"
#include "web_out.h"

#define HX_AUDIT_LINES 1000u /* in each of the two files */
#define HX_AUDIT_TEXT 240u   /* octets of words */

struct hx_web_audit {
    const char *dir;
    int fd;          /* of `audit`, for appending; -1: cannot be written */
    uint32_t lines;  /* in it */
    uint32_t number; /* of the newest entry */
};

/** @return "login_failed" … */
const char *hx_note_name(enum hx_note note);

/** Open or make the file and count what is in it. What cannot be read is passed over; a file that
 * cannot be written is logged, and entries are then lost. */
void hx_audit_open(struct hx_web_audit *a, const char *dir);
/** Append one entry. @param utc_ms  0 when the clock is not known. Control characters become '?'.
 */
void hx_audit_add(struct hx_web_audit *a, enum hx_note note, int64_t utc_ms, const char *from,
                  const char *text);
/** Write the answer of GET /api/v1/log: at most @p count entries, newest first. */
void hx_audit_json(const struct hx_web_audit *a, unsigned count, struct hx_web_out *o);
void hx_audit_close(struct hx_web_audit *a);

#endif
