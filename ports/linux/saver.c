/* saver.c - see saver.h. */
#include "saver.h"

#include "log.h"
#include "thread.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static struct hx_saver *saver_of(struct hx_job *job)
{
    return (struct hx_saver *)(void *)((char *)job - offsetof(struct hx_saver, job));
}

static void write_data(struct hx_saver *s)
{
    enum hx_err err = hx_store_write(s->store, (struct hx_span){s->data, s->len});

    s->error = err != HX_OK ? errno : 0;
    s->half = err == HX_MORE;
}

static void run(struct hx_job *job)
{
    struct hx_saver *s = saver_of(job);

    (void)pthread_mutex_lock(&s->writing);
    write_data(s);
    (void)pthread_mutex_unlock(&s->writing);
}

static void tell(struct hx_saver *s)
{
    if (s->error != 0 && !s->failing)
        hx_log(HX_LOG_WARNING, "%s %s: %s; the gateway goes on, next try in a minute",
               s->half ? "saved, but not safely, to" : "cannot save to", s->store->dir,
               strerror(s->error));
    if (s->error == 0 && s->failing)
        hx_log(HX_LOG_NOTICE, "saving to %s works again", s->store->dir);
    s->failing = s->error != 0;
    s->retry_ms = s->failing ? s->now_ms + HX_SAVER_RETRY_MS : 0;
}

static void done(struct hx_job *job)
{
    tell(saver_of(job));
}

void hx_saver_init(struct hx_saver *s, struct hx_store *store, struct hx_worker *worker)
{
    *s = (struct hx_saver){.job = {.run = run, .done = done}, .store = store, .worker = worker};
    (void)pthread_mutex_init(&s->writing, NULL);
}

static void take(struct hx_saver *s, const struct hx_gateway *g)
{
    struct hx_wr w = {.ptr = s->data, .cap = sizeof s->data};

    hx_gw_save(g, &w);
    HX_ASSERT(w.err == HX_OK); /* HX_GW_SAVED_MAX is its largest */
    s->len = w.len;
}

void hx_saver_save(struct hx_saver *s, const struct hx_gateway *g, uint64_t now_ms)
{
    s->now_ms = now_ms;
    s->again = s->job.busy;
    /* While the disk refuses, the retry clock decides: a broken card is not hammered. */
    if (s->job.busy || (s->failing && now_ms < s->retry_ms))
        return;
    take(s, g);
    (void)hx_worker_submit(s->worker, &s->job); /* not busy: cannot be refused */
}

void hx_saver_tick(struct hx_saver *s, const struct hx_gateway *g, uint64_t now_ms)
{
    s->now_ms = now_ms;
    if (!s->job.busy && (s->again || (s->failing && now_ms >= s->retry_ms)))
        hx_saver_save(s, g, now_ms);
}

void hx_saver_final(struct hx_saver *s, const struct hx_gateway *g, unsigned wait_ms)
{
    const struct timespec until = hx_thread_deadline(CLOCK_MONOTONIC, wait_ms);

    if (pthread_mutex_clocklock(&s->writing, CLOCK_MONOTONIC, &until) != 0) {
        hx_log(HX_LOG_WARNING, "the last save to %s did not end in time", s->store->dir);
        return;
    }
    take(s, g);
    write_data(s);
    tell(s);
    (void)pthread_mutex_unlock(&s->writing);
}

/* --- at the start --- */

/* @return HX_OK; HX_MORE there is no such file; else @p why says what is wrong with it. */
static enum hx_err load_one(const struct hx_store *store, enum hx_store_file which,
                            struct hx_gateway *g, const char **why)
{
    uint8_t saved[HX_GW_SAVED_MAX + 1u];
    size_t len = 0;
    enum hx_err err = hx_store_read(store, which, saved, sizeof saved, &len);

    *why = err == HX_E_IO ? strerror(errno) : "it is too large";
    if (err != HX_OK)
        return err;
    err = hx_gw_load(g, (struct hx_span){saved, len});
    *why = err == HX_E_LEN   ? "it is cut short"
           : err == HX_E_FCS ? "its checksum is wrong"
                             : "it is not ours or of a newer version";
    return err;
}

/* A file that cannot be used must not stop the gateway, and must not be lost either. */
enum hx_err hx_saver_load(const struct hx_store *store, struct hx_gateway *g)
{
    for (int i = 0; i < HX_STORE_FILES; i++) {
        enum hx_store_file which = (enum hx_store_file)i;
        const char *why;
        enum hx_err err = load_one(store, which, g, &why);

        if (err == HX_OK) {
            if (which == HX_STORE_SECOND)
                hx_log(HX_LOG_NOTICE, "saved state read from its copy %s/" HX_STORE_COPY,
                       store->dir);
            return HX_OK;
        }
        if (err == HX_MORE)
            continue;
        if (hx_store_set_aside(store, which) == HX_OK)
            hx_log(HX_LOG_WARNING,
                   "saved state %s/%s cannot be used: %s; the file is kept as %s" HX_STORE_BAD,
                   store->dir, hx_store_name(which), why, hx_store_name(which));
        else
            hx_log(HX_LOG_WARNING,
                   "saved state %s/%s cannot be used: %s; the file could not be moved aside: %s",
                   store->dir, hx_store_name(which), why, strerror(errno));
    }
    return HX_MORE;
}
