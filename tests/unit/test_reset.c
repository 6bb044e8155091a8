/* test_reset.c - factory reset: all that was entered goes, nothing else, whenever the power fails.
 * Marked strings are planted in every setting and every state file; afterwards no file and no
 * freed block of the folder's files may hold one. */
#include "check.h"

#include "backlog.h"
#include "config.h"
#include "reset.h"
#include "store.h"

#include "hx/gateway.h"
#include "hx/settings.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET "MARKED-STRING"
#define STEPS_MAX 200u

static struct {
    char root[64], state[96], etc[96], conf[128];
} at;

static const struct hx_reset_keep keep = {.device_number = 70388, .starts = 17};

/* Files of the program, and files that are somebody else's. */
static const char *const ours[] = {"state",
                                   "state.copy",
                                   "state.bad",
                                   "state.copy.bad",
                                   "state.tmp-0123456789abcdef",
                                   "hours",
                                   "hours.bad",
                                   "hours.tmp",
                                   "audit",
                                   "audit.1",
                                   "tls.key",
                                   "tls.crt",
                                   "network",
                                   "history",
                                   "tls.key.tmp-aB3xY9",
                                   "network.request",
                                   "history.db",
                                   "reset.tmp-aB3xY9",
                                   "broker.pem" /* named by mqtt.client_key */};
