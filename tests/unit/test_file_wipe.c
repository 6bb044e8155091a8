/* test_file_wipe.c - what is replaced or removed is overwritten: seen through a descriptor that was
 * opened before. The disk below: tests/e2e/test_reset_disk.py. */
#include "check.h"

#include "file_replace.h"
#include "file_text.h"
#include "file_wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD "the old contents"
#define NEW "new ones"

static char root[32];
static int folder;

static int set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/test_wipe.XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    folder = open(root, O_RDONLY | O_DIRECTORY);
    return folder >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[64];

    (void)state;
    close(folder);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* @return a descriptor to look through later. */
static int put(const char *name, const char *text)
{
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void check_is(int fd, const char *text)
{
    char got[64] = "";

    assert_int_equal(pread(fd, got, sizeof got, 0), strlen(text));
    assert_memory_equal(got, text, strlen(text));
    close(fd);
}

static void check_is_zeros(int fd, size_t len)
{
    char got[64], zeros[64] = "";

    assert_int_equal(pread(fd, got, sizeof got, 0), len);
    assert_memory_equal(got, zeros, len);
    close(fd);
}

static void check_named(const char *name, const char *text)
{
    int fd = openat(folder, name, O_RDONLY);

    assert_true(fd >= 0);
    check_is(fd, text);
}

static bool exists(const char *name)
{
    return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_wipe(void **state)
{
    int fd = put("a", OLD);

    (void)state;
    assert_int_equal(file_wipe(folder, "a"), 0);
    assert_false(exists("a"));
    check_is_zeros(fd, strlen(OLD));
    assert_int_equal(file_wipe(folder, "a"), -1);
    assert_int_equal(errno, ENOENT);
}

static void test_wipe_spares_other_names(void **state)
{
    int fd = put("a", OLD);

    (void)state;
    assert_int_equal(linkat(folder, "a", folder, "copy", 0), 0);
    assert_int_equal(symlinkat("copy", folder, "link"), 0);
    assert_int_equal(file_wipe(folder, "link"), 0);
    assert_int_equal(file_wipe(folder, "a"), 0);
    assert_false(exists("a") || exists("link"));
    check_named("copy", OLD);
    close(fd);
}

static void test_swap(void **state)
{
    int old = put("a", OLD);

    (void)state;
    close(put("a.tmp", NEW));
    assert_int_equal(file_swap(folder, "a.tmp", "a"), HX_OK);
    check_named("a", NEW);
    assert_false(exists("a.tmp"));
    check_is_zeros(old, strlen(OLD));
}

static void test_swap_for_the_first_time(void **state)
{
    (void)state;
    close(put("a.tmp", NEW));
    assert_int_equal(file_swap(folder, "a.tmp", "a"), HX_OK);
    check_named("a", NEW);
    assert_false(exists("a.tmp"));
}

static void test_swap_spares_somebodys_copy(void **state)
{
    int old = put("a", OLD);

    (void)state;
    assert_int_equal(linkat(folder, "a", folder, "copy", 0), 0);
    close(put("a.tmp", NEW));
    assert_int_equal(file_swap(folder, "a.tmp", "a"), HX_OK);
    check_named("a", NEW);
    check_named("copy", OLD);
    check_is(old, OLD);
}

static void test_swap_that_cannot_be(void **state)
{
    int old = put("a", OLD);

    (void)state;
    assert_int_equal(file_swap(folder, "nothing", "a"), HX_E_IO);
    assert_int_equal(errno, ENOENT);
    check_named("a", OLD);
    check_is(old, OLD);
}

static void test_replace(void **state)
{
    char path[64];
    int old = put("a", OLD);

    (void)state;
    snprintf(path, sizeof path, "%s/a", root);
    assert_int_equal(file_replace(path, (struct hx_span){(const uint8_t *)NEW, strlen(NEW)}, 0600),
                     HX_OK);
    check_named("a", NEW);
    check_is_zeros(old, strlen(OLD));
}

/* --- a reader beside a writer --- */

static atomic_bool stop;

static void *write_on(void *arg)
{
    const struct hx_span old = {(const uint8_t *)OLD, strlen(OLD)};

    while (!stop)
        if (file_replace(arg, old, 0600) != HX_OK)
            return NULL;
    return arg;
}

/* The reader sees whole files, and never the zeros over an old one. */
static void test_reading_while_it_is_replaced(void **state)
{
    char path[64];
    pthread_t writer;
    void *result;

    (void)state;
    snprintf(path, sizeof path, "%s/a", root);
    close(put("a", OLD));
    stop = false;
    assert_int_equal(pthread_create(&writer, NULL, write_on, path), 0);
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t *memory = NULL;
        struct hx_span text = {NULL, 0};

        assert_true(file_text_read(path, 100, &memory, &text));
        assert_int_equal(text.len, strlen(OLD));
        assert_memory_equal(text.ptr, OLD, text.len);
        free(memory);
    }
    stop = true;
    assert_int_equal(pthread_join(writer, &result), 0);
    assert_ptr_equal(result, path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_wipe),
        TEST(test_wipe_spares_other_names),
        TEST(test_swap),
        TEST(test_swap_for_the_first_time),
        TEST(test_swap_spares_somebodys_copy),
        TEST(test_swap_that_cannot_be),
        TEST(test_replace),
        TEST(test_reading_while_it_is_replaced),
    };
    return cmocka_run_group_tests_name("file_wipe", tests, NULL, NULL);
}
