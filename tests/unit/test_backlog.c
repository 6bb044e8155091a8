/* test_backlog.c - hourly readings on disk: what a power cut, a full disk or a stranger leaves. */
#include "check.h"

#include "backlog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORDS_AT 1024 /* backlog.h */
#define METER 7u

struct folder {
    char path[32];
    int fd;
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    memcpy(f->path, "/tmp/hx-backlog-XXXXXX", 23);
    if (mkdtemp(f->path) == NULL)
        return -1;
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY);
    *state = f;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    (void)unlinkat(f->fd, HX_BACKLOG_FILE, 0);
    (void)unlinkat(f->fd, HX_BACKLOG_FILE, AT_REMOVEDIR);
    (void)unlinkat(f->fd, HX_BACKLOG_BAD, 0);
    close(f->fd);
    rmdir(f->path);
    free(f);
    return 0;
}

/* The n-th hour of a made-up meter: every member differs from every other. */
static struct hx_hour hour(uint64_t n)
{
    int64_t k = (int64_t)n;
    struct hx_hour h = {
        .start_utc_s = 1700000000 + 3600 * k, .quality = HX_MEASURED, .scale = 1500};
    for (int i = 0; i < 4; i++) {
        h.known[i] = i != 2;
        h.total_wh[i] = INT64_C(1000000000000) * (i + 1) + k;
        h.used_wh[i] = -i - k;
    }
    h.has_used = n % 2 == 0;
    return h;
}

static void check_hour(const char *name, const struct hx_hour *got, uint64_t n)
{
    struct hx_hour want = hour(n);
    CHECK_INT(name, got->start_utc_s, want.start_utc_s);
    CHECK_INT(name, got->quality, want.quality);
    CHECK_INT(name, got->scale, want.scale);
    CHECK_INT(name, got->has_used, want.has_used);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(name, got->known[i], want.known[i]);
        CHECK_INT(name, got->total_wh[i], want.total_wh[i]);
        CHECK_INT(name, got->used_wh[i], want.used_wh[i]);
    }
}

static void append(struct hx_backlog *b, uint64_t first, uint64_t count)
{
    for (uint64_t n = first; n < first + count; n++) {
        struct hx_hour h = hour(n);
        CHECK_INT("append", hx_backlog_append(b, &h, METER), HX_OK);
    }
}

/* What waits is exactly the hours first … end - 1. */
static void check_waiting(const char *name, struct hx_backlog *b, uint64_t first, uint64_t end)
{
    struct hx_hour h;
    CHECK_INT(name, b->delivered, first);
    CHECK_INT(name, b->end, end);
    CHECK_INT(name, hx_backlog_waiting(b), end - first);
    for (uint64_t n = first; n < end; n++) {
        CHECK_INT(name, hx_backlog_read(b, n, &h), HX_OK);
        check_hour(name, &h, n);
    }
}

static void reopen(struct hx_backlog *b, const struct folder *f)
{
    hx_backlog_close(b);
    hx_backlog_open(b, f->fd);
}

static void keeps_across_restarts(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    hx_backlog_open(&b, f->fd);
    check_waiting("new", &b, 0, 0);
    assert_null(hx_backlog_newest(&b, METER));
    append(&b, 0, 3);
    reopen(&b, f);
    check_waiting("three", &b, 0, 3);
    check_hour("newest", hx_backlog_newest(&b, METER), 2);
    assert_null(hx_backlog_newest(&b, METER + 1u)); /* of another meter */
    CHECK_INT("mark", hx_backlog_mark(&b, 2), HX_OK);
    reopen(&b, f);
    check_waiting("one", &b, 2, 3);
    CHECK_INT("mark", hx_backlog_mark(&b, 3), HX_OK);
    reopen(&b, f);
    check_waiting("none", &b, 3, 3);
    check_hour("newest stays", hx_backlog_newest(&b, METER), 2);
    hx_backlog_close(&b);
}

static void same_reading_once(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    struct hx_hour h = hour(0);
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 1);
    CHECK_INT("again", hx_backlog_append(&b, &h, METER), HX_MORE);
    reopen(&b, f);
    CHECK_INT("after a restart", hx_backlog_append(&b, &h, METER), HX_MORE);
    CHECK_INT("other meter", hx_backlog_append(&b, &h, METER + 1u), HX_OK);
    h.total_wh[0]++;
    CHECK_INT("other total", hx_backlog_append(&b, &h, METER + 1u), HX_OK);
    CHECK_INT("count", hx_backlog_waiting(&b), 3);
    hx_backlog_close(&b);
}