static const char *const others[] = {"README", "notes.txt", "statement", "tlsx"};

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static bool exists(const char *folder, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* A settings file in which every free text holds the mark. */
static void plant_settings(void)
{
    FILE *f = fopen(at.conf, "w");

    assert_non_null(f);
    fprintf(f,
            "# " SECRET " in a comment\n[mqtt]\nenabled = yes\nurl = mqtt://" SECRET ".example\n"
            "topic = " SECRET "\nusername = " SECRET "\npassword = " SECRET "\n"
            "client_key = %s/broker.pem\nclient_cert = /etc/" SECRET ".crt\nca_file = /etc/" SECRET
            ".ca\nhomeassistant_prefix = " SECRET "\n"
            "[web]\nusername = " SECRET "\npassword_hash = $y$" SECRET "\nlisten = 127.0.0.1\n"
            "[network]\nmode = dhcp\naddress = 10.1.2.3/24\nhostname = " SECRET "\n"
            "[device]\nname = " SECRET "\nscale = 2000\n[io]\npower_led = " SECRET "\n"
            "han_led = " SECRET "\ntemperature = /" SECRET "\nreset_button = " SECRET ":1\n"
            "digital_input = " SECRET ":2\n[modbus_rtu]\ndevice = /dev/" SECRET "\n"
            "[meter]\nsource = serial:/dev/" SECRET "\n",
            at.state);
    assert_int_equal(fclose(f), 0);
}

static void check_planted_settings_are_good(void)
{
    struct config_source source = {.path = at.conf};
    static struct hx_settings s;
    FILE *complaints = tmpfile();

    assert_non_null(complaints);
    assert_int_equal(config_load(&source, complaints, &s), HX_OK);
    fclose(complaints);
}

static void plant(void)
{
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        put(at.state, ours[i], "some text " SECRET "\n");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        put(at.state, others[i], "somebody else's\n");
    put(at.etc, "han2x.conf.tmp-Zz09aa", SECRET); /* left by a power cut */
    put(at.etc, "han2x.conf.backup", "somebody else's\n");
    put(at.etc, "other.conf", "somebody else's\n");
    plant_settings();
}

static int set_up(void **state)
{
    (void)state;
    strcpy(at.root, "/tmp/test_reset.XXXXXX");
    if (mkdtemp(at.root) == NULL)
        return -1;
    snprintf(at.state, sizeof at.state, "%s/state", at.root);
    snprintf(at.etc, sizeof at.etc, "%s/etc", at.root);
    snprintf(at.conf, sizeof at.conf, "%s/han2x.conf", at.etc);
    if (mkdir(at.state, 0700) != 0 || mkdir(at.etc, 0700) != 0)
        return -1;
    plant();
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", at.root);
    return system(command) == 0 ? 0 : -1;
}

static unsigned count_marked(void)
{
    char command[160];
    unsigned n = 0;
    FILE *p;

    snprintf(command, sizeof command, "grep -rl " SECRET " %s | wc -l", at.root);
    p = popen(command, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

static void check_factory(const char *name)
{
    struct config_source source = {.path = at.conf};
    static struct hx_settings s, factory;
    static struct hx_gateway g;
    struct hx_store store = {.dir_fd = open(at.state, O_RDONLY | O_DIRECTORY)};
    uint8_t saved[HX_GW_SAVED_MAX + 1u];
    size_t len = 0;
    FILE *complaints = tmpfile();

    CHECK_INT(name, count_marked(), 0);
    CHECK(name, !exists(at.state, HX_RESET_MARK));
    for (size_t i = 2; i < sizeof ours / sizeof ours[0]; i++) /* the first two are written anew */
        CHECK(ours[i], !exists(at.state, ours[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK(others[i], exists(at.state, others[i]));
    CHECK(name, exists(at.etc, "han2x.conf.backup") && exists(at.etc, "other.conf"));
    CHECK(name, !exists(at.etc, "han2x.conf.tmp-Zz09aa"));
    hx_settings_init(&factory);
    CHECK_INT(name, config_load(&source, complaints, &s), HX_OK);
    CHECK(name, memcmp(&s, &factory, sizeof s) == 0);
    CHECK(name, strcmp(s.text[HX_S_NETWORK_ADDRESS], "192.168.1.232/24") == 0);
    CHECK_INT(name, s.num[HX_S_NETWORK_MODE], HX_NET_STATIC);
    hx_gw_init(&g, 0);
    CHECK_INT(name, hx_store_read(&store, HX_STORE_FIRST, saved, sizeof saved, &len), HX_OK);
    CHECK_INT(name, hx_gw_load(&g, (struct hx_span){saved, len}), HX_OK);
    CHECK_INT(name, g.state.device_number, 70388);
    CHECK_INT(name, g.state.starts, 17);
    CHECK_INT(name, g.state.scale, HX_SCALE_DEFAULT);
    fclose(complaints);
    close(store.dir_fd);
}

static void check_old(const char *name)
{
    CHECK(name, exists(at.state, "tls.key") && exists(at.state, "hours"));
    check_planted_settings_are_good();
    CHECK(name, count_marked() > 10);
}

static void request(void)
{
    char why[HX_RESET_WHY] = "";

    assert_int_equal(hx_reset_request(at.state, at.conf, &keep, why), HX_OK);
    assert_string_equal(why, "");
}

static void test_all_goes_and_nothing_else(void **state)
{
    (void)state;
    check_planted_settings_are_good();
    check_old("before");
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_MORE); /* not asked for */
    check_old("not asked for");
    request();
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_OK);
    check_factory("once");
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_MORE); /* once */
}

struct cut {
    unsigned steps, at;
};

static void count_step(void *ctx, const char *what)
{
    struct cut *c = ctx;

    (void)what;
    if (c->steps++ == c->at)
        _exit(99); /* the power fails */
}

/* @return exit code of a process that resets and dies before step number @p n. */
static int run_and_cut(unsigned n)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct cut c = {.at = n};
        struct hx_reset_watch watch = {count_step, &c};

        _exit(hx_reset_resume(at.state, at.conf, &watch) == HX_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Cut once at each step, then let it finish. */
static void test_cut_at_every_step(void **state)
{
    unsigned n = 0;
    int code = 99;

    (void)state;
    for (; code == 99 && n < STEPS_MAX; n++) {
        char name[32];

        snprintf(name, sizeof name, "cut at step %u", n);
        plant();
        request();
        code = run_and_cut(n);
        if (code != 99)
            break;
        if (exists(at.state, HX_RESET_MARK))
            CHECK_INT(name, hx_reset_resume(at.state, at.conf, NULL), HX_OK);
        check_factory(name);
    }
    assert_int_equal(code, 0);
    check_factory("not cut");
    assert_in_range(n, 2u * sizeof ours / sizeof ours[0],
                    STEPS_MAX); /* overwrite and remove each */
}

/* Cut at each step of each run: every start gets one step further at least. */
static void test_cut_again_and_again(void **state)
{
    unsigned runs = 0;
    int code = 99;

    (void)state;
    request();
    for (unsigned n = 1; code == 99 && runs < STEPS_MAX; runs++, n += runs % 3 == 0 ? 1 : 0)
        if ((code = run_and_cut(n)) == 99 && !exists(at.state, HX_RESET_MARK))
            code = 0; /* cut after the mark was gone */
    assert_int_equal(code, 0);
    check_factory("cut many times");
}

/* What was in the files is overwritten: seen through a descriptor opened before. */
static void test_contents_are_overwritten(void **state)
{
    static const char *const secret[] = {"tls.key", "hours", "broker.pem", "state", "audit.1"};
    int fd[6];
    char text[256];

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        char path[256];

        snprintf(path, sizeof path, "%s/%s", at.state, secret[i]);
        fd[i] = open(path, O_RDONLY);
        assert_true(fd[i] >= 0);
    }
    fd[5] = open(at.conf, O_RDONLY);
    request();
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_OK);
    for (size_t i = 0; i < 6; i++) {
        ssize_t n = read(fd[i], text, sizeof text);

        assert_true(n > 0);
        for (ssize_t k = 0; k < n; k++)
            assert_int_equal(text[k], 0);
        close(fd[i]);
    }
}

/* A file with another name elsewhere (a user's backup by hard link) is not ours to zero. */
static void test_hard_links_keep_their_contents(void **state)
{
    char from[256], to[256], text[64] = "";
    FILE *f;

    (void)state;
    snprintf(from, sizeof from, "%s/audit", at.state);
    snprintf(to, sizeof to, "%s/backup-of-audit", at.etc);
    assert_int_equal(link(from, to), 0);
    request();
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_OK);
    f = fopen(to, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    assert_string_equal(text, "some text " SECRET "\n");
    fclose(f);
}

static void test_a_package_says_what_factory_is(void **state)
{
    struct config_source source = {.path = at.conf};
    static struct hx_settings s;

    (void)state;
    put(at.etc, "han2x.conf.factory", "[network]\nmanage = yes\n[io]\nhan_led = han\n");
    request();
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_OK);
    assert_int_equal(config_load(&source, stderr, &s), HX_OK);
    assert_int_equal(s.num[HX_S_NETWORK_MANAGE], 1);
    assert_string_equal(s.text[HX_S_IO_HAN_LED], "han");
    assert_string_equal(s.text[HX_S_MQTT_PASSWORD], "");
    assert_int_equal(count_marked(), 0);
}

static void test_no_settings_file(void **state)
{
    (void)state;
    assert_int_equal(unlink(at.conf), 0);
    request();
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_OK);
    assert_false(exists(at.etc, "han2x.conf"));
    assert_false(exists(at.state, "tls.key"));
}

