/* source.h - where the telegrams come from: one of several kinds behind one face.
 * In:     the setting meter.source.  Out: octets and line errors, through two callbacks.
 * State:  struct hx_source, owned by the caller; loop thread. A source that is not there is waited
 *         for: opening fails only when it can never be there.
 *
 *   source.c picks the kind ─▶ source_serial.c (a tty; auto: whichever adapter has a meter)
 *                              source_tcp.c    (a serial server)
 *                              source_file.c   (replay, standard input, simulator) */
#ifndef HX_SOURCE_H
#define HX_SOURCE_H

#include "tty.h"
#include "worker.h"

#include <event2/event.h>

#define HX_SOURCE_TEXT_MAX 256u

struct hx_source_config {
    char text[HX_SOURCE_TEXT_MAX];     /* meter.source */
    uint32_t baud;                     /* 0: find it */
    enum hx_parity parity;             /* HX_PARITY_AUTO: find it */
    char reserved[HX_SOURCE_TEXT_MAX]; /* a tty that auto must leave alone; "" none */
};

/** What a source needs, and whom it tells. */
struct hx_source_env {
    struct event_base *base;
    struct hx_worker *worker;
    void (*rx)(void *ctx, struct hx_span bytes);
    void (*line_error)(void *ctx); /* the next octet has an error */
    void *ctx;
};

struct hx_source;

/** One kind. @p impl is what open gave. */
struct hx_source_kind {
    const char *prefix; /* of the setting; whole setting when @p whole */
    bool whole, simulated;
    void *(*open)(struct hx_source *s, const char *rest); /* NULL: logged */
    void (*tick)(void *impl, uint64_t now_ms);            /* about once a second; may be NULL */
    void (*good)(void *impl, uint64_t now_ms); /* a frame with a right checksum; may be NULL */
    void (*close)(void *impl);
};

extern const struct hx_source_kind hx_source_auto, hx_source_serial, hx_source_tcp, hx_source_file,
    hx_source_stdin, hx_source_sim;

struct hx_source {
    struct hx_source_env env;
    struct hx_source_config config;
    const struct hx_source_kind *kind; /* NULL: closed */
    void *impl;
};

/** @return HX_OK; HX_E_VALUE: the setting is of no kind; HX_E_IO: cannot be; both logged. */
enum hx_err hx_source_open(struct hx_source *s, const struct hx_source_env *env,
                           const struct hx_source_config *config);
/** @return true when its values are made up. */
bool hx_source_is_simulated(const struct hx_source *s);
void hx_source_tick(struct hx_source *s, uint64_t now_ms);
void hx_source_good(struct hx_source *s, uint64_t now_ms);
void hx_source_close(struct hx_source *s);

#endif