/* The file cut after every octet of its last two records. */
static void torn_tail(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    for (off_t cut = RECORDS_AT + 96; cut <= RECORDS_AT + 3 * 96; cut++) {
        uint64_t whole = (uint64_t)(cut - RECORDS_AT) / 96u;
        int fd;
        (void)unlinkat(f->fd, HX_BACKLOG_FILE, 0);
        hx_backlog_open(&b, f->fd);
        append(&b, 0, 3);
        hx_backlog_close(&b);
        fd = openat(f->fd, HX_BACKLOG_FILE, O_RDWR);
        assert_int_equal(ftruncate(fd, cut), 0);
        close(fd);
        hx_backlog_open(&b, f->fd);
        check_waiting("cut", &b, 0, whole);
        append(&b, whole, 1);
        reopen(&b, f);
        check_waiting("and on", &b, 0, whole + 1u);
        hx_backlog_close(&b);
    }
}

static void flip(const struct folder *f, off_t at)
{
    uint8_t octet;
    int fd = openat(f->fd, HX_BACKLOG_FILE, O_RDWR);
    assert_int_equal(pread(fd, &octet, 1, at), 1);
    octet ^= 0x10;
    assert_int_equal(pwrite(fd, &octet, 1, at), 1);
    close(fd);
}

/* Any octet of the middle record: only that one is lost. */
static void damaged_record(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    struct hx_hour h;
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 3);
    for (off_t i = 0; i < 96; i++) {
        flip(f, RECORDS_AT + 96 + i);
        reopen(&b, f);
        CHECK_INT("waiting", hx_backlog_waiting(&b), 3);
        CHECK_INT("before", hx_backlog_read(&b, 0, &h), HX_OK);
        CHECK_INT("damaged", hx_backlog_read(&b, 1, &h), HX_E_FCS);
        CHECK_INT("behind", hx_backlog_read(&b, 2, &h), HX_OK);
        flip(f, RECORDS_AT + 96 + i);
    }
    hx_backlog_close(&b);
}

/* Records moved to another place carry another number. */
static void exchanged_records(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    uint8_t one[96];
    struct hx_hour h;
    int fd;
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 3);
    fd = openat(f->fd, HX_BACKLOG_FILE, O_RDWR);
    assert_int_equal(pread(fd, one, 96, RECORDS_AT), 96);
    assert_int_equal(pwrite(fd, one, 96, RECORDS_AT + 96), 96);
    close(fd);
    reopen(&b, f);
    CHECK_INT("first", hx_backlog_read(&b, 0, &h), HX_OK);
    CHECK_INT("copy", hx_backlog_read(&b, 1, &h), HX_E_FCS);
    hx_backlog_close(&b);
}

/* A torn mark costs one step: the older one counts. Generations: 1 at creation (second place), 2
 * (first place), 3 (second place). */
static void damaged_mark(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 4);
    (void)hx_backlog_mark(&b, 1);
    (void)hx_backlog_mark(&b, 2);
    flip(f, 512 + 30);
    reopen(&b, f);
    check_waiting("newer mark torn", &b, 1, 4);
    flip(f, 512 + 30);
    flip(f, 30);
    reopen(&b, f);
    check_waiting("older mark torn", &b, 2, 4);
    flip(f, 512 + 30);
    reopen(&b, f);
    check_waiting("both torn: begun anew", &b, 0, 0);
    assert_int_equal(faccessat(f->fd, HX_BACKLOG_BAD, F_OK, 0), 0);
    hx_backlog_close(&b);
}

static void foreign_files(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    static const struct {
        const char *name, *text;
    } files[] = {{"empty", ""}, {"short", "han2xhrs"}, {"text", "this is no file of ours\n"}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        int fd = openat(f->fd, HX_BACKLOG_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        size_t len = strlen(files[i].text);
        assert_int_equal(write(fd, files[i].text, len), (ssize_t)len);
        close(fd);
        hx_backlog_open(&b, f->fd);
        check_waiting(files[i].name, &b, 0, 0);
        append(&b, 0, 1);
        reopen(&b, f);
        check_waiting(files[i].name, &b, 0, 1);
        hx_backlog_close(&b);
    }
}

/* Marks with a right checksum and numbers at the end of all numbers: not ours. */
static void numbers_that_would_wrap(void **state)
{
    static const char *const marks[] = {
        "68616E3278687273 00000001 0000000000000001 FFFFFFFFFFFFFFFF FFFFFFFFFFFFFFFF EC52EB75",
        "68616E3278687273 00000001 FFFFFFFFFFFFFFFF 0000000000000000 0000000000000000 14E8FCD4"};
    const struct folder *f = *state;
    static struct hx_backlog b;
    uint8_t octets[64];
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        int fd = openat(f->fd, HX_BACKLOG_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        size_t len = unhex(marks[i], octets);
        assert_int_equal(write(fd, octets, len), (ssize_t)len);
        close(fd);
        hx_backlog_open(&b, f->fd);
        check_waiting(marks[i], &b, 0, 0);
        append(&b, 0, 1);
        reopen(&b, f);
        check_waiting(marks[i], &b, 0, 1);
        hx_backlog_close(&b);
    }
}

/* A disk that lost what it said it had: readings that come after a mark which is too high are not
 * delivered because of it. */
static void mark_ahead_of_the_readings(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    int fd;
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 3);
    CHECK_INT("mark", hx_backlog_mark(&b, 3), HX_OK);
    hx_backlog_close(&b);
    fd = openat(f->fd, HX_BACKLOG_FILE, O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, 1024 + HX_BACKLOG_RECORD), 0);
    close(fd);
    hx_backlog_open(&b, f->fd);
    check_waiting("cut", &b, 1, 1);
    append(&b, 1, 1);
    reopen(&b, f);
    check_waiting("the next reading", &b, 1, 2);
    hx_backlog_close(&b);
}

