/* The certificate of HTTPS: made, kept, due for another; and a user's, without what is not meant
 * for others. */
#include "check.h"

#include "web_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW_S INT64_C(1790000000) /* 2026-09-21 */
#define DAY_S 86400

static char dir[] = "/tmp/han2x-tls-XXXXXX";
static const struct hx_web_names here = {
    .hostname = "box", .configured = "han2x", .addresses = 1, .address = {"192.0.2.7"}};

static const char *path(const char *name)
{
    static char text[2][128];
    static unsigned n;

    n ^= 1u;
    (void)snprintf(text[n], sizeof text[n], "%s/%s", dir, name);
    return text[n];
}

static void put_file(const char *name, const char *a, const char *b, const char *c)
{
    FILE *f = fopen(path(name), "we");

    assert_non_null(f);
    assert_true(fprintf(f, "%s%s%s", a, b, c) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const files[] = {"tls.key", "tls.crt", "both.pem"};

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(path(files[i])); /* not each test makes each of them */
    return rmdir(dir);
}

static void ours_is_due_before_its_end(void **state)
{
    static const struct {
        const char *name;
        int64_t days; /* from when it was made; it counts from the day before */
        int due;
    } rows[] = {
        {"at once", 0, 0},
        {"31 days before its end", HX_TLS_DAYS - 2 - HX_TLS_RENEW_DAYS, 0},
        {"30 days before its end", HX_TLS_DAYS - 1 - HX_TLS_RENEW_DAYS, 1},
        {"after its end", HX_TLS_DAYS, 1},
    };
    struct hx_web_tls t = {.key = NULL};
    struct hx_web_names other = here;

    (void)state;
    assert_int_equal(hx_web_tls_load(&t, "", "", dir, &here, NOW_S), HX_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(rows[i].name, hx_web_tls_is_due(&t, &here, NOW_S + rows[i].days * DAY_S),
                  rows[i].due);
    assert_false(hx_web_tls_is_due(&t, &here, 0)); /* no clock: nobody knows */
    (void)snprintf(other.address[0], sizeof other.address[0], "192.0.2.8");
    assert_true(hx_web_tls_is_due(&t, &other, NOW_S));
    hx_web_tls_free(&t);
    assert_false(hx_web_tls_is_due(&t, &here, NOW_S)); /* none: nothing to renew */
}

/* RFC 7468: one file may hold a key and any number of certificates, in any order. */
static void only_certificates_are_kept(void **state)
{
    struct hx_web_tls own = {.key = NULL}, t = {.key = NULL};
    const char *file;
    size_t n;

    (void)state;
    assert_int_equal(hx_web_tls_load(&own, "", "", dir, &here, NOW_S), HX_OK);
    n = strlen(own.cert);
    for (int i = 0; i < 4; i++) {
        char chain[8192];

        (void)snprintf(chain, sizeof chain, "%s%.*s", own.cert, (int)(n - 1), own.cert);
        put_file("both.pem",
                 i == 0   ? own.key
                 : i == 1 ? "a word before\n"
                          : "",
                 i < 3 ? own.cert : chain,
                 i == 2   ? own.key
                 : i == 1 ? "and after"
                          : "");
        file = path("both.pem");
        if (i == 0 || i == 2)
            assert_int_equal(hx_web_tls_load(&t, file, file, dir, NULL, 0), HX_OK);
        else
            assert_int_equal(hx_web_tls_load(&t, file, path("tls.key"), dir, NULL, 0), HX_OK);
        assert_string_equal(t.cert, i < 3 ? own.cert : chain);
        assert_non_null(strstr(t.key, "PRIVATE KEY"));
        assert_string_equal(t.sha256, own.sha256);
        assert_false(hx_web_tls_is_due(&t, &here, NOW_S + 5000 * (int64_t)DAY_S)); /* not ours */
        hx_web_tls_free(&t);
    }
    hx_web_tls_free(&own);
}

static void a_failure_leaves_nothing(void **state)
{
    struct hx_web_tls t = {.key = NULL};

    (void)state;
    put_file("both.pem", "no", " certificate", "\n");
    assert_int_equal(hx_web_tls_load(&t, path("both.pem"), path("both.pem"), dir, NULL, 0),
                     HX_E_IO);
    assert_null(t.key);
    assert_null(t.cert);
    assert_true(t.told);
    hx_web_tls_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_is_due_before_its_end),
        cmocka_unit_test(only_certificates_are_kept),
        cmocka_unit_test(a_failure_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
