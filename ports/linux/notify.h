/* notify.h - tell the service manager how we are: one datagram a message.
 * In:     state strings ("READY=1").  Out: datagrams to $NOTIFY_SOCKET; nothing without it.
 * State:  struct hx_notify, owned by the caller.
 * Source: sd_notify(3), sd_watchdog_enabled(3). */
#ifndef HX_NOTIFY_H
#define HX_NOTIFY_H

#include "hx/base.h"

struct hx_notify {
    int fd;               /* -1: no service manager */
    uint64_t watchdog_ms; /* ping at least this often; 0 never */
};

/** Connect to $NOTIFY_SOCKET. Never fails: without a manager the rest does nothing. */
void hx_notify_open(struct hx_notify *n);
/** Send one message; never blocks. */
void hx_notify_send(const struct hx_notify *n, const char *message);
/** RELOADING=1 with the time that Type=notify-reload asks for. */
void hx_notify_reloading(const struct hx_notify *n, uint64_t now_us);
void hx_notify_close(struct hx_notify *n);

#endif