static void month_is_kept_more_is_not(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 744); /* 31 days */
    check_waiting("31 days", &b, 0, 744);
    CHECK_INT("lost", b.lost, 0);
    append(&b, 744, 2);
    check_waiting("two more", &b, 2, 746);
    CHECK_INT("lost", b.lost, 2);
    reopen(&b, f);
    check_waiting("after a restart", &b, 2, 746);
    hx_backlog_close(&b);
}

static off_t file_size(const struct folder *f)
{
    struct stat st;
    assert_int_equal(fstatat(f->fd, HX_BACKLOG_FILE, &st, 0), 0);
    return st.st_size;
}

/* Years of hours: the file stays below what 31 days and the delivered ones before a rewrite need.
 */
static void file_does_not_grow(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    hx_backlog_open(&b, f->fd);
    for (uint64_t n = 0; n < 1200; n++) {
        append(&b, n, 1);
        CHECK_INT("mark", hx_backlog_mark(&b, n + 1u), HX_OK);
        assert_true(file_size(f) <= RECORDS_AT + 96 * (off_t)(HX_BACKLOG_COMPACT + 2u));
    }
    append(&b, 1200, 3);
    reopen(&b, f);
    check_waiting("after rewrites", &b, 1200, 1203);
    check_hour("newest", hx_backlog_newest(&b, METER), 1202);
    hx_backlog_close(&b);
}

/* A folder in the file's place that cannot be moved away: nothing can be written, memory serves. */
static void without_disk(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    assert_int_equal(mkdirat(f->fd, HX_BACKLOG_FILE, 0700), 0);
    assert_int_equal(mkdirat(f->fd, HX_BACKLOG_BAD, 0700), 0);
    assert_int_equal(mkdirat(f->fd, HX_BACKLOG_BAD "/x", 0700), 0);
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 48);
    check_waiting("as many as memory takes", &b, 0, 48);
    append(&b, 48, 2);
    check_waiting("the newest", &b, 2, 50);
    CHECK_INT("lost", b.lost, 2);
    CHECK_INT("mark", hx_backlog_mark(&b, 40), HX_E_IO);
    check_waiting("delivered all the same", &b, 40, 50);
    assert_int_equal(unlinkat(f->fd, HX_BACKLOG_FILE, AT_REMOVEDIR), 0);
    hx_backlog_retry(&b);
    reopen(&b, f);
    check_waiting("saved when the disk is back", &b, 40, 50);
    hx_backlog_close(&b);
}

/* Without a descriptor, say: the link stands for what cannot be opened today. */
static void cannot_be_opened_today(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 3);
    hx_backlog_close(&b);
    assert_int_equal(renameat(f->fd, HX_BACKLOG_FILE, f->fd, "elsewhere"), 0);
    assert_int_equal(symlinkat("elsewhere", f->fd, HX_BACKLOG_FILE), 0);
    hx_backlog_open(&b, f->fd);
    check_waiting("nothing in memory", &b, 0, 0);
    hx_backlog_retry(&b);
    check_waiting("still not", &b, 0, 0);
    assert_int_equal(renameat(f->fd, "elsewhere", f->fd, HX_BACKLOG_FILE), 0);
    hx_backlog_retry(&b);
    check_waiting("read a minute later", &b, 0, 3);
    hx_backlog_close(&b);
}

/* Readings came meanwhile: the old file makes room for them, and is not overwritten. */
static void cannot_be_opened_for_long(void **state)
{
    const struct folder *f = *state;
    static struct hx_backlog b;
    assert_int_equal(symlinkat("elsewhere", f->fd, HX_BACKLOG_FILE), 0);
    hx_backlog_open(&b, f->fd);
    append(&b, 0, 2);
    reopen(&b, f);
    check_waiting("kept", &b, 0, 2);
    assert_int_equal(faccessat(f->fd, HX_BACKLOG_BAD, F_OK, AT_SYMLINK_NOFOLLOW), 0);
    hx_backlog_close(&b);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        CASE(keeps_across_restarts),
        CASE(same_reading_once),
        CASE(torn_tail),
        CASE(damaged_record),
        CASE(exchanged_records),
        CASE(damaged_mark),
        CASE(foreign_files),
        CASE(mark_ahead_of_the_readings),
        CASE(numbers_that_would_wrap),
        CASE(month_is_kept_more_is_not),
        CASE(file_does_not_grow),
        CASE(without_disk),
        CASE(cannot_be_opened_today),
        CASE(cannot_be_opened_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
