/* noter.h - the log of who did what while there are no pages, whose thread writes it otherwise.
 * In:     what happened.  Out: lines in the log, by the worker.
 * State:  struct hx_noter, owned by the caller; loop thread. Bounded: what comes while HX_NOTER
 *         notes wait for the disk is left out. */
#ifndef HX_NOTER_H
#define HX_NOTER_H

#include "web_audit.h"
#include "worker.h"

#define HX_NOTER 12u

struct hx_noted {
    enum hx_note note;
    int64_t utc_ms;
    char from[64], text[HX_AUDIT_TEXT + 1u];
};
struct hx_noter {
    struct hx_job job;
    struct hx_worker *worker;
    const char *dir;
    unsigned count, writing; /* notes that wait; that the worker has */
    struct hx_noted waiting[HX_NOTER], written[HX_NOTER];
};

/** @param dir  the state folder; must outlive @p n. */
void hx_noter_init(struct hx_noter *n, struct hx_worker *worker, const char *dir);
/** Write this, soon. @param from  address or "". */
void hx_noter_add(struct hx_noter *n, enum hx_note note, const char *from, const char *text);
/** The worker has ended: write what still waits. Blocks. */
void hx_noter_end(struct hx_noter *n);

#endif
