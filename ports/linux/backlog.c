/* backlog.c - see backlog.h. */
#include "backlog.h"

#include "file_wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK_AT 512 /* second mark: another sector, so that one torn write spares the other */
#define MARK_LEN 40u
#define RECORDS_AT 1024
#define RECORD HX_BACKLOG_RECORD
#define MAGIC "han2xhrs"
#define FILE_VERSION 1u
#define ENERGIES 4u
#define HAS_USED 0x10u
#define NUMBER_MAX (UINT64_MAX >> 1) /* never reached; no sum with a count of records wraps */

/* CRC-32 as in ISO/IEC 8802-3 (reflected 0x04C11DB7), bit by bit: a few records an hour. */
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t reg = 0xFFFFFFFFu;

    for (size_t i = 0; i < n; i++) {
        reg ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            reg = (reg & 1u) != 0 ? reg >> 1 ^ 0xEDB88320u : reg >> 1;
    }
    return ~reg;
}

static void put_u64(struct hx_wr *w, uint64_t v)
{
    hx_wr_be32(w, (uint32_t)(v >> 32));
    hx_wr_be32(w, (uint32_t)v);
}

static uint64_t get_u64(struct hx_rd *r)
{
    uint64_t high = hx_rd_be32(r);

    return high << 32 | hx_rd_be32(r);
}

static bool is_intact(const uint8_t *p, size_t n)
{
    struct hx_rd r = {.left = {p + n - 4u, 4}};

    return hx_rd_be32(&r) == crc32_of(p, n - 4u);
}

/* ---- one record: kind, flags, number, hour, totals, used, scale, meter, checksum ------------ */

static void format_record(const struct hx_hour *h, uint32_t meter, uint64_t n, uint8_t out[RECORD])
{
    struct hx_wr w = {.ptr = out, .cap = RECORD};
    uint8_t flags = h->has_used ? HAS_USED : 0;

    for (unsigned i = 0; i < ENERGIES; i++)
        flags = (uint8_t)(flags | (h->known[i] ? 1u << i : 0u));
    memset(out, 0, RECORD);
    hx_wr_u8(&w, 'R');
    hx_wr_u8(&w, flags);
    hx_wr_be16(&w, (uint16_t)h->quality);
    put_u64(&w, n);
    put_u64(&w, (uint64_t)h->start_utc_s);
    for (unsigned i = 0; i < ENERGIES; i++)
        put_u64(&w, (uint64_t)h->total_wh[i]);
    for (unsigned i = 0; i < ENERGIES; i++)
        put_u64(&w, (uint64_t)h->used_wh[i]);
    hx_wr_be32(&w, h->scale);
    hx_wr_be32(&w, meter);
    hx_wr_be32(&w, crc32_of(out, RECORD - 4u));
    HX_ASSERT(w.len == RECORD);
}

static enum hx_err parse_record(const uint8_t in[RECORD], uint64_t n, struct hx_hour *out,
                                uint32_t *meter)
{
    struct hx_rd r = {.left = {in, RECORD}};
    struct hx_hour h = {0};
    uint8_t kind = hx_rd_u8(&r), flags = hx_rd_u8(&r);
    uint16_t quality = hx_rd_be16(&r);

    if (!is_intact(in, RECORD) || kind != 'R' || quality > HX_HELD || get_u64(&r) != n)
        return HX_E_FCS;
    h.quality = (enum hx_quality)quality;
    h.has_used = (flags & HAS_USED) != 0;
    h.start_utc_s = (int64_t)get_u64(&r);
    for (unsigned i = 0; i < ENERGIES; i++) {
        h.known[i] = (flags & 1u << i) != 0;
        h.total_wh[i] = (int64_t)get_u64(&r);
    }
    for (unsigned i = 0; i < ENERGIES; i++)
        h.used_wh[i] = (int64_t)get_u64(&r);
    h.scale = hx_rd_be32(&r);
    *meter = hx_rd_be32(&r);
    *out = h;
    return HX_OK;
}

/* ---- the mark ------------------------------------------------------------------------------ */

struct mark {
    uint64_t generation, base, delivered;
};

