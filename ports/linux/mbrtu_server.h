/* mbrtu_server.h - Modbus RTU on a tty.
 * In:     octets of the line with their times.  Out: answers of hx_mbrtu_poll; writes, told.
 * State:  struct hx_mbrtu_server, owned by the caller; loop thread. A line that is not there is
 *         waited for.
 * Source: Modbus Serial Line V1.02, 2.5.1 (RTU framing). */
#ifndef HX_MBRTU_SERVER_H
#define HX_MBRTU_SERVER_H

#include "log.h"
#include "tty.h"
#include "unmark.h"

#include "hx/modbus.h"

#include <event2/event.h>

struct hx_mbrtu_config {
    bool enabled;
    char device[256];
    struct hx_line line;
    uint8_t address;
    enum hx_rs485 rs485;
};

struct hx_mbrtu_server {
    struct event_base *base;
    struct hx_mb_device *dev;
    void (*on_write)(void *ctx); /* a write was carried out (and logged) */
    void *ctx;
    struct hx_mbrtu_config config;
    int fd, timer_fd; /* -1 closed */
    struct event *readable, *writable, *timer;
    struct hx_unmark unmark;
    struct hx_mbrtu line;
    uint64_t timer_us; /* what the timer is set to; UINT64_MAX off */
    uint64_t answered; /* frames; goes on over changes of the line */
    uint16_t out_at, out_len;
    uint8_t out[HX_MBRTU_ADU_MAX];
    int told; /* errno that was last logged; 0 none */
    bool was_open;
    struct hx_log_limit write_log;
};

void hx_mbrtu_server_init(struct hx_mbrtu_server *s, struct event_base *base,
                          struct hx_mb_device *dev, void (*on_write)(void *ctx), void *ctx);
/** Serve as @p c says; at first and at each reload. The line is opened anew when anything changed.
 * @return HX_OK, also when the device is not there yet; HX_E_VALUE: enabled without a device,
 *         logged. */
enum hx_err hx_mbrtu_server_set(struct hx_mbrtu_server *s, const struct hx_mbrtu_config *c);
/** Time passed: look for a line that is not there. About once a second. */
void hx_mbrtu_server_tick(struct hx_mbrtu_server *s, uint64_t now_ms);
void hx_mbrtu_server_close(struct hx_mbrtu_server *s);

#endif
