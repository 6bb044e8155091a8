/* backlog.h - hourly readings on disk until the broker has them: the file `hours`.
 * In:     one reading an hour; how far they were delivered.
 * Out:    the undelivered ones, oldest first, across restarts and power cuts.
 * State:  struct hx_backlog, owned by the caller; one thread. The state folder's lock keeps other
 *         gateways out.
 *
 *   0    mark: magic, version, generation, number of the first record, number delivered, CRC-32
 *   512  the same; the newer generation counts, so a torn write costs one step, not the mark
 *   1024 records of 96 octets, one a reading, each with its number and a CRC-32; only appended
 *
 * Readings that the disk does not take stay in memory, bounded, and are delivered from there. */
#ifndef HX_BACKLOG_H
#define HX_BACKLOG_H

#include "log.h"

#include "hx/hour.h"

#define HX_BACKLOG_FILE "hours"
#define HX_BACKLOG_BAD "hours.bad"
#define HX_BACKLOG_TEMP "hours.tmp"
#define HX_BACKLOG_KEEP 744u    /* 31 days of undelivered readings; older ones go */
#define HX_BACKLOG_UNSAVED 48u  /* readings in memory that the disk did not take */
#define HX_BACKLOG_COMPACT 256u /* delivered records after which the file is written anew */
#define HX_BACKLOG_RECORD 96u   /* octets */

struct hx_backlog {
    int dir_fd, fd;     /* fd -1: no file, memory only */
    uint64_t base;      /* number of the file's first record */
    uint64_t delivered; /* all below are at the broker, or given up */
    uint64_t saved;     /* all below are in the file */
    uint64_t end;       /* number that the next reading gets */
    uint64_t generation;
    bool mark_due; /* delivered is ahead of the disk */
    bool failing;  /* said in the log */
    uint64_t lost; /* readings given up: too old, or damaged on disk */
    bool has_newest;
    struct hx_hour newest;
    uint32_t newest_meter; /* whose it is: any number that differs between meters */
    struct hx_hour unsaved[HX_BACKLOG_UNSAVED]; /* saved … end - 1, index by number % size */
    uint32_t unsaved_meter[HX_BACKLOG_UNSAVED];
};

/** Open or make the file in folder @p dir_fd, which must outlive @p b. A torn tail is cut off, a
 * foreign file set aside; what cannot be used is told in one log line and memory serves instead. */
void hx_backlog_open(struct hx_backlog *b, int dir_fd);
/** Take a reading of @p meter in, on the disk when the disk takes it. The newest one again is not
 * taken.
 * @return HX_OK; HX_MORE it was there already. */
enum hx_err hx_backlog_append(struct hx_backlog *b, const struct hx_hour *h, uint32_t meter);
/** Try again what the disk refused. */
void hx_backlog_retry(struct hx_backlog *b);
/** Read number @p n, b->delivered … b->end - 1.
 * @return HX_OK; HX_E_FCS damaged on disk: pass over it. */
enum hx_err hx_backlog_read(const struct hx_backlog *b, uint64_t n, struct hx_hour *out);
/** Everything below @p n is delivered. @return HX_OK: and the mark is on disk; HX_E_IO not there
 * yet: counted as delivered until a restart. */
enum hx_err hx_backlog_mark(struct hx_backlog *b, uint64_t n);
/** @return the newest reading, NULL when there was none or it is of another meter. */
const struct hx_hour *hx_backlog_newest(const struct hx_backlog *b, uint32_t meter);
/** @return how many wait for delivery. */
uint64_t hx_backlog_waiting(const struct hx_backlog *b);
void hx_backlog_close(struct hx_backlog *b);

#endif
