/* thread.h - start a thread beside the gateway's loop, and wait for its end no longer than may be.
 * In:     a function and its argument.  Out: a running thread that takes no signals.
 * State:  none. */
#ifndef HX_THREAD_H
#define HX_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/** Start @p run(@p arg) with a stack of @p stack octets. All signals are blocked in it: those that
 * the gateway's loop waits for must not end up there. Where the processor is short it gives way to
 * that loop.
 * @param[out] thread  to be joined; NULL: the thread is detached.
 * @return 0; else an errno value, and nothing was started. */
int hx_thread_start(pthread_t *thread, size_t stack, void *(*run)(void *), void *arg);
/** Wait for its end for at most @p wait_ms. @return true: it has ended and is joined. */
bool hx_thread_join(pthread_t thread, unsigned wait_ms);
/** @return the time in @p wait_ms by @p clock, as the calls that wait with a deadline take it. */
struct timespec hx_thread_deadline(clockid_t clock, unsigned wait_ms);

#endif
