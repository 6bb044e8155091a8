/* test_web_router.c - paths and methods; which files are pages. */
#include "check.h"

#include "web_assets.h"
#include "web_router.h"

static const struct hx_web_route table[] = {
    {"/a", HX_WEB_GET, 0, 0, NULL},
    {"/a", HX_WEB_DELETE, 0, 0, NULL},
    {"/a/b", HX_WEB_POST, HX_ROUTE_BODY, 10, NULL},
};

static void rows(void **state)
{
    static const struct {
        const char *path, *method;
        enum hx_web_found want;
        size_t row;
        const char *allow;
    } cases[] = {
        {"/a", "GET", HX_WEB_FOUND, 0, ""},
        {"/a", "HEAD", HX_WEB_FOUND, 0, ""},
        {"/a", "DELETE", HX_WEB_FOUND, 1, ""},
        {"/a/b", "POST", HX_WEB_FOUND, 2, ""},
        {"/a", "POST", HX_WEB_NO_METHOD, 0, "GET, HEAD, DELETE"},
        {"/a/b", "GET", HX_WEB_NO_METHOD, 0, "POST"},
        {"/a", "get", HX_WEB_NO_METHOD, 0, "GET, HEAD, DELETE"}, /* RFC 9110, 9.1: case counts */
        {"/a/", "GET", HX_WEB_NO_PATH, 0, ""},
        {"/", "GET", HX_WEB_NO_PATH, 0, ""},
        {"", "GET", HX_WEB_NO_PATH, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct hx_web_route *row = NULL;
        unsigned allow;
        char text[64];

        CHECK_INT(cases[i].path,
                  hx_web_route_find(table, 3, cases[i].path, cases[i].method, &row, &allow),
                  cases[i].want);
        if (cases[i].want == HX_WEB_FOUND)
            CHECK(cases[i].path, row == &table[cases[i].row]);
        if (cases[i].want == HX_WEB_FOUND)
            continue;
        hx_web_allow_text(allow, text);
        assert_string_equal(text, cases[i].allow);
    }
}

static void every_method_at_once(void **state)
{
    char text[64];

    (void)state;
    hx_web_allow_text(31, text);
    assert_string_equal(text, "GET, HEAD, POST, PUT, PATCH, DELETE");
}

static void pages(void **state)
{
    static const struct {
        const char *path;
        bool page;
    } cases[] = {
        {"/", true},        {"/index.html", true}, {"/settings", true}, {"/settings/mqtt", true},
        {"/../etc", false}, {"/x.txt", false},     {"//x", false},      {"/%2e%2e", false},
        {"/a b", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(cases[i].path, hx_web_asset_find(cases[i].path) != NULL, cases[i].page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows), cmocka_unit_test(every_method_at_once), cmocka_unit_test(pages)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
