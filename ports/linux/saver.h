/* saver.h - saves run on the worker, the newest wins, and a disk that refuses is asked again.
 * In:     the gateway's saved state.  Out: the files in the state folder; one log line when it
 *         begins to fail and one when it works again; the saved state at the start.
 * State:  struct hx_saver, owned by the caller; loop thread. */
#ifndef HX_SAVER_H
#define HX_SAVER_H

#include "store.h"
#include "worker.h"

#include "hx/gateway.h"

#include <pthread.h>

#define HX_SAVER_RETRY_MS 60000u

struct hx_saver {
    struct hx_job job;
    struct hx_store *store;
    struct hx_worker *worker;
    pthread_mutex_t writing; /* held while the file is replaced */
    bool again;              /* something newer came while busy */
    bool failing;            /* said in the log */
    uint64_t retry_ms;       /* try again then; 0 no need */
    uint64_t now_ms;         /* of the newest call */
    int error;               /* errno of the run, 0 none */
    bool half;               /* then: the new state is there, but not safely so */
    size_t len;
    uint8_t data[HX_GW_SAVED_MAX];
};

void hx_saver_init(struct hx_saver *s, struct hx_store *store, struct hx_worker *worker);
/** Save the gateway's state soon; never blocks. */
void hx_saver_save(struct hx_saver *s, const struct hx_gateway *g, uint64_t now_ms);
/** Time passed: retry what failed, and what came while the worker was busy. */
void hx_saver_tick(struct hx_saver *s, const struct hx_gateway *g, uint64_t now_ms);
/** The last save, on this thread; waits for a running one at most @p wait_ms. */
void hx_saver_final(struct hx_saver *s, const struct hx_gateway *g, unsigned wait_ms);
/** Take in what was saved: from the file, or from its copy when the file is missing or cannot be
 * used. What cannot be used is moved aside and logged.
 * @return HX_OK; HX_MORE there is nothing to be used: @p g is as it was. */
enum hx_err hx_saver_load(const struct hx_store *store, struct hx_gateway *g);

#endif
