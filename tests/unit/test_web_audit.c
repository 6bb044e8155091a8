/* test_web_audit.c - the log that survives restarts, power cuts and a full file. */
#include "check.h"

#include "web_audit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_CODE ",\"text_code\":null,\"text_values\":[]" /* words of no row of web_said.def */

static char dir[] = "/tmp/han2x-audit-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static void remove_files(void)
{
    static const char *const names[] = {"audit", "audit.1"};
    char path[64];

    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path); /* it may not be there */
    }
}

static int tear_down(void **state)
{
    (void)state;
    remove_files();
    return rmdir(dir);
}

static char *read_json(const struct hx_web_audit *a, unsigned count)
{
    struct hx_web_out o = {.ptr = NULL};

    hx_audit_json(a, count, &o);
    hx_web_put_span(&o, (struct hx_span){(const uint8_t *)"", 1});
    assert_false(o.failed);
    return o.ptr;
}

/* A damaged file may have any number: the next one is still taken for an entry after a restart. */
static void after_the_last_number(void **state)
{
    struct hx_web_audit a;
    char path[64], *json;
    int fd;

    (void)state;
    remove_files();
    (void)snprintf(path, sizeof path, "%s/audit", dir);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "4294967295\t0\tstart\t\tx\n", 22), 22);
    close(fd);
    hx_audit_open(&a, dir);
    hx_audit_add(&a, HX_NOTE_START, 0, "", "started");
    hx_audit_close(&a);
    hx_audit_open(&a, dir);
    hx_audit_add(&a, HX_NOTE_START, 0, "", "again");
    json = read_json(&a, 1);
    assert_string_equal(json, "{\"entries\":[{\"number\":2,\"time\":null,\"kind\":\"start\","
                              "\"from\":\"\",\"text\":\"again\"" NO_CODE "}]}");
    free(json);
    hx_audit_close(&a);
}

static void newest_first(void **state)
{
    struct hx_web_audit a;
    char *json;

    (void)state;
    remove_files();
    hx_audit_open(&a, dir);
    hx_audit_add(&a, HX_NOTE_START, 0, "", "logged out");
    hx_audit_add(&a, HX_NOTE_LOGIN_FAILED, INT64_C(1744538400123), "192.168.1.66", "tab\there\n");
    json = read_json(&a, 10);
    assert_string_equal(json, "{\"entries\":[{\"number\":2,\"time\":\"2025-04-13T10:00:00Z\","
                              "\"kind\":\"login_failed\",\"from\":\"192.168.1.66\","
                              "\"text\":\"tab?here?\"" NO_CODE
                              "},{\"number\":1,\"time\":null,\"kind\":\"start\","
                              "\"from\":\"\",\"text\":\"logged out\",\"text_code\":\"log.logout\","
                              "\"text_values\":[]}]}");
    free(json);
    json = read_json(&a, 1);
    assert_null(strstr(json, "logged out"));
    free(json);
    hx_audit_close(&a);
}

static void it_goes_on_after_a_cut(void **state)
{
    struct hx_web_audit a;
    char path[64], *json;
    int fd;

    (void)state;
    remove_files();
    hx_audit_open(&a, dir);
    hx_audit_add(&a, HX_NOTE_START, 0, "", "one");
    hx_audit_close(&a);
    (void)snprintf(path, sizeof path, "%s/audit", dir);
    fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "2\t17445", 7), 7); /* what a power cut leaves */
    assert_int_equal(close(fd), 0);
    hx_audit_open(&a, dir);
    hx_audit_add(&a, HX_NOTE_START, 0, "", "two");
    json = read_json(&a, 10);
    assert_non_null(strstr(json, "\"number\":2,\"time\":null,\"kind\":\"start\",\"from\":\"\","
                                 "\"text\":\"two\"" NO_CODE "},{\"number\":1"));
    free(json);
    hx_audit_close(&a);
}

static void a_thousand_are_kept(void **state)
{
    struct hx_web_audit a;
    char text[24], *json;
    unsigned entries = 0;
    struct stat st;

    (void)state;
    remove_files();
    hx_audit_open(&a, dir);
    for (int i = 1; i <= 3500; i++) {
        (void)snprintf(text, sizeof text, "entry %d.", i);
        hx_audit_add(&a, HX_NOTE_LOGIN, 0, "", text);
    }
    json = read_json(&a, 1000);
    for (const char *at = json; (at = strstr(at, "\"number\"")) != NULL; at++)
        entries++;
    assert_int_equal(entries, 1000);
    assert_non_null(strstr(json, "entry 3500."));
    assert_non_null(strstr(json, "entry 2501."));
    assert_null(strstr(json, "entry 2500."));
    free(json);
    (void)snprintf(text, sizeof text, "%s", "");
    assert_int_equal(fstat(a.fd, &st), 0);
    assert_true(st.st_size < 100000);
    hx_audit_close(&a);
    hx_audit_open(&a, dir);
    assert_int_equal(a.number, 3500);
    hx_audit_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_first), cmocka_unit_test(after_the_last_number),
        cmocka_unit_test(it_goes_on_after_a_cut), cmocka_unit_test(a_thousand_are_kept)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
