/* Settings from file, environment and command line: precedence, and errors that help. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

static struct hx_settings set;
static char folder[] = "/tmp/han2x-config-XXXXXX";
static char conf[64], secret[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(conf, sizeof conf, "%s/han2x.conf", folder);
    (void)snprintf(secret, sizeof secret, "%s/secret", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(conf); /* there or not */
    (void)unlink(secret);
    return rmdir(folder);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Loads from the file with this text; NULL: none is named. What was complained about is in said. */
static char said[4096];

static enum hx_err load(const char *text, char *const *environment, const char *const *overrides)
{
    struct config_source src;
    FILE *out = fmemopen(said, sizeof said, "w");
    enum hx_err err = HX_OK;
    assert_non_null(out);
    said[0] = '\0';
    config_source_init(&src);
    src.environment = environment;
    if (text != NULL) {
        write_file(conf, text);
        src.path = conf;
    }
    for (; overrides != NULL && *overrides != NULL && err == HX_OK; overrides++)
        err = config_override(&src, *overrides, out);
    if (err == HX_OK)
        err = config_load(&src, out, &set);
    (void)fclose(out);
    return err;
}

static char *no_environment[] = {NULL};

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(load("", no_environment, NULL), HX_OK);
    assert_int_equal(set.num[HX_S_MODBUS_TCP_PORT], 502);
    assert_string_equal(said, "");
}

static void test_precedence(void **state)
{
    static char port[] = "HAN2X_MODBUS_TCP_PORT=2002", qos[] = "HAN2X_MQTT_QOS=2";
    static char home[] = "HOME=/", program[] = "HAN2X=/usr/bin/han2x";
    static char *environment[] = {port, qos, home, program, NULL};
    static const char *const overrides[] = {"modbus_tcp.port=3003", " web.port = 8080 ", NULL};
    (void)state;
    assert_int_equal(
        load("[modbus_tcp]\nport = 1001\nunit = 7\n[mqtt]\nqos = 0\n", environment, overrides),
        HX_OK);
    assert_int_equal(set.num[HX_S_MODBUS_TCP_PORT], 3003); /* -s */
    assert_int_equal(set.num[HX_S_MQTT_QOS], 2);           /* environment */
    assert_int_equal(set.num[HX_S_MODBUS_TCP_UNIT], 7);    /* file */
    assert_int_equal(set.num[HX_S_WEB_PORT], 8080);
    assert_string_equal(said, "");
}

/* Complaints: the place, the key and what is allowed, in one line. */
static const struct {
    const char *file;     /* NULL: none */
    const char *variable; /* NULL: none */
    const char *override; /* NULL: none */
    const char *want[4];  /* all of them are in the complaint */
    const char *want_not; /* this is not */
} errors[] = {
    {"[modbus_tcp]\n\nport = 70000\n",
     NULL,
     NULL,
     {"han2x.conf:3: ", "modbus_tcp.port", "'70000'", "from 1 to 65535"},
     NULL},
    {"[modbus_tcp]\nprot = 502\n",
     NULL,
     NULL,
     {"han2x.conf:2: ", "modbus_tcp.prot", "did you mean modbus_tcp.port?"},
     NULL},
    {"[modbus_tcp]\ncolour = 502\n",
     NULL,
     NULL,
     {"han2x.conf:2: ", "modbus_tcp.colour", "allowed here: enabled listen port"},
     NULL},
    {"[netwrok]\n", NULL, NULL, {"han2x.conf:1: ", "[netwrok]", "did you mean [network]?"}, NULL},
    {"[zzz]\n", NULL, NULL, {"han2x.conf:1: ", "[zzz]", "[meter] [modbus_tcp]"}, NULL},
    {"port = 1\n", NULL, NULL, {"han2x.conf:1: ", "port", "before the first [section]"}, NULL},
    {"[web]\nwhat is this\n", NULL, NULL, {"han2x.conf:2: ", "KEY = VALUE"}, NULL},
    {"[web]\npassword_hash = hemmelig\n",
     NULL,
     NULL,
     {"han2x.conf:2: ", "web.password_hash", "crypt(5)"},
     "hemmelig"},
    {"[device]\nname = a\x1B[2Jb\n", NULL, NULL, {"device.name", "'a?[2Jb'"}, "\x1B"},
    {"[mqtt]\nenabled = yes\n", NULL, NULL, {"mqtt.enabled", "mqtt.url", "mqtts://HOST"}, NULL},
    {NULL, "HAN2X_WEB_PORT=x", NULL, {"HAN2X_WEB_PORT", "web.port", "0 to 65535"}, NULL},
    {NULL, NULL, "web.port=x", {"-s", "web.port", "0 to 65535"}, NULL},
    {NULL, NULL, "web.prt=80", {"-s", "web.prt", "did you mean web.port?"}, NULL},
    {NULL, NULL, "web.port", {"-s", "'web.port'", "section.key=value"}, NULL},
    {NULL, NULL, "port=80.1", {"-s", "section.key=value"}, NULL},
    {"[mqtt]\npassword_file = /nowhere/at/all\n",
     NULL,
     NULL,
     {"mqtt.password_file", "/nowhere/at/all", "No such file"},
     NULL},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        char variable[64];
        char *environment[] = {NULL, NULL};
        const char *overrides[] = {errors[i].override, NULL};
        char name[16];
        (void)snprintf(name, sizeof name, "row %zu", i);
        if (errors[i].variable != NULL) {
            (void)snprintf(variable, sizeof variable, "%s", errors[i].variable);
            environment[0] = variable;
        }
        memset(&set, 0x5A, sizeof set);
        const struct hx_settings untouched = set;
        enum hx_err err =
            load(errors[i].file != NULL ? errors[i].file : "", environment, overrides);
        CHECK(name, err == HX_E_VALUE || err == HX_E_IO);
        CHECK(name, memcmp(&set, &untouched, sizeof set) == 0);
        for (size_t w = 0; w < 4 && errors[i].want[w] != NULL; w++)
            if (strstr(said, errors[i].want[w]) == NULL)
                fail_msg("%s: no '%s' in: %s", name, errors[i].want[w], said);
        CHECK(name, errors[i].want_not == NULL || strstr(said, errors[i].want_not) == NULL);
        CHECK(name, strchr(said, '\n') == said + strlen(said) - 1);
    }
}

