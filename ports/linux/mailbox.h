/* mailbox.h - states of the gateway for one other thread: the newest one, and each hour's.
 * In:     gateway thread: copies of struct hx_state.  Out: reader thread: the newest, and those
 *         that brought hourly energies, in order.
 * State:  struct hx_mailbox, owned by the caller; one writer and one reader thread. The writer
 *         never waits: three slots change hands by one atomic exchange, so writer and reader
 *         always hold one each. Hourly states queue up; with the queue full the newest is counted
 *         as lost (the reader has then been stuck for hours). */
#ifndef HX_MAILBOX_H
#define HX_MAILBOX_H

#include "hx/state.h"

#include <stdatomic.h>

#define HX_MAILBOX_HOURS 4u

struct hx_mailbox {
    int fd;                  /* eventfd: readable when something was posted */
    _Atomic unsigned middle; /* the slot between the two, with NEW when the writer filled it */
    unsigned back, front;    /* writer's and reader's */
    _Atomic unsigned head, tail, lost; /* hourly states: written, read, not taken */
    struct hx_state slot[3];
    struct hx_state hour[HX_MAILBOX_HOURS];
};

/** @return HX_OK; HX_E_IO with errno set. */
enum hx_err hx_mailbox_open(struct hx_mailbox *m);
/** Writer: post a state. @param hour  it has new hourly energies. */
void hx_mailbox_post(struct hx_mailbox *m, const struct hx_state *s, bool hour);
/** Writer, or any thread: wake the reader. */
void hx_mailbox_wake(const struct hx_mailbox *m);
/** Reader: m->fd was readable. */
void hx_mailbox_woken(const struct hx_mailbox *m);
/** Reader: @return the newest state, valid until the next call; NULL when there was none yet. */
const struct hx_state *hx_mailbox_newest(struct hx_mailbox *m);
/** Reader: @return the oldest hourly state that waits, valid until hx_mailbox_hour_done; NULL. */
const struct hx_state *hx_mailbox_hour(struct hx_mailbox *m);
void hx_mailbox_hour_done(struct hx_mailbox *m);
void hx_mailbox_close(struct hx_mailbox *m);

#endif
