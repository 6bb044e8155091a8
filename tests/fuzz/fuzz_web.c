/* What the web server reads from outside: header values, a body, a patch of the settings; what it
 * remembers of clients, and texts on their way out.
 * In:     first octet picks the reader, the rest is its text. */
#include "fuzz.h"

#include "web_guard.h"
#include "web_patch.h"
#include "web_router.h"
#include "web_session.h"

#define require(x) REQUIRE(x)

/* A refused patch changes nothing; an accepted one can be written to a file and read again. */
static void patch(struct hx_span body)
{
    static const struct hx_web_fixed none;
    static struct hx_settings before, after, again;
    static struct hx_web_faults faults;
    struct hx_settings_fault fault;
    char why[HX_WEB_FAULT_TEXT];
    json_t *json = hx_web_json(body, why);
    uint8_t *file;
    size_t len = 0;

    if (json == NULL)
        return;
    hx_settings_init(&before);
    after = before;
    hx_web_patch(json, &none, HX_PATCH_RESTORE, &after, &faults);
    json_decref(json);
    if (faults.count != 0) {
        require(memcmp(&before, &after, sizeof before) == 0);
        return;
    }
    file = hx_web_new_file((struct hx_span){(const uint8_t *)"# x\n", 4}, &before, &after, &len);
    require(file != NULL);
    hx_settings_init(&again);
    require(hx_settings_parse(&again, (struct hx_span){file, len}, &fault) == HX_OK);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        require(!hx_web_setting_differs(&after, &again, (enum hx_setting_id)i));
    free(file);
}

/* As a user's page sends it, with settings that the command line, the environment and a file of
 * their own hold fast: those stay, and so does the password. The new file is one from nothing. */
static void patch_by_user(struct hx_span body)
{
    static char port[] = "HAN2X_MQTT_PORT=1884", other[] = "OTHER=1";
    static char *environment[] = {port, other, NULL};
    static const struct config_source source = {
        .overrides = {"device.scale=1500", " web . port = 8080"},
        .override_count = 2,
        .environment = environment};
    static struct hx_settings before, after, again;
    static struct hx_web_fixed fixed;
    static struct hx_web_faults faults;
    struct hx_settings_fault fault;
    char why[HX_WEB_FAULT_TEXT] = "";
    json_t *json = hx_web_json(body, why);
    uint8_t *file;
    size_t len = 0;

    require((json == NULL) == (why[0] != '\0'));
    if (json == NULL)
        return;
    hx_settings_init(&before);
    memcpy(before.text[HX_S_WEB_PASSWORD_HASH], "$x", 3);
    memcpy(before.text[HX_S_WEB_PASSWORD_HASH_FILE], "/x", 3);
    hx_web_fixed_find(&source, &before, &fixed);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        require(fixed.is[i] == (i == HX_S_MQTT_PORT || i == HX_S_DEVICE_SCALE ||
                                i == HX_S_WEB_PORT || i == HX_S_WEB_PASSWORD_HASH));
    after = before;
    hx_web_patch(json, &fixed, HX_PATCH_USER, &after, &faults);
    json_decref(json);
    require(faults.count <= HX_WEB_FAULTS);
    for (unsigned i = 0; i < faults.count; i++)
        require(faults.fault[i].message[0] != '\0');
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        require((faults.count == 0 && !fixed.is[i] && i != HX_S_WEB_PASSWORD_HASH_FILE) ||
                !hx_web_setting_differs(&before, &after, (enum hx_setting_id)i));
    file = hx_web_new_file((struct hx_span){NULL, 0}, &before, &after, &len);
    require(file != NULL);
    hx_settings_init(&again);
    require(hx_settings_parse(&again, (struct hx_span){file, len}, &fault) == HX_OK);
    for (unsigned i = 0; i < HX_SETTING_COUNT; i++)
        if (hx_web_setting_differs(&before, &after, (enum hx_setting_id)i))
            require(!hx_web_setting_differs(&after, &again, (enum hx_setting_id)i));
    free(file);
}

