/* thread.c - see thread.h. */
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define NICE 5 /* two thirds less of a busy processor than the gateway's own loop */

struct start {
    void *(*run)(void *arg);
    void *arg;
};

static void *begin(void *arg)
{
    struct start s = *(struct start *)arg;

    free(arg);
    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone: setpriority(2), BUGS */
    return s.run(s.arg);
}

int hx_thread_start(pthread_t *thread, size_t stack, void *(*run)(void *), void *arg)
{
    struct start *s = malloc(sizeof *s);
    pthread_attr_t attr;
    pthread_t detached;
    sigset_t all, old;
    int err = s != NULL ? pthread_attr_init(&attr) : ENOMEM;

    if (err != 0) {
        free(s);
        return err;
    }
    *s = (struct start){run, arg};
    (void)pthread_attr_setstacksize(&attr, stack); /* refused: the default does too */
    if (thread == NULL)
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(thread != NULL ? thread : &detached, &attr, begin, s);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    if (err != 0)
        free(s);
    return err;
}

struct timespec hx_thread_deadline(clockid_t clock, unsigned wait_ms)
{
    struct timespec at;

    (void)clock_gettime(clock, &at); /* cannot fail for the system's clocks */
    at.tv_sec += (time_t)(wait_ms / 1000u);
    at.tv_nsec += (long)(wait_ms % 1000u) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

bool hx_thread_join(pthread_t thread, unsigned wait_ms)
{
    struct timespec until = hx_thread_deadline(CLOCK_REALTIME, wait_ms); /* what it counts in */

    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}
