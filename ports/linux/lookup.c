/* lookup.c - see lookup.h. */
#include "lookup.h"

#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE (256u * 1024u) /* name services need some 100 kB */

struct hx_lookup {
    atomic_int owners; /* user and thread */
    atomic_bool done;
    int fd, error;
    struct addrinfo *list;
    char host[256], port[8];
};

static _Atomic unsigned running; /* threads of the process, whoever asked for them */

void hx_lookup_end(struct hx_lookup *l)
{
    if (l == NULL || atomic_fetch_sub(&l->owners, 1) != 1)
        return;
    if (l->list != NULL)
        freeaddrinfo(l->list);
    (void)close(l->fd); /* an eventfd has nothing to lose */
    free(l);
}

static void *run(void *arg)
{
    struct hx_lookup *l = arg;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const uint64_t one = 1;

    l->error = getaddrinfo(l->host, l->port, &hints, &l->list);
    if (l->error != 0)
        l->list = NULL;
    atomic_store(&l->done, true);
    atomic_fetch_sub(&running, 1u);
    if (write(l->fd, &one, sizeof one) != (ssize_t)sizeof one)
        l->error = EAI_SYSTEM; /* cannot be: its counter is 0 */
    hx_lookup_end(l);
    return NULL;
}

enum hx_err hx_lookup_begin(const char *host, uint16_t port, struct hx_lookup **out)
{
    struct hx_lookup *l;
    int err;

    if (strlen(host) >= sizeof l->host || atomic_load(&running) >= HX_LOOKUP_RUNNING_MAX)
        return HX_E_SPACE;
    l = calloc(1, sizeof *l);
    if (l == NULL)
        return HX_E_IO;
    atomic_init(&l->owners, 2);
    memcpy(l->host, host, strlen(host) + 1u);
    (void)snprintf(l->port, sizeof l->port, "%u", (unsigned)port);
    l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = l->fd < 0 ? errno : 0;
    atomic_fetch_add(&running, 1u);
    if (err == 0)
        err = hx_thread_start(NULL, STACK_SIZE, run, l);
    if (err != 0) {
        atomic_fetch_sub(&running, 1u);
        if (l->fd >= 0)
            (void)close(l->fd); /* nothing in it */
        free(l);
        errno = err;
        return HX_E_IO;
    }
    *out = l;
    return HX_OK;
}

int hx_lookup_fd(const struct hx_lookup *l)
{
    return l->fd;
}

enum hx_err hx_lookup_result(struct hx_lookup *l, const struct addrinfo **list, int *error)
{
    if (!atomic_load(&l->done))
        return HX_MORE;
    *error = l->error;
    *list = l->list;
    return l->list != NULL ? HX_OK : HX_E_VALUE;
}