static void test_settings_that_cannot_be_read(void **state)
{
    struct config_source source = {.path = at.conf};
    static struct hx_settings s;

    (void)state;
    put(at.etc, "han2x.conf", "[mqtt\npassword = " SECRET "\n");
    request();
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_OK);
    assert_int_equal(config_load(&source, stderr, &s), HX_OK);
    assert_int_equal(count_marked(), 1); /* broker.pem: nothing that can be read names it */
    assert_false(exists(at.state, "tls.key"));
}

static void test_a_mark_made_by_hand(void **state)
{
    static struct hx_gateway g;
    struct hx_store store = {.dir_fd = open(at.state, O_RDONLY | O_DIRECTORY)};
    uint8_t saved[HX_GW_SAVED_MAX + 1u];
    size_t len = 0;

    (void)state;
    put(at.state, HX_RESET_MARK, "");
    assert_int_equal(hx_reset_resume(at.state, at.conf, NULL), HX_OK);
    hx_gw_init(&g, 0);
    assert_int_equal(hx_store_read(&store, HX_STORE_FIRST, saved, sizeof saved, &len), HX_OK);
    assert_int_equal(hx_gw_load(&g, (struct hx_span){saved, len}), HX_OK);
    assert_int_equal(g.state.device_number, 0); /* another is drawn */
    assert_int_equal(count_marked(), 0);
    close(store.dir_fd);
}

static void test_refused_when_it_cannot_be_done(void **state)
{
    char why[HX_RESET_WHY] = "";
    char missing[128];

    (void)state;
    snprintf(missing, sizeof missing, "%s/no-such-folder", at.root);
    assert_int_equal(hx_reset_request(missing, at.conf, &keep, why), HX_E_IO);
    assert_non_null(strstr(why, "no-such-folder/reset cannot be written: No such file"));
    check_old("refused");
    if (geteuid() == 0)
        return; /* root may write everything */
    assert_int_equal(chmod(at.conf, 0400), 0);
    assert_int_equal(chmod(at.etc, 0500), 0);
    assert_int_equal(hx_reset_request(at.state, at.conf, &keep, why), HX_E_IO);
    assert_non_null(strstr(why, "han2x.conf cannot be written"));
    assert_false(exists(at.state, HX_RESET_MARK));
    assert_int_equal(chmod(at.etc, 0700), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_goes_and_nothing_else),
        TEST(test_cut_at_every_step),
        TEST(test_cut_again_and_again),
        TEST(test_contents_are_overwritten),
        TEST(test_hard_links_keep_their_contents),
        TEST(test_a_package_says_what_factory_is),
        TEST(test_no_settings_file),
        TEST(test_settings_that_cannot_be_read),
        TEST(test_a_mark_made_by_hand),
        TEST(test_refused_when_it_cannot_be_done),
    };
    return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
