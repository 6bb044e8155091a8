/* mailbox.c - see mailbox.h. */
#include "mailbox.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NEW 4u
#define INDEX 3u

enum hx_err hx_mailbox_open(struct hx_mailbox *m)
{
    memset(m, 0, sizeof *m);
    m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->back = 0;
    atomic_init(&m->middle, 1u);
    m->front = 2u | NEW; /* NEW here: nothing was received yet */
    return m->fd >= 0 ? HX_OK : HX_E_IO;
}

void hx_mailbox_wake(const struct hx_mailbox *m)
{
    const uint64_t one = 1;

    if (write(m->fd, &one, sizeof one) != (ssize_t)sizeof one)
        return; /* the counter is full: the reader has been told 2^64 times */
}

void hx_mailbox_woken(const struct hx_mailbox *m)
{
    uint64_t count;

    if (read(m->fd, &count, sizeof count) != (ssize_t)sizeof count)
        return; /* nothing was posted */
}

static void post_hour(struct hx_mailbox *m, const struct hx_state *s)
{
    unsigned head = atomic_load_explicit(&m->head, memory_order_relaxed);

    if (head - atomic_load_explicit(&m->tail, memory_order_acquire) == HX_MAILBOX_HOURS) {
        atomic_fetch_add(&m->lost, 1u);
        return;
    }
    m->hour[head % HX_MAILBOX_HOURS] = *s;
    atomic_store_explicit(&m->head, head + 1u, memory_order_release);
}

void hx_mailbox_post(struct hx_mailbox *m, const struct hx_state *s, bool hour)
{
    if (hour)
        post_hour(m, s);
    m->slot[m->back] = *s;
    m->back = atomic_exchange_explicit(&m->middle, m->back | NEW, memory_order_acq_rel) & INDEX;
    hx_mailbox_wake(m);
}

const struct hx_state *hx_mailbox_newest(struct hx_mailbox *m)
{
    if ((atomic_load_explicit(&m->middle, memory_order_relaxed) & NEW) != 0)
        m->front =
            atomic_exchange_explicit(&m->middle, m->front & INDEX, memory_order_acq_rel) & INDEX;
    return (m->front & NEW) != 0 ? NULL : &m->slot[m->front];
}

const struct hx_state *hx_mailbox_hour(struct hx_mailbox *m)
{
    unsigned tail = atomic_load_explicit(&m->tail, memory_order_relaxed);

    if (tail == atomic_load_explicit(&m->head, memory_order_acquire))
        return NULL;
    return &m->hour[tail % HX_MAILBOX_HOURS];
}

void hx_mailbox_hour_done(struct hx_mailbox *m)
{
    atomic_fetch_add_explicit(&m->tail, 1u, memory_order_release);
}

void hx_mailbox_close(struct hx_mailbox *m)
{
    if (m->fd >= 0)
        (void)close(m->fd); /* an eventfd has nothing to lose */
    m->fd = -1;
}
