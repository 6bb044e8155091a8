/* test_tty.c - error marks in a tty's octets (termios(3), PARMRK), and ptys as lines. */
#include "check.h"

#include "tty.h"
#include "unmark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Octets as read; what they stand for, with ! after each octet that had an error. */
static const struct {
    const char *name, *in, *out;
} marks[] = {
    {"plain", "7E A0 27", "7E A0 27"},
    {"FF FF is FF", "01 FF FF 02", "01 FF 02"},
    {"FF 00 X is X with an error", "01 FF 00 55 02", "01 55! 02"},
    {"a break is 00 with an error", "FF 00 00", "00!"},
    {"a damaged FF", "FF 00 FF 01", "FF! 01"},
    {"two errors in a row", "FF 00 01 FF 00 02", "01! 02!"},
    {"FF, then an error", "FF FF FF 00 03", "FF 03!"},
    {"an FF that was not marked", "FF 80 00", "FF 80 00"},
    {"only 00", "00 00", "00 00"},
    {"nothing", "", ""},
};

static void put(char *text, uint8_t octet, bool error)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = strlen(text);

    if (n != 0)
        text[n++] = ' ';
    text[n++] = digits[octet >> 4];
    text[n++] = digits[octet & 15];
    if (error)
        text[n++] = '!';
    text[n] = '\0';
}

/* Give @p in in pieces of @p piece octets. */
static void unmark(const uint8_t *in, size_t len, size_t piece, char *text)
{
    struct hx_unmark u = {0};

    for (size_t at = 0; at < len; at += piece) {
        struct hx_span rest = {in + at, len - at < piece ? len - at : piece};

        while (rest.len != 0) {
            uint8_t out[64];
            size_t used, n;
            bool error = hx_unmark_next(&u, rest, &used, out, &n);

            for (size_t i = 0; i < n; i++)
                put(text, out[i], error && i == n - 1);
            rest = (struct hx_span){rest.ptr + used, rest.len - used};
        }
    }
}

static void marks_are_read_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        uint8_t in[64];
        size_t len = unhex(marks[i].in, in);

        for (size_t piece = 1; piece <= len; piece++) {
            char text[128] = "";

            unmark(in, len, piece, text);
            if (strcmp(text, marks[i].out) != 0)
                fail_msg("%s, in pieces of %zu: %s", marks[i].name, piece, text);
        }
    }
}

static void a_pty_is_a_line_without_parity(void **state)
{
    static const uint8_t sent[] = {0x00, 0x0A, 0x0D, 0x11, 0x13, 0x7E, 0x7F, 0xFF, 0x80};
    static const uint8_t want[] = {0x00, 0x0A, 0x0D, 0x11, 0x13, 0x7E, 0x7F, 0xFF, 0xFF, 0x80};
    const struct hx_line even = {.baud = 2400, .parity = HX_PARITY_EVEN, .stop_bits = 1};
    int master = posix_openpt(O_RDWR | O_NOCTTY), fd = -1, other = -1;
    uint8_t got[32];
    const char *path;

    (void)state;
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    path = ptsname(master);
    assert_int_equal(hx_tty_open(path, &even, &fd), HX_OK);
    assert_int_equal(write(master, sent, sizeof sent), sizeof sent);
    assert_int_equal(read(fd, got, sizeof got), sizeof want);
    assert_memory_equal(got, want, sizeof want); /* every octet as it is, FF doubled */
    assert_int_equal(read(fd, got, sizeof got), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(hx_tty_open(path, &even, &other), HX_E_IO);
    assert_int_equal(errno, EBUSY); /* locked: nobody takes half of the octets */
    close(master);
    assert_true(read(fd, got, sizeof got) <= 0 && errno != 0); /* hang-up shows */
    close(fd);
}

static void what_is_no_tty_is_refused(void **state)
{
    static const struct {
        const char *path;
        int err;
    } cases[] = {
        {"/dev/null", ENOTTY},
        {"/nonexistent/ttyUSB0", ENOENT},
        {"/", EISDIR},
    };
    const struct hx_line line = {.baud = 2400, .parity = HX_PARITY_NONE, .stop_bits = 1};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = -1;

        CHECK_INT(cases[i].path, hx_tty_open(cases[i].path, &line, &fd), HX_E_IO);
        CHECK_INT(cases[i].path, errno, cases[i].err);
        CHECK_INT(cases[i].path, fd, -1);
    }
}

static void names_of_one_device_are_the_same(void **state)
{
    char path[] = "/tmp/test_tty.XXXXXX", link[64];

    (void)state;
    assert_non_null(mkdtemp(path));
    snprintf(link, sizeof link, "%s/link", path);
    assert_int_equal(symlink("/dev/null", link), 0);
    assert_true(hx_tty_is_same(link, "/dev/null"));
    assert_false(hx_tty_is_same(link, "/dev/zero"));
    assert_true(hx_tty_is_same("/dev/not-there", "/dev/not-there"));
    assert_false(hx_tty_is_same("/dev/not-there", "/dev/null"));
    unlink(link);
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_read_however_they_are_cut),
        cmocka_unit_test(a_pty_is_a_line_without_parity),
        cmocka_unit_test(what_is_no_tty_is_refused),
        cmocka_unit_test(names_of_one_device_are_the_same),
    };
    return cmocka_run_group_tests_name("tty", tests, NULL, NULL);
}