/* Text on its way out: JSON that reads back the same where it was UTF-8, and JSON at any rate. */
static void text_out(struct hx_span text)
{
    struct hx_web_out o = {.ptr = NULL};
    json_t *json, *given;

    hx_web_open_object(&o, NULL);
    hx_web_span(&o, "a", text);
    hx_web_bool(&o, "b", true);
    hx_web_dec(&o, "c", text.len > 0 ? INT64_MIN + text.ptr[0] : -1, (int)(text.len % 19u));
    hx_web_time(&o, "d", text.len % 2u == 0, (int64_t)(text.len * 1000000007u));
    hx_web_text(&o, "e", text.len % 3u == 0 ? NULL : "x");
    hx_web_close_object(&o);
    require(!o.failed);
    json = json_loadb(o.ptr, o.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    require(json != NULL && json_object_size(json) == 5);
    given = json_stringn((const char *)text.ptr, text.len); /* NULL: not UTF-8 */
    if (given != NULL)
        require(json_equal(given, json_object_get(json, "a")));
    json_decref(given);
    json_decref(json);
    hx_web_out_free(&o);
    hx_web_put(&o, "%.*s|%600d", (int)(text.len < 900 ? text.len : 900), (const char *)text.ptr, 7);
    require(!o.failed && o.len >= 601 && o.ptr[o.len - 1u] == '7');
    hx_web_out_free(&o);
}

/* Clients that log in, fail, wait, come and go; two octets each: who and what, how much later. */
struct client_world {
    struct hx_web_sessions sessions;
    struct hx_web_backoff backoff;
    char token[4][2u * HX_WEB_TOKEN + 1u]; /* of each client's newest session */
    uint64_t seen_ms[4];
    unsigned begun; /* sessions; so few that none makes room for another */
    uint64_t now_ms;
};

static void one_step(struct client_world *w, uint8_t what, uint8_t later)
{
    static const uint8_t addresses[4][HX_WEB_ADDRESS] = {
        {0x20, 1, 0xD, 0xB8, 0, 0, 0, 1, 1},
        {0x20, 1, 0xD, 0xB8, 0, 0, 0, 1, 2}, /* the same network as the first */
        {[10] = 0xFF, [11] = 0xFF, [12] = 10, [15] = 1},
        {[10] = 0xFF, [11] = 0xFF, [12] = 10, [15] = 2}};
    unsigned who = what & 3u;
    const uint8_t *address = addresses[who];
    uint8_t random[HX_WEB_TOKEN] = {(uint8_t)w->begun, (uint8_t)who, 1};
    struct hx_span token = {(const uint8_t *)w->token[who], strlen(w->token[who])};
    uint64_t wait_ms = hx_web_backoff_wait_ms(&w->backoff, address, w->now_ms);
    bool lives;

    require(wait_ms <= HX_WEB_WAIT_MAX_MS);
    require(hx_web_is_same_client(addresses[0], addresses[1]) &&
            !hx_web_is_same_client(addresses[2], addresses[3]));
    w->now_ms += UINT64_C(1) << (later & 31u);
    require(hx_web_backoff_wait_ms(&w->backoff, address, w->now_ms) <= wait_ms);
    switch (what >> 2 & 7u) {
    case 0:
        hx_web_session_begin(&w->sessions, random, w->now_ms, w->token[who]);
        require(strlen(w->token[who]) == 2u * HX_WEB_TOKEN);
        w->seen_ms[who] = w->now_ms;
        w->begun++;
        break;
    case 1:
    case 2:
        lives = hx_web_session_touch(&w->sessions, token, w->now_ms);
        require(token.len != 0 || !lives);
        require(!lives || w->now_ms - w->seen_ms[who] < HX_WEB_IDLE_MS);
        require(lives || token.len == 0 || w->begun > HX_WEB_SESSIONS ||
                w->now_ms - w->seen_ms[who] >= HX_WEB_IDLE_MS);
        w->seen_ms[who] = w->now_ms;
        if (!lives)
            w->token[who][0] = '\0';
        break;
    case 3:
        hx_web_session_end(&w->sessions, token);
        require(!hx_web_session_touch(&w->sessions, token, w->now_ms));
        w->token[who][0] = '\0';
        break;
    case 4:
        hx_web_backoff_good(&w->backoff, address, w->now_ms);
        require(hx_web_backoff_wait_ms(&w->backoff, address, w->now_ms) == 0);
        break;
    case 5:
        hx_web_session_end_all(&w->sessions);
        memset(w->token, 0, sizeof w->token);
        break;
    default:
        for (unsigned i = 0; i <= later >> 5; i++)
            hx_web_backoff_failed(&w->backoff, address, w->now_ms);
        break;
    }
}

static void clients(struct hx_span in)
{
    static struct client_world w;

    memset(&w, 0, sizeof w);
    w.now_ms = 1;
    while (in.len > 1) {
        uint8_t what = fuzz_octet(&in);

        one_step(&w, what, fuzz_octet(&in));
    }
}

/* A path and a method, with a blank between. */
static void route(char *text)
{
    static const struct hx_web_route table[] = {{"/a", HX_WEB_GET, 0, 0, NULL},
                                                {"/a", HX_WEB_DELETE, 0, 0, NULL},
                                                {"/b", HX_WEB_PATCH, 0, 0, NULL}};
    const struct hx_web_route *row = NULL;
    char *method = strchr(text, ' '), allowed[64];
    unsigned allow = 0;

    if (method == NULL)
        return;
    *method++ = '\0';
    switch (hx_web_route_find(table, 3, text, method, &row, &allow)) {
    case HX_WEB_FOUND:
        require(strcmp(row->path, text) == 0);
        break;
    case HX_WEB_NO_METHOD:
        hx_web_allow_text(allow, allowed);
        require(allowed[0] != '\0' && (text[1] == 'a' || text[1] == 'b'));
        break;
    case HX_WEB_NO_PATH:
        require(strcmp(text, "/a") != 0 && strcmp(text, "/b") != 0);
        break;
    }
}

static void basic(const char *text)
{
    struct hx_web_login login;

    if (hx_web_basic(text, &login) == HX_OK)
        require(strlen(login.username) <= HX_WEB_USER_MAX &&
                strlen(login.password) <= HX_WEB_PASSWORD_MAX &&
                strchr(login.username, ':') == NULL);
}

static void session(const char *text)
{
    static const struct hx_web_sessions empty;
    struct hx_web_sessions s = empty;
    struct hx_span token = hx_web_cookie(text, "han2x_session");

    require(token.ptr >= (const uint8_t *)text &&
            token.ptr + token.len <= (const uint8_t *)text + strlen(text));
    require(!hx_web_session_touch(&s, token, 1)); /* nobody is logged in */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"han2x", NULL};
    struct hx_web_framing f = {.hosts = 1, .lengths = 1};
    char *text;

    if (size == 0)
        return 0;
    text = malloc(size);
    require(text != NULL);
    memcpy(text, data + 1, size - 1u);
    text[size - 1u] = '\0';
    switch (data[0] % 9u) {
    case 0:
        patch((struct hx_span){(const uint8_t *)text, size - 1u});
        break;
    case 1:
        basic(text);
        break;
    case 2:
        session(text);
        break;
    case 3:
        (void)hx_web_host_ok(text, names);
        (void)hx_web_is_json_type(text);
        break;
    case 4:
        patch_by_user((struct hx_span){(const uint8_t *)text, size - 1u});
        break;
    case 5:
        text_out((struct hx_span){(const uint8_t *)text, size - 1u});
        break;
    case 6:
        clients((struct hx_span){(const uint8_t *)text, size - 1u});
        break;
    case 7:
        route(text);
        break;
    default:
        f.length = text;
        if (hx_web_framing_ok(&f))
            require(strtoull(text, NULL, 10) <= 9999999999u);
        (void)hx_web_origin_ok("han2x.local", text, NULL);
        break;
    }
    free(text);
    return 0;
}