static void test_foreign_variable_is_a_warning(void **state)
{
    static char misspelt[] = "HAN2X_MODBUS_TCP_PROT=1";
    static char *environment[] = {misspelt, NULL};
    (void)state;
    assert_int_equal(load("", environment, NULL), HX_OK);
    assert_non_null(strstr(said, "warning: environment variable HAN2X_MODBUS_TCP_PROT"));
    assert_non_null(strstr(said, "modbus_tcp.port"));
}

static void test_named_file_must_be_there(void **state)
{
    struct config_source src;
    FILE *out = fmemopen(said, sizeof said, "w");
    (void)state;
    assert_non_null(out);
    config_source_init(&src);
    src.environment = no_environment;
    src.path = "/nowhere/han2x.conf";
    assert_int_equal(config_load(&src, out, &set), HX_E_IO);
    src.path = "/tmp"; /* a folder */
    assert_int_equal(config_load(&src, out, &set), HX_E_IO);
    (void)fclose(out);
    assert_non_null(strstr(said, "/nowhere/han2x.conf: cannot read the settings file: No such"));
    assert_non_null(strstr(said, "/tmp: cannot read the settings file: Is a directory"));
}

static void test_file_that_is_too_large(void **state)
{
    char *text = malloc(CONFIG_FILE_MAX + 2u);
    (void)state;
    assert_non_null(text);
    memset(text, '\n', CONFIG_FILE_MAX + 1u);
    text[CONFIG_FILE_MAX + 1u] = '\0';
    assert_int_equal(load(text, no_environment, NULL), HX_E_IO);
    text[CONFIG_FILE_MAX] = '\0';
    assert_int_equal(load(text, no_environment, NULL), HX_OK);
    free(text);
}

static void test_secret_from_file(void **state)
{
    char text[128];
    (void)state;
    (void)snprintf(text, sizeof text, "[mqtt]\npassword_file = %s\n", secret);
    write_file(secret, "s3 cr\"et#\r\nsecond line\n");
    assert_int_equal(load(text, no_environment, NULL), HX_OK);
    assert_string_equal(set.text[HX_S_MQTT_PASSWORD], "s3 cr\"et#");
    assert_string_equal(set.text[HX_S_MQTT_PASSWORD_FILE], secret); /* for the next reload */
}

/* The stronger place wins, also over the other key of the pair. */
static void test_secret_and_its_file(void **state)
{
    static char password[] = "HAN2X_MQTT_PASSWORD=stronger";
    static char *environment[] = {password, NULL};
    char text[128];
    (void)state;
    (void)snprintf(text, sizeof text, "[mqtt]\npassword_file = %s\n", secret);
    write_file(secret, "weaker\n");
    assert_int_equal(load(text, environment, NULL), HX_OK);
    assert_string_equal(set.text[HX_S_MQTT_PASSWORD], "stronger");
}

static void test_too_many_overrides(void **state)
{
    struct config_source src;
    FILE *out = fmemopen(said, sizeof said, "w");
    (void)state;
    assert_non_null(out);
    config_source_init(&src);
    for (unsigned i = 0; i < CONFIG_OVERRIDES_MAX; i++)
        assert_int_equal(config_override(&src, "web.port=1", out), HX_OK);
    assert_int_equal(config_override(&src, "web.port=1", out), HX_E_SPACE);
    (void)fclose(out);
    assert_non_null(strstr(said, "at most 128"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_foreign_variable_is_a_warning),
        cmocka_unit_test(test_named_file_must_be_there),
        cmocka_unit_test(test_file_that_is_too_large),
        cmocka_unit_test(test_secret_from_file),
        cmocka_unit_test(test_secret_and_its_file),
        cmocka_unit_test(test_too_many_overrides),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
