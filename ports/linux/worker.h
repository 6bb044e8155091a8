/* worker.h - one thread for what may block: look-ups and disk syncs.
 * In:     jobs owned by their submitters.  Out: each job's `done`, called on the loop's thread.
 * State:  struct hx_worker, owned by the caller. The queue is bounded by the jobs themselves: a job
 *         is in it at most once, nothing is allocated.
 *         From submit until `done` a job belongs to the worker: its owner must not touch it. */
#ifndef HX_WORKER_H
#define HX_WORKER_H

#include "hx/base.h"

#include <event2/event.h>
#include <pthread.h>

struct hx_job {
    void (*run)(struct hx_job *job);  /* worker thread */
    void (*done)(struct hx_job *job); /* loop thread; may submit again or free the job */
    struct hx_job *next;              /* private */
    bool busy;                        /* loop thread: between submit and done */
};

struct hx_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct hx_job *first, **last; /* waiting, under lock */
    struct hx_job *finished;      /* newest first, under lock */
    bool stop, running;           /* under lock; running: inside a job */
    int fd;                       /* eventfd: something is finished */
    struct event *event;
};

/** Start the thread. @return HX_OK; HX_E_IO: logged. */
enum hx_err hx_worker_open(struct hx_worker *w, struct event_base *base);
/** Hand @p job over. @return HX_OK; HX_E_SPACE: it is still busy with its last round. */
enum hx_err hx_worker_submit(struct hx_worker *w, struct hx_job *job);
/** Stop. Jobs that were not begun get their `done` without a run; one that is running is waited for
 * up to @p wait_ms.
 * @return true when the thread has ended and @p w may go; false when it is still inside a job (a
 * look-up that hangs): then @p w and the job must stay until the process ends. */
bool hx_worker_close(struct hx_worker *w, unsigned wait_ms);

#endif
