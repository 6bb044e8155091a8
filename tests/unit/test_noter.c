/* test_noter.c - notes get to the log by the worker, in order, and also when it ends. */
#include "check.h"

#include "noter.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/han2x-noter-XXXXXX";
static struct hx_noter n;

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    char path[64];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/audit", dir);
    return unlink(path) == 0 ? rmdir(dir) : -1;
}

static void expect(const char *texts)
{
    struct hx_web_audit a;
    struct hx_web_out o = {.ptr = NULL};
    char got[512] = "";

    hx_audit_open(&a, dir);
    hx_audit_json(&a, 100, &o);
    hx_audit_close(&a);
    assert_false(o.failed);
    hx_web_put(&o, "%c", '\0');
    for (const char *at = o.ptr; (at = strstr(at, "\"text\":\"")) != NULL;) {
        at += strlen("\"text\":\"");
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s ", (int)strcspn(at, "\""),
                       at);
    }
    hx_web_out_free(&o);
    assert_string_equal(got, texts);
}

static void in_order_and_to_the_end(void **state)
{
    struct event_base *base = event_base_new();
    struct hx_worker w;

    (void)state;
    assert_int_equal(hx_worker_open(&w, base), HX_OK);
    hx_noter_init(&n, &w, dir);
    hx_noter_add(&n, HX_NOTE_START, "", "one");
    for (unsigned i = 0; n.job.busy && i < 1000; i++)
        assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    expect("one ");
    hx_noter_add(&n, HX_NOTE_MODBUS_WRITE, "192.168.1.10", "two");
    hx_noter_add(&n, HX_NOTE_MODBUS_WRITE, "", "three"); /* waits for two */
    assert_true(hx_worker_close(&w, 5000));
    event_base_free(base);
    hx_noter_end(&n);
    expect("three two one "); /* newest first */
}

static void a_disk_that_hangs_costs_notes_only(void **state)
{
    (void)state;
    hx_noter_init(&n, NULL, dir);
    n.job.busy = true;
    for (unsigned i = 0; i < 3u * HX_NOTER; i++)
        hx_noter_add(&n, HX_NOTE_CLOCK, "", "again");
    assert_int_equal(n.count, HX_NOTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_to_the_end),
        cmocka_unit_test(a_disk_that_hangs_costs_notes_only),
    };

    return cmocka_run_group_tests_name("noter", tests, set_up, tear_down);
}
