/* fuzz_audit.c - any files as the log of events. First octet: how long the older file is, in 256ths
 * of the rest; then an address and words that come in, each behind its length. What must hold for
 * any input:
 *   - the answer of the API is JSON, with no more entries than asked for, newest first;
 *   - an event that is recorded is the newest entry from then on, in the same words but for control
 *     characters, also after the files are opened anew;
 *   - the files stay bounded. */
#include "fuzz.h"

#include "web_audit.h"

#include <jansson.h>

#define INPUT_MAX 16384u

static int dir_fd = -1;

static json_t *answer(const struct hx_web_audit *a, unsigned count)
{
    struct hx_web_out o = {.ptr = NULL};
    json_t *json, *entries;

    hx_audit_json(a, count, &o);
    REQUIRE(!o.failed);
    json = json_loadb(o.ptr, o.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    hx_web_out_free(&o);
    entries = json_object_get(json, "entries");
    REQUIRE(json_is_array(entries) && json_array_size(entries) <= count);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *e = json_array_get(entries, i);

        REQUIRE(json_is_integer(json_object_get(e, "number")));
        REQUIRE(json_is_string(json_object_get(e, "kind")));
        REQUIRE(json_is_string(json_object_get(e, "from")));
        REQUIRE(json_is_string(json_object_get(e, "text")));
    }
    return json;
}

/* What the entry shows of @p given: its characters, or '?' for those that could end a line. */
static void check_words(const char *shown, const char *given, size_t max)
{
    char want[HX_AUDIT_TEXT + 1u];
    size_t n = strnlen(given, max), plain = 0;

    memcpy(want, given, n);
    want[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        plain += (unsigned char)want[i] < 0x7F ? 1u : 0u;
        want[i] = (unsigned char)want[i] < 0x20 ? '?' : want[i];
    }
    if (plain == n) /* others: the writer's own target compares them */
        REQUIRE(strcmp(shown, want) == 0);
}

static void check_newest(const struct hx_web_audit *a, const char *from, const char *text)
{
    json_t *json = answer(a, 5);
    const json_t *e = json_array_get(json_object_get(json, "entries"), 0);

    REQUIRE(e != NULL && json_integer_value(json_object_get(e, "number")) == a->number);
    REQUIRE(strcmp(json_string_value(json_object_get(e, "kind")), "login_failed") == 0);
    check_words(json_string_value(json_object_get(e, "text")), text, HX_AUDIT_TEXT);
    check_words(json_string_value(json_object_get(e, "from")), from, 64);
    json_decref(json);
}

static void check_files(const char *from, const char *text)
{
    static struct hx_web_audit a;
    uint32_t before;

    hx_audit_open(&a, fuzz_folder());
    json_decref(answer(&a, 3));
    json_decref(answer(&a, UINT32_MAX));
    before = a.number;
    hx_audit_add(&a, HX_NOTE_LOGIN_FAILED, (int64_t)strlen(text) * 1000000000000, from, text);
    REQUIRE(a.number == (before < UINT32_MAX ? before + 1u : 1u) && a.lines <= HX_AUDIT_LINES);
    check_newest(&a, from, text);
    hx_audit_close(&a);
    hx_audit_open(&a, fuzz_folder());
    check_newest(&a, from, text);
    hx_audit_close(&a);
}

/* The reader takes room for the largest file each time: keep little of it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4";
}

/* No folder to write in, by a name that is missing or too long: nothing is kept, nothing breaks. */
static void check_no_folder(const char *from, const char *text)
{
    static char far_too_long[8192];
    static struct hx_web_audit a;
    json_t *json;

    memset(far_too_long, 'x', sizeof far_too_long - 1u);
    for (unsigned i = 0; i < 2; i++) {
        hx_audit_open(&a, i == 0 ? "/dev/null/x" : far_too_long);
        a.lines = HX_AUDIT_LINES;
        hx_audit_add(&a, HX_NOTE_START, 0, from, text);
        json = answer(&a, 3);
        REQUIRE(json_array_size(json_object_get(json, "entries")) == 0);
        json_decref(json);
        hx_audit_close(&a);
    }
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
    struct hx_span in = {data, size < INPUT_MAX ? size : INPUT_MAX};
    size_t share = fuzz_octet(&in);
    char *from = fuzz_text(fuzz_take(&in, fuzz_octet(&in)));
    char *text = fuzz_text(fuzz_take(&in, fuzz_octet(&in)));
    struct hx_span old = fuzz_take(&in, in.len * share / 256u);

    for (char *tab = from; (tab = strchr(tab, '\t')) != NULL;)
        *tab = ' '; /* an address has none */
    fuzz_put_file(dir_fd, "audit.1", old);
    fuzz_put_file(dir_fd, "audit", in);
    check_files(from, text);
    if (share == 255)
        check_no_folder(from, text);
    free(from);
    free(text);
    return 0;
}
