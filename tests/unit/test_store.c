/* test_store.c - the state file is whole, old or new, whatever goes wrong. Runs as any user. */
#include "check.h"

#include "saver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BAD HX_STORE_FILE HX_STORE_BAD

struct folder {
    char root[64], dir[96];
    struct hx_store store;
};

static int set_up(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    strcpy(f->root, "/tmp/test_store.XXXXXX");
    if (mkdtemp(f->root) == NULL)
        return -1;
    snprintf(f->dir, sizeof f->dir, "%s/a/b", f->root);
    *state = f;
    return hx_store_open(&f->store, f->dir) == HX_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct folder *f = *state;
    char command[128];

    hx_store_close(&f->store);
    snprintf(command, sizeof command, "rm -rf %s", f->root);
    if (system(command) != 0)
        return -1;
    free(f);
    return 0;
}

static struct hx_span span(const char *text)
{
    return (struct hx_span){(const uint8_t *)text, strlen(text)};
}

static void check_kept(const struct folder *f, const char *want)
{
    uint8_t got[64];
    size_t len = 0;

    assert_int_equal(hx_store_read(&f->store, HX_STORE_FIRST, got, sizeof got, &len), HX_OK);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(got, want, len);
}

/* @return files in the folder: leftovers would show. */
static unsigned count_files(const struct folder *f)
{
    char command[160];
    FILE *p;
    unsigned n = 0;

    snprintf(command, sizeof command, "ls -A %s | wc -l", f->dir);
    p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

static void put_file(const struct folder *f, const char *name, const char *text)
{
    char path[160];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void first_there_is_nothing(void **state)
{
    struct folder *f = *state;
    uint8_t got[8];
    size_t len = 77;

    assert_int_equal(hx_store_read(&f->store, HX_STORE_FIRST, got, sizeof got, &len), HX_MORE);
    assert_int_equal(len, 77);
    assert_int_equal(count_files(f), 0); /* trying the folder leaves nothing behind */
}

static void written_is_read(void **state)
{
    struct folder *f = *state;
    struct stat st;
    char path[160];

    assert_int_equal(hx_store_write(&f->store, span("one")), HX_OK);
    check_kept(f, "one");
    assert_int_equal(hx_store_write(&f->store, span("two, longer")), HX_OK);
    check_kept(f, "two, longer");
    assert_int_equal(hx_store_write(&f->store, span("")), HX_OK);
    check_kept(f, "");
    assert_int_equal(count_files(f), 2); /* it and its copy */
    snprintf(path, sizeof path, "%s/" HX_STORE_FILE, f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void larger_than_the_buffer(void **state)
{
    struct folder *f = *state;
    uint8_t got[4];
    size_t len = 77;

    put_file(f, HX_STORE_FILE, "1234");
    assert_int_equal(hx_store_read(&f->store, HX_STORE_FIRST, got, sizeof got, &len), HX_E_SPACE);
    assert_int_equal(len, 77);
}

static void set_aside(void **state)
{
    struct folder *f = *state;
    uint8_t got[8];
    size_t len;

    put_file(f, BAD, "older");
    put_file(f, HX_STORE_FILE, "rubbish");
    assert_int_equal(hx_store_set_aside(&f->store, HX_STORE_FIRST), HX_OK);
    assert_int_equal(hx_store_read(&f->store, HX_STORE_FIRST, got, sizeof got, &len), HX_MORE);
    assert_int_equal(rename(BAD, BAD), -1); /* not in the working folder */
    assert_int_equal(renameat(f->store.dir_fd, BAD, f->store.dir_fd, HX_STORE_FILE), 0);
    check_kept(f, "rubbish");
}

static bool load(const struct folder *f, struct hx_gateway *g)
{
    hx_gw_init(g, 0);
    return hx_saver_load(&f->store, g) == HX_OK;
}

/* A gateway's saved state in both files. @return its octets in @p text. */
static size_t save_gateway(const struct folder *f, uint8_t text[HX_GW_SAVED_MAX])
{
    static struct hx_gateway g;
    struct hx_wr w = {.ptr = text, .cap = HX_GW_SAVED_MAX};

    hx_gw_init(&g, 0);
    g.state.device_number = 70388;
    g.state.starts = 17;
    hx_gw_save(&g, &w);
    assert_int_equal(hx_store_write(&f->store, (struct hx_span){text, w.len}), HX_OK);
    return w.len;
}

/* Each octet of either file inverted, and either file cut at each length, and gone. */
static void one_damaged_file_costs_nothing(void **state)
{
    static const char *const files[] = {HX_STORE_FILE, HX_STORE_COPY};
    static struct hx_gateway g;
    struct folder *f = *state;
    uint8_t text[HX_GW_SAVED_MAX];
    size_t len = save_gateway(f, text);

    for (size_t i = 0; i < 2; i++) {
        for (size_t at = 0; at <= 2u * len; at++) {
            uint8_t bad[HX_GW_SAVED_MAX];
            size_t bad_len = at < len ? len : at - len;
            int fd = openat(f->store.dir_fd, files[i], O_WRONLY | O_CREAT | O_TRUNC, 0600);

            memcpy(bad, text, len);
            if (at < len)
                bad[at] ^= 0xFFu;
            assert_int_equal(write(fd, bad, bad_len), bad_len);
            close(fd);
            CHECK(files[i], load(f, &g));
            CHECK_INT(files[i], g.state.device_number, 70388);
            CHECK_INT(files[i], g.state.starts, 17);
        }
        assert_int_equal(unlinkat(f->store.dir_fd, files[i], 0), 0);
        CHECK(files[i], load(f, &g));
        (void)save_gateway(f, text);
    }
    assert_int_equal(unlinkat(f->store.dir_fd, HX_STORE_FILE, 0), 0);
    assert_int_equal(unlinkat(f->store.dir_fd, HX_STORE_COPY, 0), 0);
    assert_false(load(f, &g));
}

static void what_cannot_be_used_is_kept(void **state)
{
    static const char newer[] = "han2x-state 2\nsomething new\nend 0000\n";
    static struct hx_gateway g;
    struct folder *f = *state;

    put_file(f, HX_STORE_FILE, newer);
    put_file(f, HX_STORE_COPY, newer);
    assert_false(load(f, &g));
    (void)save_gateway(f, (uint8_t[HX_GW_SAVED_MAX]){0});
    assert_int_equal(count_files(f), 4);
    assert_int_equal(renameat(f->store.dir_fd, BAD, f->store.dir_fd, HX_STORE_FILE), 0);
    check_kept(f, newer);
}

/* A disk that takes no more, as a process may see it without being root: a file size limit. */
static void a_full_disk_keeps_what_was_saved(void **state)
{
    static struct hx_gateway g;
    struct folder *f = *state;
    uint8_t text[HX_GW_SAVED_MAX], longer[HX_GW_SAVED_MAX];
    size_t len = save_gateway(f, text);
    struct rlimit old, none;
    enum hx_err err;
    int why;

    memset(longer, 'x', sizeof longer);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = (struct rlimit){.rlim_cur = len, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    /* What needs no new room is taken. */
    assert_int_equal(hx_store_write(&f->store, (struct hx_span){text, len}), HX_OK);
    err = hx_store_write(&f->store, (struct hx_span){longer, sizeof longer});
    why = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(err, HX_E_IO);
    assert_int_equal(why, EFBIG);
    assert_true(load(f, &g)); /* from the copy */
    assert_int_equal(g.state.device_number, 70388);
    assert_int_equal(hx_store_write(&f->store, span("newer")), HX_OK); /* there is room again */
    check_kept(f, "newer");
}

static void a_folder_in_the_files_place(void **state)
{
    struct folder *f = *state;
    uint8_t got[8];
    size_t len;

    assert_int_equal(mkdirat(f->store.dir_fd, HX_STORE_FILE, 0700), 0);
    assert_int_equal(hx_store_read(&f->store, HX_STORE_FIRST, got, sizeof got, &len), HX_E_IO);
    assert_int_equal(errno, EISDIR);
    assert_int_equal(hx_store_write(&f->store, span("x")), HX_E_IO);
    assert_int_equal(count_files(f), 1); /* the copy was not touched */
    assert_int_equal(hx_store_set_aside(&f->store, HX_STORE_FIRST), HX_OK);
    assert_int_equal(hx_store_write(&f->store, span("x")), HX_OK);
    check_kept(f, "x");
}

static void a_folder_that_is_gone(void **state)
{
    struct folder *f = *state;

    assert_int_equal(rmdir(f->dir), 0);
    assert_int_equal(hx_store_write(&f->store, span("x")), HX_E_IO);
    assert_int_equal(errno, ENOENT);
}

static void one_gateway_a_folder(void **state)
{
    struct folder *f = *state;
    struct hx_store second;

    assert_int_equal(hx_store_open(&second, f->dir), HX_E_IO);
    assert_int_equal(second.dir_fd, -1);
    hx_store_close(&f->store);
    assert_int_equal(hx_store_open(&second, f->dir), HX_OK);
    hx_store_close(&second);
}

static void leftovers_of_a_power_cut_go(void **state)
{
    struct folder *f = *state;

    hx_store_close(&f->store);
    put_file(f, HX_STORE_FILE, "good");
    put_file(f, BAD, "kept");
    put_file(f, "state.tmp-0123456789abcdef", "half");
    put_file(f, "tls.key.tmp-aB3xY9", "half"); /* of file_replace */
    put_file(f, "network.tmp-000000", "half");
    put_file(f, "state.tmp-notes", "somebody's");
    assert_int_equal(hx_store_open(&f->store, f->dir), HX_OK);
    assert_int_equal(count_files(f), 3);
    check_kept(f, "good");
}

static void what_is_no_folder_is_refused(void **state)
{
    struct folder *f = *state;
    struct hx_store s;
    char path[200], too_long[PATH_MAX + 8];

    put_file(f, "file", "");
    snprintf(path, sizeof path, "%s/file", f->dir);
    assert_int_equal(hx_store_open(&s, path), HX_E_IO);
    snprintf(path, sizeof path, "%s/file/below", f->dir);
    assert_int_equal(hx_store_open(&s, path), HX_E_IO);
    assert_int_equal(hx_store_open(&s, ""), HX_E_IO);
    assert_int_equal(hx_store_open(&s, "/proc/no-folder-can-be-made-here"), HX_E_IO);
    memset(too_long, 'a', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    assert_int_equal(hx_store_open(&s, too_long), HX_E_IO);
}

static void which_folder(void **state)
{
    static const struct {
        const char *name, *option, *environment, *want;
    } cases[] = {
        {"neither", NULL, NULL, "/var/lib/han2x"},
        {"empty variable", NULL, "", "/var/lib/han2x"},
        {"variable", NULL, "/srv/han2x", "/srv/han2x"},
        {"first of several", NULL, "/srv/one:/srv/two", "/srv/one"},
        {"option wins", "here", "/srv/han2x", "here"},
        {"empty option is refused later", "", "/srv/han2x", ""},
    };
    char dir[PATH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].environment != NULL)
            setenv("STATE_DIRECTORY", cases[i].environment, 1);
        else
            unsetenv("STATE_DIRECTORY");
        hx_store_choose(cases[i].option, dir);
        if (strcmp(dir, cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].name, dir);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_there_is_nothing),
        TEST(written_is_read),
        TEST(larger_than_the_buffer),
        TEST(set_aside),
        TEST(one_damaged_file_costs_nothing),
        TEST(what_cannot_be_used_is_kept),
        TEST(a_full_disk_keeps_what_was_saved),
        TEST(a_folder_in_the_files_place),
        TEST(a_folder_that_is_gone),
        TEST(one_gateway_a_folder),
        TEST(leftovers_of_a_power_cut_go),
        TEST(what_is_no_folder_is_refused),
        cmocka_unit_test(which_folder),
    };

    signal(SIGXFSZ, SIG_IGN); /* write(2) then fails with EFBIG */
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
