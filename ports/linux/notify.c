/* notify.c - see notify.h. */
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint64_t env_number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    unsigned long long v;

    if (text == NULL || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    v = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? v : 0;
}

static uint64_t watchdog_ms(void)
{
    uint64_t pid = env_number("WATCHDOG_PID"), us = env_number("WATCHDOG_USEC");

    if (us == 0 || (pid != 0 && pid != (uint64_t)getpid()))
        return 0;
    return us < 4000u ? 1u : us / 2000u; /* half the limit, as sd_watchdog_enabled(3) advises */
}

void hx_notify_open(struct hx_notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = path != NULL ? strlen(path) : 0;
    socklen_t size;

    *n = (struct hx_notify){.fd = -1};
    if (len < 2 || len >= sizeof a.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(a.sun_path, path, len);
    if (path[0] == '@')
        a.sun_path[0] = '\0'; /* abstract name */
    size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd >= 0 && connect(n->fd, (const struct sockaddr *)&a, size) != 0)
        hx_notify_close(n);
    if (n->fd >= 0)
        n->watchdog_ms = watchdog_ms();
}

void hx_notify_send(const struct hx_notify *n, const char *message)
{
    if (n->fd >= 0)
        (void)send(n->fd, message, strlen(message), MSG_NOSIGNAL); /* a lost one comes again */
}

void hx_notify_reloading(const struct hx_notify *n, uint64_t now_us)
{
    char text[64];

    (void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_us);
    hx_notify_send(n, text);
}

void hx_notify_close(struct hx_notify *n)
{
    if (n->fd >= 0)
        (void)close(n->fd); /* nothing was buffered */
    n->fd = -1;
}
