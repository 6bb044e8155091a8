/* fuzz_backlog.c - any file of hourly readings. The input runs as it is, and once more with the
 * checksums of marks and records set right, so that what they guard is believed. First octet: how
 * the disk behaves and what is done. What must hold for any input:
 *   - no more is waiting than is there, each reading can be read or is passed over as damaged;
 *   - a reading that was taken in can be read back, before and after the file is opened again;
 *   - what was marked as delivered does not come back while the disk works;
 *   - the file stays bounded. */
#include "fuzz.h"

#include "backlog.h"

#include <signal.h>
#include <sys/resource.h>

#define INPUT_MAX 8192u
#define MARK_LEN 40u
#define RECORDS_AT 1024u
#define METER 7u

static int dir_fd = -1;

static uint32_t slow_crc32(const uint8_t *p, size_t n)
{
    uint32_t reg = UINT32_MAX;

    for (size_t i = 0; i < 8u * n; i++) {
        uint32_t bit = (uint32_t)(p[i / 8u] >> i % 8u & 1u) ^ (reg & 1u);

        reg = reg >> 1 ^ (bit != 0 ? 0xEDB88320u : 0);
    }
    return ~reg;
}

static void put_crc(uint8_t *p, size_t n)
{
    uint32_t crc = slow_crc32(p, n);

    for (unsigned i = 0; i < 4; i++)
        p[n + i] = (uint8_t)(crc >> (24u - 8u * i));
}

static void repair(uint8_t *p, size_t n)
{
    for (size_t at = 0; at <= 512 && at + MARK_LEN <= n; at += 512)
        put_crc(p + at, MARK_LEN - 4u);
    for (size_t at = RECORDS_AT; at + HX_BACKLOG_RECORD <= n; at += HX_BACKLOG_RECORD)
        put_crc(p + at, HX_BACKLOG_RECORD - 4u);
}

/* A disk that takes nothing beyond @p octets of a file. libFuzzer takes the signal for a finding.
 */
static void disk_takes(rlim_t octets)
{
    struct rlimit l;

    REQUIRE(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &l) == 0);
    l.rlim_cur = octets < l.rlim_max ? octets : l.rlim_max;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &l) == 0);
}

static struct hx_hour hour_of(uint64_t n)
{
    struct hx_hour h = {.start_utc_s = (int64_t)(1700000000u + 3600u * n),
                        .known = {true, false, true, true},
                        .total_wh = {(int64_t)n, 0, -1, INT64_MAX},
                        .has_used = n % 2u == 0,
                        .quality = HX_MEASURED,
                        .scale = 1000};
    return h;
}

static bool is_hour(const struct hx_hour *a, uint64_t n)
{
    struct hx_hour b = hour_of(n);

    return a->start_utc_s == b.start_utc_s && a->scale == b.scale && a->has_used == b.has_used &&
           a->quality == b.quality && memcmp(a->known, b.known, sizeof b.known) == 0 &&
           memcmp(a->total_wh, b.total_wh, sizeof b.total_wh) == 0;
}

/* @return how many of those that wait can be read. */
static uint64_t check_waiting(const struct hx_backlog *b)
{
    uint64_t good = 0, waiting = hx_backlog_waiting(b);

    REQUIRE(b->base <= b->delivered && b->delivered <= b->end && b->saved <= b->end);
    REQUIRE(b->base <= b->saved && b->end - b->saved <= HX_BACKLOG_UNSAVED);
    REQUIRE(waiting == b->end - b->delivered && waiting <= INPUT_MAX / HX_BACKLOG_RECORD + 1000u);
    for (uint64_t n = b->delivered; n != b->end; n++) {
        struct hx_hour h;
        enum hx_err err = hx_backlog_read(b, n, &h);

        REQUIRE(err == HX_OK || err == HX_E_FCS);
        REQUIRE(err != HX_OK || h.quality <= HX_HELD);
        good += err == HX_OK ? 1u : 0u;
    }
    return good;
}

