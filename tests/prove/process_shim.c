/* process_shim.c - preloaded into a gateway by process.py, which holds the other end of the page:
 *
 *   time        runs page->speed times as fast: clocks, and every wait that the program makes
 *   memory      the allocation with number page->fail_at is refused, once
 *   a thread    that gets STICK stays in its handler for ever, wherever it was
 *
 * HX_SHIM names the page, a file of sizeof(struct page) octets. process.py knows its layout. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STICK (SIGRTMIN + 7)
#define NS INT64_C(1000000000)

struct page {
    _Atomic uint32_t turn; /* odd while the writer is at it */
    uint32_t speed;        /* 1: as the machine's; 0: no shim of time */
    int64_t real0_ns;      /* CLOCK_MONOTONIC of the machine when … */
    int64_t mono0_ns, wall0_ns;
    _Atomic int64_t limit_ns;        /* time stands still there; 0: it does not */
    _Atomic uint64_t count, fail_at; /* allocations since fail_at was written; 0: none fails */
    _Atomic uint64_t failed;
    char by[48]; /* the library, or program, whose allocation was refused last */
};

static struct page none, *page = &none;

/* ---- time ---------------------------------------------------------------------------------- */

static int64_t real_ns(clockid_t id)
{
    struct timespec t = {0};
    (void)syscall(SYS_clock_gettime, id, &t); /* the library's name is ours now */
    return t.tv_sec * NS + t.tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
}

static int64_t ns_of(const struct timespec *t)
{
    return t->tv_sec * NS + t->tv_nsec;
}

/* @return the speed; 0: leave time alone. */
static uint32_t now(int64_t *mono_ns, int64_t *wall_ns)
{
    for (;;) {
        uint32_t turn = atomic_load(&page->turn), speed = page->speed;
        int64_t since = (real_ns(CLOCK_MONOTONIC) - page->real0_ns) * speed;
        int64_t limit = atomic_load(&page->limit_ns);
        if (limit != 0 && since > limit - page->mono0_ns)
            since = limit - page->mono0_ns;
        *mono_ns = page->mono0_ns + since;
        *wall_ns = page->wall0_ns + since;
        if (turn % 2u == 0 && atomic_load(&page->turn) == turn)
            return speed;
    }
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int64_t mono, wall;
    uint32_t speed = now(&mono, &wall);
    bool is_wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    bool is_mono = id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE ||
                   id == CLOCK_MONOTONIC_RAW || id == CLOCK_BOOTTIME;
    if (speed == 0 || !(is_wall || is_mono))
        return (int)syscall(SYS_clock_gettime, id, out);
    *out = timespec_of(is_wall ? wall : mono);
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    *out = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL)
        *out = t.tv_sec;
    return t.tv_sec;
}

int timespec_get(struct timespec *out, int base)
{
    return clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0;
}

static int64_t shorter(int64_t ns) /* never to nothing: that would be no wait at all */
{
    int64_t mono, wall;
    uint32_t speed = now(&mono, &wall);
    return speed < 2 || ns <= 0 ? ns : (ns + speed - 1) / speed;
}

static int64_t real_until(clockid_t id, const struct timespec *until)
{
    int64_t mono, wall;
    uint32_t speed = now(&mono, &wall);
    int64_t left = ns_of(until) - (id == CLOCK_REALTIME ? wall : mono);
    return speed < 2 ? ns_of(until) : real_ns(id) + (left > 0 ? left / speed : 0);
}

/* What the name would have meant without us (POSIX, dlsym: data pointers can hold functions). */
#define FIND(next, name)                                                                           \
    do {                                                                                           \
        if ((next) == NULL)                                                                        \
            *(void **)&(next) = dlsym(RTLD_NEXT, name);                                            \
    } while (0)

int poll(struct pollfd *fds, nfds_t n, int wait_ms)
{
    struct timespec t = timespec_of(shorter(wait_ms * INT64_C(1000000)));
    return (int)syscall(SYS_ppoll, fds, n, wait_ms < 0 ? NULL : &t, NULL, (size_t)8);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int wait_ms, size_t size);
