/* worker.c - see worker.h. */
#include "worker.h"

#include "log.h"
#include "thread.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE                                                                                 \
    (256u * 1024u) /* name services need some 100 kB; untouched pages cost nothing                 \
                    */

static struct hx_job *take(struct hx_worker *w)
{
    struct hx_job *job;

    while (w->first == NULL && !w->stop)
        (void)pthread_cond_wait(&w->wake, &w->lock);
    if (w->stop)
        return NULL;
    job = w->first;
    w->first = job->next;
    if (w->first == NULL)
        w->last = &w->first;
    w->running = true;
    return job;
}

static void *work(void *arg)
{
    struct hx_worker *w = arg;
    const uint64_t one = 1;
    struct hx_job *job;

    (void)pthread_mutex_lock(&w->lock);
    while ((job = take(w)) != NULL) {
        (void)pthread_mutex_unlock(&w->lock);
        job->run(job);
        (void)pthread_mutex_lock(&w->lock);
        w->running = false;
        job->next = w->finished;
        w->finished = job;
        if (write(w->fd, &one, sizeof one) != (ssize_t)sizeof one)
            continue; /* the counter is full: the loop has been told 2^64 times */
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void call_done(struct hx_job *job)
{
    struct hx_job *next;

    for (; job != NULL; job = next) {
        next = job->next;
        job->busy = false;
        job->done(job);
    }
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
    struct hx_worker *w = arg;
    struct hx_job *job;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
        return;
    (void)pthread_mutex_lock(&w->lock);
    job = w->finished;
    w->finished = NULL;
    (void)pthread_mutex_unlock(&w->lock);
    call_done(job);
}

enum hx_err hx_worker_open(struct hx_worker *w, struct event_base *base)
{
    int err = 0;

    *w = (struct hx_worker){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    w->last = &w->first;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->wake, NULL);
    if (w->fd >= 0)
        w->event = event_new(base, w->fd, EV_READ | EV_PERSIST, on_finished, w);
    if (w->event == NULL || event_add(w->event, NULL) != 0 ||
        (err = hx_thread_start(&w->thread, STACK_SIZE, work, w)) != 0) {
        hx_log(HX_LOG_ERROR, "cannot start the worker thread: %s",
               strerror(err != 0 ? err : errno));
        if (w->event != NULL)
            event_free(w->event);
        if (w->fd >= 0)
            (void)close(w->fd); /* nothing in it */
        return HX_E_IO;
    }
    return HX_OK;
}

enum hx_err hx_worker_submit(struct hx_worker *w, struct hx_job *job)
{
    if (job->busy)
        return HX_E_SPACE;
    job->busy = true;
    job->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    *w->last = job;
    w->last = &job->next;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    return HX_OK;
}

bool hx_worker_close(struct hx_worker *w, unsigned wait_ms)
{
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    event_free(w->event);
    if (!hx_thread_join(w->thread, wait_ms))
        return false;
    call_done(w->finished);
    call_done(w->first);
    (void)close(w->fd); /* an eventfd has nothing to lose */
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    return true;
}