static void append(struct hx_backlog *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct hx_hour h = hour_of(i), got;
        uint64_t n = b->end;
        enum hx_err err = hx_backlog_append(b, &h, METER);

        REQUIRE(err == HX_OK || (err == HX_MORE && b->end == n));
        if (err == HX_MORE)
            continue;
        REQUIRE(b->end == n + 1u && hx_backlog_read(b, n, &got) == HX_OK && is_hour(&got, i));
        REQUIRE(hx_backlog_newest(b, METER) != NULL && hx_backlog_newest(b, METER + 1u) == NULL);
        REQUIRE(hx_backlog_append(b, &h, METER) == HX_MORE);
    }
}

static void check_size(void)
{
    struct stat st;

    if (fstatat(dir_fd, HX_BACKLOG_FILE, &st, 0) == 0)
        REQUIRE(st.st_size <=
                (off_t)(INPUT_MAX + RECORDS_AT +
                        (HX_BACKLOG_KEEP + 2u * HX_BACKLOG_COMPACT + 600u) * HX_BACKLOG_RECORD));
}

/* Octet's bits: 0-1 what the disk takes, 2-3 how many readings come, 4 it works again, 5 delivered,
 * 6 only memory, 7 the file is a folder. */
static void live(struct hx_backlog *b, uint8_t how)
{
    static const rlim_t takes[4] = {RLIM_INFINITY, 0, 1100, 2000};
    static const unsigned counts[4] = {1, 3, 60, 900};
    uint64_t end, delivered, good;
    bool on_disk;

    disk_takes(takes[how & 3u]);
    append(b, counts[how >> 2 & 3u]);
    (void)check_waiting(b);
    if ((how & 32u) != 0)
        (void)hx_backlog_mark(b, b->delivered + hx_backlog_waiting(b) / 2u);
    if ((how & 16u) != 0)
        disk_takes(RLIM_INFINITY);
    hx_backlog_retry(b);
    end = b->end;
    delivered = b->delivered;
    good = check_waiting(b);
    disk_takes(RLIM_INFINITY);
    on_disk = b->fd >= 0 && b->saved == b->end && !b->mark_due;
    REQUIRE(on_disk || (how & 128u) != 0 || ((how & 16u) == 0 && (how & 67u) != 0));
    hx_backlog_close(b);
    if (!on_disk)
        return; /* what the disk did not take is gone with us */
    hx_backlog_open(b, dir_fd);
    REQUIRE(b->end == end && b->delivered == delivered && check_waiting(b) == good);
    hx_backlog_close(b);
}

static void check_file(struct hx_span file, uint8_t how)
{
    static struct hx_backlog b;

    (void)unlinkat(dir_fd, HX_BACKLOG_FILE, 0);
    (void)unlinkat(dir_fd, HX_BACKLOG_FILE, AT_REMOVEDIR);
    (void)unlinkat(dir_fd, HX_BACKLOG_BAD, 0);
    (void)unlinkat(dir_fd, HX_BACKLOG_BAD, AT_REMOVEDIR);
    if ((how & 128u) != 0)
        REQUIRE(mkdirat(dir_fd, HX_BACKLOG_FILE, 0700) == 0);
    else if (file.len > 0)
        fuzz_put_file(dir_fd, HX_BACKLOG_FILE, file);
    if ((how & 64u) != 0)
        disk_takes(0); /* from the beginning */
    hx_backlog_open(&b, dir_fd);
    (void)check_waiting(&b);
    live(&b, how);
    check_size();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    dir_fd = fuzz_open_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t copy[INPUT_MAX];
    struct hx_span in = {data, size};
    uint8_t how = fuzz_octet(&in);

    in = fuzz_take(&in, INPUT_MAX);
    check_file(in, how);
    if (in.len < MARK_LEN)
        return 0;
    memcpy(copy, in.ptr, in.len);
    repair(copy, in.len);
    check_file((struct hx_span){copy, in.len}, how);
    return 0;
}