int __poll_chk(struct pollfd *fds, nfds_t n, int wait_ms, size_t size)
{
    if (size / sizeof *fds < n)
        abort();
    return poll(fds, n, wait_ms);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int wait_ms)
{
    struct timespec t = timespec_of(shorter(wait_ms * INT64_C(1000000)));
    return (int)syscall(SYS_epoll_pwait2, fd, events, max, wait_ms < 0 ? NULL : &t, NULL,
                        (size_t)8);
}

int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *wait,
            const sigset_t *mask)
{
    static int (*next)(int, fd_set *, fd_set *, fd_set *, const struct timespec *,
                       const sigset_t *);
    struct timespec t = {0};
    FIND(next, "pselect");
    if (wait != NULL)
        t = timespec_of(shorter(ns_of(wait)));
    return next(n, r, w, e, wait != NULL ? &t : NULL, mask);
}

int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *wait)
{
    struct timespec t = {0};
    if (wait != NULL)
        t = (struct timespec){.tv_sec = wait->tv_sec, .tv_nsec = wait->tv_usec * 1000};
    return pselect(n, r, w, e, wait != NULL ? &t : NULL, NULL);
}

int nanosleep(const struct timespec *wait, struct timespec *left)
{
    struct timespec t = timespec_of(shorter(ns_of(wait)));
    return (int)syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, left);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    static int (*next)(int, int, const struct itimerspec *, struct itimerspec *);
    struct itimerspec t = {.it_interval = timespec_of(shorter(ns_of(&new->it_interval)))};
    int64_t value = ns_of(&new->it_value);
    FIND(next, "timerfd_settime");
    if ((flags & TFD_TIMER_ABSTIME) != 0 && value != 0)
        t.it_value = timespec_of(real_until(CLOCK_MONOTONIC, &new->it_value));
    else
        t.it_value = timespec_of(shorter(value));
    return next(fd, flags, &t, old);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock, clockid_t id,
                           const struct timespec *until)
{
    static int (*next)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    struct timespec t = timespec_of(real_until(id, until));
    FIND(next, "pthread_cond_clockwait");
    return next(cond, lock, id, &t);
}

int pthread_mutex_clocklock(pthread_mutex_t *lock, clockid_t id, const struct timespec *until)
{
    static int (*next)(pthread_mutex_t *, clockid_t, const struct timespec *);
    struct timespec t = timespec_of(real_until(id, until));
    FIND(next, "pthread_mutex_clocklock");
    return next(lock, id, &t);
}

int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until)
{
    static int (*next)(pthread_t, void **, const struct timespec *);
    struct timespec t = timespec_of(real_until(CLOCK_REALTIME, until));
    FIND(next, "pthread_timedjoin_np");
    return next(thread, result, &t);
}

/* ---- memory: glibc's own names under those that everybody uses ------------------------------ */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

static void note_caller(const void *caller)
{
    Dl_info info = {0};
    const char *name = dladdr(caller, &info) != 0 ? info.dli_fname : "";
    const char *slash = strrchr(name, '/');
    (void)snprintf(page->by, sizeof page->by, "%s", slash != NULL ? slash + 1 : name);
}

static bool refused(const void *caller)
{
    uint64_t fail_at = atomic_load(&page->fail_at);
    if (fail_at == 0 || atomic_fetch_add(&page->count, 1u) + 1u != fail_at)
        return false;
    note_caller(caller);
    atomic_fetch_add(&page->failed, 1u);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return refused(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    *out = refused(__builtin_return_address(0)) ? NULL : __libc_memalign(align, size);
    return *out != NULL ? 0 : ENOMEM;
}

/* ---- a thread that does not come back ------------------------------------------------------- */

static void stick(int number)
{
    (void)number;
    for (;;)
        (void)pause();
}

/* Threads that block every signal let this one through. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    static int (*next)(int, const sigset_t *, sigset_t *);
    sigset_t without;
    FIND(next, "pthread_sigmask");
    if (set == NULL || how == SIG_UNBLOCK)
        return next(how, set, old);
    without = *set;
    (void)sigdelset(&without, STICK);
    return next(how, &without, old);
}

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("HX_SHIM");
    const struct sigaction sticks = {.sa_handler = stick};
    int fd = name != NULL ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd >= 0 ? mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (at != MAP_FAILED)
        page = at;
    if (fd >= 0)
        (void)close(fd);
    (void)sigaction(STICK, &sticks, NULL);
}
