/* log.h - the log: one line a message on stderr, with journal levels under systemd.
 * In:     printf-like messages.  Out: whole lines on stderr; a reader that stalls costs lines,
 *         never time: a line that would block is counted and left out.
 * State:  process-wide by nature (one stderr). Any thread.
 * Source: sd-daemon(3), "<N>" prefixes; systemd.exec(5), $JOURNAL_STREAM. */
#ifndef HX_LOG_H
#define HX_LOG_H

#include "hx/base.h"

enum hx_log_level { HX_LOG_ERROR = 3, HX_LOG_WARNING = 4, HX_LOG_NOTICE = 5, HX_LOG_INFO = 6 };

#define HX_LOG_LINE_MAX 1024u /* octets; longer messages are cut */

/** Look whether stderr is the journal. Call once, before other threads start. */
void hx_log_init(void);

/** Write one line. Control characters from outside are shown as '?'. */
void hx_log(enum hx_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** From now on this thread's first message of level HX_LOG_ERROR is kept in @p text as well, so
 * that whoever asked for something can be told why not. NULL: no more. */
void hx_log_keep(char *text, size_t size);

#define HX_LOG_BURST 10u          /* messages of a kind … */
#define HX_LOG_INTERVAL_MS 60000u /* … in this time */

/** One kind of message that outside events can repeat without end. Zeros are the start state. */
struct hx_log_limit {
    uint64_t since_ms;
    uint32_t shown, hidden;
    bool begun;
};

/** @return true when a message of this kind may be logged now; then @p hidden is how many were
 * left out since the last one that was. */
bool hx_log_allow(struct hx_log_limit *l, uint64_t now_ms, uint32_t *hidden);

/** hx_log for such a message; tells afterwards how many were left out. */
void hx_log_limited(struct hx_log_limit *l, uint64_t now_ms, enum hx_log_level level,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