static void format_mark(const struct mark *m, uint8_t out[MARK_LEN])
{
    struct hx_wr w = {.ptr = out, .cap = MARK_LEN};

    hx_wr_str(&w, MAGIC);
    hx_wr_be32(&w, FILE_VERSION);
    put_u64(&w, m->generation);
    put_u64(&w, m->base);
    put_u64(&w, m->delivered);
    hx_wr_be32(&w, crc32_of(out, MARK_LEN - 4u));
}

static bool parse_mark(const uint8_t in[MARK_LEN], struct mark *out)
{
    struct hx_rd r = {.left = {in, MARK_LEN}};
    struct hx_span magic = hx_rd_take(&r, sizeof MAGIC - 1u);

    if (!is_intact(in, MARK_LEN) || memcmp(magic.ptr, MAGIC, sizeof MAGIC - 1u) != 0 ||
        hx_rd_be32(&r) != FILE_VERSION)
        return false;
    out->generation = get_u64(&r);
    out->base = get_u64(&r);
    out->delivered = get_u64(&r);
    return out->generation <= NUMBER_MAX && out->delivered <= NUMBER_MAX &&
           out->delivered >= out->base;
}

static int write_at(int fd, const uint8_t *p, size_t n, off_t at)
{
    while (n != 0) {
        ssize_t done = pwrite(fd, p, n, at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        p += done;
        n -= (size_t)done;
        at += done;
    }
    return 0;
}

static bool read_at(int fd, uint8_t *p, size_t n, off_t at)
{
    return pread(fd, p, n, at) == (ssize_t)n; /* a regular file gives all it has */
}

static int write_mark(int fd, const struct mark *m)
{
    uint8_t octets[MARK_LEN];

    format_mark(m, octets);
    return write_at(fd, octets, sizeof octets, m->generation % 2u == 0 ? 0 : MARK_AT);
}

static bool read_mark(int fd, struct mark *out)
{
    uint8_t octets[MARK_LEN];
    struct mark m;
    bool found = false;

    for (off_t at = 0; at <= MARK_AT; at += MARK_AT) {
        if (!read_at(fd, octets, sizeof octets, at) || !parse_mark(octets, &m))
            continue;
        if (!found || m.generation > out->generation)
            *out = m;
        found = true;
    }
    return found;
}

static off_t place(uint64_t base, uint64_t n)
{
    return RECORDS_AT + (off_t)((n - base) * RECORD);
}

static enum hx_err read_record(const struct hx_backlog *b, uint64_t n, struct hx_hour *out,
                               uint32_t *meter)
{
    uint8_t octets[RECORD];

    if (b->fd < 0 || n < b->base || !read_at(b->fd, octets, sizeof octets, place(b->base, n)))
        return HX_E_FCS;
    return parse_record(octets, n, out, meter);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void tell_disk(struct hx_backlog *b, bool ok)
{
    if (!ok && !b->failing)
        hx_log(HX_LOG_WARNING,
               "cannot keep hourly readings in the state folder: %s; the newest %u stay in memory",
               strerror(errno), HX_BACKLOG_UNSAVED);
    if (ok && b->failing)
        hx_log(HX_LOG_NOTICE, "hourly readings are kept in the state folder again");
    b->failing = !ok;
}

/* A new file under its own name: made whole beside it, then renamed over it. */
static enum hx_err create(struct hx_backlog *b, uint64_t base)
{
    struct mark m = {.generation = b->generation + 1u, .base = base, .delivered = b->delivered};
    uint8_t octets[RECORD];
    struct hx_hour h;
    uint32_t meter;
    enum hx_err swapped = HX_E_IO;
    bool ok;
    int fd;

    (void)file_wipe(b->dir_fd, HX_BACKLOG_TEMP); /* a power cut's; mostly there is none */
    fd = openat(b->dir_fd, HX_BACKLOG_TEMP, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                0600);
    ok = fd >= 0 && write_mark(fd, &m) == 0;

    for (uint64_t n = base; ok && n < b->saved; n++) {
        memset(octets, 0, sizeof octets); /* what is damaged stays so: no checksum fits */
        if (read_record(b, n, &h, &meter) == HX_OK)
            format_record(&h, meter, n, octets);
        ok = write_at(fd, octets, sizeof octets, place(base, n)) == 0;
    }
    if (ok && fsync(fd) == 0)
        swapped = file_swap(b->dir_fd, HX_BACKLOG_TEMP, HX_BACKLOG_FILE);
    if (swapped == HX_E_IO) {
        int err = errno;

        if (fd >= 0)
            (void)close(fd);                         /* not wanted */
        (void)file_wipe(b->dir_fd, HX_BACKLOG_TEMP); /* or overwritten next time */
        errno = err;
        return HX_E_IO;
    }
    if (b->fd >= 0)
        (void)close(b->fd); /* the old file: synced when written */
    b->fd = fd;
    b->base = base;
    b->generation = m.generation;
    b->mark_due = false;
    return swapped == HX_OK ? HX_OK : HX_E_IO;
}

/* A file that is there and cannot be used is not overwritten. Synced before another takes its name:
 * else a power cut may lose it. @return HX_OK; HX_E_IO with errno set: it is still there. */
static enum hx_err move_away(const struct hx_backlog *b)
{
    file_scrub(b->dir_fd, HX_BACKLOG_BAD); /* one from before: there is room for one */
    if (renameat(b->dir_fd, HX_BACKLOG_FILE, b->dir_fd, HX_BACKLOG_BAD) != 0)
        return errno == ENOENT ? HX_OK : HX_E_IO;
    hx_log(HX_LOG_WARNING,
           "the file '" HX_BACKLOG_FILE "' in the state folder cannot be read, is damaged or not "
           "ours: kept as '" HX_BACKLOG_BAD "', begun anew");
    return fsync(b->dir_fd) == 0 ? HX_OK : HX_E_IO;
}

static void set_aside(struct hx_backlog *b)
{
    (void)close(b->fd); /* only read */
    b->fd = -1;
    if (move_away(b) != HX_OK)
        tell_disk(b, false);
}

/* Records that a power cut tore are at the end: cut them off. Damaged ones before stay in place
 * and are passed over when their turn comes. */
static void find_end(struct hx_backlog *b, off_t size)
{
    uint64_t count = size > RECORDS_AT ? (uint64_t)(size - RECORDS_AT) / RECORD : 0;
    off_t end;

    b->saved = b->end = b->base + count;
    while (b->saved > b->base &&
           read_record(b, b->saved - 1u, &b->newest, &b->newest_meter) != HX_OK)
        b->end = --b->saved;
    b->has_newest = b->saved > b->base;
    end = place(b->base, b->saved);
    if (size > end && ftruncate(b->fd, end) != 0)
        hx_log(HX_LOG_WARNING, "cannot cut off a torn hourly reading: %s", strerror(errno));
    if (b->delivered > b->end) { /* the mark was written, the readings it counts were not: */
        b->delivered = b->end;   /* the next ones get their numbers, and are not delivered */
        b->mark_due = true;
    }
}

static void load(struct hx_backlog *b)
{
    struct mark m;
    struct stat st;

    if (fstat(b->fd, &st) != 0 || !S_ISREG(st.st_mode) || !read_mark(b->fd, &m)) {
        set_aside(b);
        return;
    }
    b->generation = m.generation;
    b->base = m.base;
    b->delivered = m.delivered;
    find_end(b, st.st_size);
}

static enum hx_err flush(struct hx_backlog *b);

static void open_file(struct hx_backlog *b)
{
    b->fd = openat(b->dir_fd, HX_BACKLOG_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (b->fd < 0 && errno != ENOENT) {
        tell_disk(b, false);
        return;
    }
    if (b->fd >= 0)
        load(b);
    if (b->fd >= 0)
        tell_disk(b, !b->mark_due || flush(b) == HX_OK); /* a mark that was too high */
    else if (!b->failing)
        tell_disk(b, create(b, b->end) == HX_OK);
}

void hx_backlog_open(struct hx_backlog *b, int dir_fd)
{
    memset(b, 0, sizeof *b);
    b->dir_fd = dir_fd;
    open_file(b);
}

/* ---- readings ------------------------------------------------------------------------------ */

static bool is_same(const struct hx_hour *a, const struct hx_hour *b)
{
    return a->start_utc_s == b->start_utc_s && memcmp(a->known, b->known, sizeof a->known) == 0 &&
           memcmp(a->total_wh, b->total_wh, sizeof a->total_wh) == 0;
}

static enum hx_err save(struct hx_backlog *b)
{
    uint8_t octets[RECORD];
    uint64_t n = b->saved;

    for (; n < b->end; n++) {
        format_record(&b->unsaved[n % HX_BACKLOG_UNSAVED], b->unsaved_meter[n % HX_BACKLOG_UNSAVED],
                      n, octets);
        if (write_at(b->fd, octets, sizeof octets, place(b->base, n)) != 0)
            return HX_E_IO;
    }
    if (fdatasync(b->fd) != 0)
        return HX_E_IO;
    b->saved = b->end;
    return HX_OK;
}

/* Everything that memory is ahead of the disk. */
static enum hx_err flush(struct hx_backlog *b)
{
    struct mark m;

    if (b->fd < 0 && (move_away(b) != HX_OK || create(b, b->saved) != HX_OK))
        return HX_E_IO;
    if (b->saved < b->end && save(b) != HX_OK)
        return HX_E_IO;
    if (!b->mark_due)
        return HX_OK;
    m = (struct mark){b->generation + 1u, b->base, b->delivered};
    if (write_mark(b->fd, &m) != 0 || fdatasync(b->fd) != 0)
        return HX_E_IO;
    b->generation = m.generation;
    b->mark_due = false;
    return HX_OK;
}

/* Bounds: what is too old goes, and a file of mostly delivered records is written anew. */
static void bound(struct hx_backlog *b)
{
    uint64_t keep = b->delivered > b->base ? b->delivered - 1u : b->base;

    if (b->fd >= 0 && keep - b->base >= HX_BACKLOG_COMPACT)
        (void)create(b, keep); /* refused: the old file goes on, next time again */
}

static void give_up_old(struct hx_backlog *b)
{
    uint64_t old = b->delivered;

    if (b->end - b->delivered > HX_BACKLOG_KEEP)
        b->delivered = b->end - HX_BACKLOG_KEEP;
    if (b->end - b->saved > HX_BACKLOG_UNSAVED) { /* the slot of the oldest is taken */
        b->saved++;
        if (b->delivered < b->saved && b->fd < 0)
            b->delivered = b->saved;
    }
    if (b->delivered == old)
        return;
    b->lost += b->delivered - old;
    b->mark_due = true;
}

enum hx_err hx_backlog_append(struct hx_backlog *b, const struct hx_hour *h, uint32_t meter)
{
    if (b->has_newest && b->newest_meter == meter && is_same(&b->newest, h))
        return HX_MORE;
    b->unsaved[b->end % HX_BACKLOG_UNSAVED] = *h;
    b->unsaved_meter[b->end % HX_BACKLOG_UNSAVED] = meter;
    b->end++;
    b->newest = *h;
    b->newest_meter = meter;
    b->has_newest = true;
    give_up_old(b);
    tell_disk(b, flush(b) == HX_OK);
    bound(b);
    return HX_OK;
}

void hx_backlog_retry(struct hx_backlog *b)
{
    if (b->fd < 0 && b->end == 0) /* nothing new in memory: the old file may be read by now */
        open_file(b);
    else if (b->fd < 0 || b->saved < b->end || b->mark_due)
        tell_disk(b, flush(b) == HX_OK);
}

enum hx_err hx_backlog_read(const struct hx_backlog *b, uint64_t n, struct hx_hour *out)
{
    uint32_t meter;

    if (n >= b->saved && n < b->end) {
        *out = b->unsaved[n % HX_BACKLOG_UNSAVED];
        return HX_OK;
    }
    return read_record(b, n, out, &meter);
}

enum hx_err hx_backlog_mark(struct hx_backlog *b, uint64_t n)
{
    enum hx_err err;

    HX_ASSERT(n >= b->delivered && n <= b->end);
    b->delivered = n;
    b->mark_due = true;
    err = flush(b);
    tell_disk(b, err == HX_OK);
    bound(b);
    return err;
}

const struct hx_hour *hx_backlog_newest(const struct hx_backlog *b, uint32_t meter)
{
    return b->has_newest && b->newest_meter == meter ? &b->newest : NULL;
}

uint64_t hx_backlog_waiting(const struct hx_backlog *b)
{
    return b->end - b->delivered;
}

void hx_backlog_close(struct hx_backlog *b)
{
    if (b->fd >= 0)
        (void)close(b->fd); /* synced when written */
    b->fd = -1;
}
