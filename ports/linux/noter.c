/* noter.c - see noter.h. */
#include "noter.h"

#include "clock.h"

#include <stdio.h>
#include <string.h>

static void run(struct hx_job *job)
{
    struct hx_noter *n = (struct hx_noter *)(void *)job; /* its first member */
    struct hx_web_audit audit;

    hx_audit_open(&audit, n->dir);
    for (unsigned i = 0; i < n->writing; i++) {
        const struct hx_noted *at = &n->written[i];

        hx_audit_add(&audit, at->note, at->utc_ms, at->from, at->text);
    }
    hx_audit_close(&audit);
    n->writing = 0;
}

static void submit(struct hx_noter *n)
{
    if (n->job.busy || n->writing != 0 || n->count == 0)
        return;
    memcpy(n->written, n->waiting, n->count * sizeof *n->waiting);
    n->writing = n->count;
    n->count = 0;
    (void)hx_worker_submit(n->worker, &n->job); /* not busy: it is taken */
}

static void done(struct hx_job *job)
{
    submit((struct hx_noter *)(void *)job);
}

void hx_noter_end(struct hx_noter *n)
{
    if (n->writing != 0)
        run(&n->job); /* it was given back, or handed over for a turn that never comes */
    memcpy(n->written, n->waiting, n->count * sizeof *n->waiting);
    n->writing = n->count;
    n->count = 0;
    if (n->writing != 0)
        run(&n->job);
}

void hx_noter_init(struct hx_noter *n, struct hx_worker *worker, const char *dir)
{
    *n = (struct hx_noter){.job = {.run = run, .done = done}, .worker = worker, .dir = dir};
}

void hx_noter_add(struct hx_noter *n, enum hx_note note, const char *from, const char *text)
{
    int64_t utc_ms = hx_clock_utc_ms();
    struct hx_noted *at = &n->waiting[n->count];

    if (n->count == HX_NOTER)
        return; /* the disk hangs: the log on stderr has it */
    n->count++;
    at->note = note;
    at->utc_ms = utc_ms >= HX_CLOCK_KNOWN_MS ? utc_ms : 0;
    (void)snprintf(at->from, sizeof at->from, "%s", from);
    (void)snprintf(at->text, sizeof at->text, "%s", text);
    submit(n);
}
