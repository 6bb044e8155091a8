/* storage_disk.c - what the program makes of its files, and loads on them; run by storage.py.
 *
 *   storage_disk check            for each line "STATE-FOLDER SETTINGS-FILE" (a tab between) of
 *                                 standard input one line of JSON: what a start would load. In a
 *                                 process of its own each: one that crashes or hangs is told.
 *   storage_disk hours DIR FROM COUNT UPTO
 *                                 append COUNT hourly readings, numbers from FROM on, and mark them
 *                                 delivered one by one below UPTO
 *   storage_disk audit DIR COUNT  append that many entries
 *   storage_disk run DIR HOURS    a simulated meter, time as fast as it goes: save as the gateway
 *                                 does, one hourly reading an hour, each delivered
 *
 * The loads say in the file $FS_SHIM_LOG what is asked for ("ask") and what the program
 * says is on the disk ("ack"), between the lines of fs_shim.c. */
#include "backlog.h"
#include "config.h"
#include "file_text.h"
#include "network_commit.h"
#include "reset.h"
#include "saver.h"
#include "web_audit.h"
#include "web_tls.h"

#include "hx/gateway.h"
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANGS_S 20
#define METER 7u
#define FIRST_HOUR_S 1735689600 /* 2025-01-01T00:00:00Z */

/* --- check --- */

static void show_settings(struct hx_web_out *o, const char *path, struct hx_settings *s)
{
    struct config_source source = {.path = path};
    static struct hx_settings factory;
    char *words = NULL;
    size_t size;
    FILE *complaints = open_memstream(&words, &size);
    bool good = config_load(&source, complaints, s) == HX_OK;

    fclose(complaints);
    hx_settings_init(&factory);
    hx_web_bool(o, "settings_good", good);
    hx_web_text(o, "settings_complaint", words);
    hx_web_open_object(o, "settings");
    for (int i = 0; good && i < HX_SETTING_COUNT; i++) {
        const struct hx_setting *row = hx_setting_row((enum hx_setting_id)i);
        uint8_t text[1024];
        struct hx_wr w = {.ptr = text, .cap = sizeof text};
        char key[64];

        if (s->num[i] == factory.num[i] && strcmp(s->text[i], factory.text[i]) == 0)
            continue;
        hx_setting_format(&w, s, (enum hx_setting_id)i);
        snprintf(key, sizeof key, "%s.%s", row->section, row->key);
        hx_web_span(o, key, (struct hx_span){text, w.len});
    }
    hx_web_close_object(o);
    free(words);
}

static void show_state(struct hx_web_out *o, const struct hx_store *store)
{
    static struct hx_gateway g;

    hx_gw_init(&g, 0);
    hx_web_bool(o, "state_found", hx_saver_load(store, &g) == HX_OK);
    hx_web_int(o, "number", g.state.device_number);
    hx_web_int(o, "starts", g.state.starts);
    hx_web_int(o, "scale", g.state.scale);
    hx_web_int(o, "shown_wh", g.state.energy[0].shown_wh);
}

static void show_hours(struct hx_web_out *o, int dir_fd)
{
    static struct hx_backlog b;

    if (faccessat(dir_fd, HX_BACKLOG_FILE, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return; /* MQTT was never used */
    hx_backlog_open(&b, dir_fd);
    hx_web_int(o, "hours_delivered", (int64_t)b.delivered);
    hx_web_open_array(o, "hours");
    for (uint64_t n = b.delivered; n < b.end; n++) {
        struct hx_hour h;

        if (hx_backlog_read(&b, n, &h) == HX_OK)
            hx_web_int(o, NULL, h.total_wh[0]);
        else
            hx_web_int(o, NULL, -1);
    }
    hx_web_close_array(o);
    hx_backlog_close(&b);
}

static void show_audit(struct hx_web_out *o, const char *dir)
{
    struct hx_web_audit a;
    struct hx_web_out entries = {.ptr = NULL};

    hx_audit_open(&a, dir);
    hx_audit_json(&a, 5000, &entries);
    hx_audit_close(&a);
    hx_web_put(o, ",\"audit\":");
    hx_web_put_span(o, (struct hx_span){(const uint8_t *)entries.ptr, entries.len});
    hx_web_out_free(&entries);
}

static void show_tls(struct hx_web_out *o, const char *dir, int dir_fd)
{
    struct hx_web_tls tls = {.key = NULL};
    struct hx_web_names names;

    if (faccessat(dir_fd, "tls.key", F_OK, 0) != 0 && faccessat(dir_fd, "tls.crt", F_OK, 0) != 0)
        return; /* would be made */
    hx_web_names_find("han2x", &names);
    hx_web_bool(o, "tls_good", hx_web_tls_load(&tls, "", "", dir, &names, 0) == HX_OK);
    hx_web_text(o, "tls", tls.sha256);
    hx_web_tls_free(&tls);
}

static void show_network(struct hx_web_out *o, const char *dir, const struct hx_settings *s)
{
    char path[PATH_MAX + 16];
    uint8_t line[256], *memory = NULL;
    struct hx_wr w = {.ptr = line, .cap = sizeof line};
    struct hx_span saved = {NULL, 0};
    struct hx_net_commit c;
    struct hx_net_plan want;
    enum hx_setting_id id;
    const char *why;

    snprintf(path, sizeof path, "%.4000s/network", dir);
    (void)file_text_read(path, HX_NET_SAVED_MAX, &memory, &saved); /* none: empty */
    if (hx_net_plan_from(s, &want, &id, &why) == HX_OK) {
        hx_web_bool(o, "network_good",
                    hx_net_commit_start(&c, saved, "after the cut", &want, 0) == HX_OK);
        hx_net_plan_format(&w, hx_net_commit_now(&c));
        hx_web_span(o, "network", (struct hx_span){line, w.len});
    }
    free(memory);
}

static void check_one(const char *dir, const char *settings)
{
    static struct hx_settings s;
    struct hx_web_out o = {.ptr = NULL};
    struct hx_store store;
    enum hx_err reset = hx_reset_resume(dir, settings, NULL);

    hx_web_open_object(&o, NULL);
    hx_web_text(&o, "reset", reset == HX_OK ? "done" : reset == HX_MORE ? "none" : "failed");
    show_settings(&o, settings, &s);
    hx_web_bool(&o, "folder_good", hx_store_open(&store, dir) == HX_OK);
    if (store.dir_fd >= 0) {
        show_state(&o, &store);
        show_hours(&o, store.dir_fd);
        show_audit(&o, dir);
        show_tls(&o, dir, store.dir_fd);
        show_network(&o, dir, &s);
        hx_store_close(&store);
    }
    hx_web_close_object(&o);
    printf("%.*s", (int)o.len, o.ptr);
    fflush(stdout);
}

static void show_log(int fd)
{
    struct hx_web_out o = {.ptr = NULL};
    static uint8_t text[16384];
    ssize_t n = pread(fd, text, sizeof text, 0);

    hx_web_put_string(&o, (struct hx_span){text, n > 0 ? (size_t)n : 0});
    printf(",\"log\":%.*s", (int)o.len, o.ptr);
    hx_web_out_free(&o);
}

static int check(void)
{
    char line[2 * PATH_MAX];

    while (fgets(line, sizeof line, stdin) != NULL) {
        char *settings = strchr(line, '\t');
        int log = memfd_create("log", 0), status = 0;
        pid_t pid;

        line[strcspn(line, "\n")] = '\0';
        if (settings == NULL)
            return 2;
        *settings++ = '\0';
        printf("{\"loaded\":");
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            alarm(HANGS_S);
            dup2(log, STDERR_FILENO);
            check_one(line, settings);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        if (status != 0)
            printf("null");
        printf(",\"signal\":%d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        show_log(log);
        printf("}\n");
        fflush(stdout);
        close(log);
    }
    return 0;
}

/* --- loads --- */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    const char *log = getenv("FS_SHIM_LOG");
    char line[128];
    va_list args;
    int fd, n;

    if (log == NULL || *log == '\0')
        return;
    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fd = open(log, O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        abort();
    close(fd);
}

static int hours(const char *dir, uint64_t from, uint64_t count, uint64_t upto)
{
    static struct hx_backlog b;
    int fd = open(dir, O_RDONLY | O_DIRECTORY);

    hx_backlog_open(&b, fd);
    say("ack\tdelivered\t%" PRIu64 "\n", b.delivered);
    if (b.end != 0)
        say("ack\thour\t%" PRIu64 "\n", b.end - 1u);
    for (uint64_t n = from; n < from + count; n++) {
        struct hx_hour h = {.start_utc_s = FIRST_HOUR_S + (int64_t)n * 3600, .scale = 1000};

        h.known[0] = true;
        h.total_wh[0] = (int64_t)n;
        h.quality = HX_MEASURED;
        say("ask\thour\t%" PRIu64 "\n", n);
        if (hx_backlog_append(&b, &h, METER) == HX_OK && !b.failing)
            say("ack\thour\t%" PRIu64 "\n", n);
    }
    for (uint64_t n = b.delivered + 1; n <= upto; n++) {
        say("ask\tdelivered\t%" PRIu64 "\n", n);
        if (hx_backlog_mark(&b, n) == HX_OK)
            say("ack\tdelivered\t%" PRIu64 "\n", n);
    }
    hx_backlog_close(&b);
    return 0;
}

static int audit(const char *dir, unsigned count)
{
    struct hx_web_audit a;

    hx_audit_open(&a, dir);
    for (unsigned i = 0; i < count; i++) {
        say("ask\taudit\t%" PRIu32 "\n", a.number + 1u);
        hx_audit_add(&a, HX_NOTE_LOGIN, 1735689600000, "192.0.2.7", "bits");
        if (a.lines == 1) /* begun anew: those before are to stay */
            say("ack\taudit\t%" PRIu32 "\n", a.number - 1u);
    }
    hx_audit_close(&a);
    return 0;
}

/* --- a gateway in fast time --- */

struct run {
    struct hx_gateway gw;
    struct hx_store store;
    struct hx_backlog hours;
    struct hx_sim sim;
    uint64_t saves, readings, telegrams;
};

static void on_event(struct run *y, const struct hx_event *ev)
{
    uint8_t text[HX_GW_SAVED_MAX];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};
    struct hx_hour h;

    if (ev->kind == HX_EV_SAVE) {
        hx_gw_save(&y->gw, &w);
        y->saves += hx_store_write(&y->store, (struct hx_span){text, w.len}) == HX_OK;
    }
    y->telegrams += ev->kind == HX_EV_TELEGRAM;
    if (ev->kind != HX_EV_TELEGRAM || (ev->news & HX_NEWS_ENERGY) == 0 ||
        hx_hour_from_state(&y->gw.state, hx_backlog_newest(&y->hours, METER), &h) != HX_OK)
        return;
    y->readings += hx_backlog_append(&y->hours, &h, METER) == HX_OK;
    (void)hx_backlog_mark(&y->hours, y->hours.end); /* the broker is there */
}

static void drain(struct run *y)
{
    struct hx_event ev;

    while (hx_gw_next(&y->gw, &ev))
        on_event(y, &ev);
}

static void feed(struct run *y, struct hx_span octets, uint64_t now_ms)
{
    while (octets.len != 0) {
        size_t n = hx_gw_rx(&y->gw, octets, now_ms);

        octets = (struct hx_span){octets.ptr + n, octets.len - n};
        drain(y);
    }
}

static int run(const char *dir, unsigned hours)
{
    static struct run y;
    const struct hx_sim_config c = {.maker = HX_MAKER_KAMSTRUP,
                                    .grid = HX_GRID_4WIRE,
                                    .seed = 1,
                                    .start_utc_s = FIRST_HOUR_S,
                                    .solar = true};
    uint64_t now_ms = 0, due_ms = 0, end_ms = hours * 3600000ull;
    int64_t shown_wh = 0;

    if (hx_store_open(&y.store, dir) != HX_OK || hx_sim_init(&y.sim, &c) != HX_OK)
        return 1;
    hx_backlog_open(&y.hours, y.store.dir_fd);
    hx_gw_init(&y.gw, 0);
    while (now_ms < end_ms) {
        uint64_t tick_ms = hx_gw_deadline_ms(&y.gw);

        now_ms = tick_ms < due_ms ? (tick_ms > now_ms ? tick_ms : now_ms) : due_ms;
        hx_gw_set_clock(&y.gw, FIRST_HOUR_S * 1000ll + (int64_t)now_ms);
        if (now_ms >= due_ms) {
            struct hx_sim_telegram t;

            hx_sim_next(&y.sim, &t);
            /* What masters were shown last, 10 s ago: a save may take HX_GW_SAVE_SOON_MS. */
            if (y.gw.state.energy[0].shown_wh != shown_wh)
                say("ack\tshown\t%" PRId64 "\n", shown_wh = y.gw.state.energy[0].shown_wh);
            feed(&y, t.bytes, now_ms);
            due_ms += t.wait_ms;
        }
        hx_gw_tick(&y.gw, now_ms);
        drain(&y);
    }
    printf("{\"saves\":%" PRIu64 ",\"readings\":%" PRIu64 ",\"telegrams\":%" PRIu64 "}\n", y.saves,
           y.readings, y.telegrams);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 2 && strcmp(what, "check") == 0)
        return check();
    if (argc == 6 && strcmp(what, "hours") == 0)
        return hours(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10),
                     strtoull(argv[5], NULL, 10));
    if (argc == 4 && strcmp(what, "audit") == 0)
        return audit(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    if (argc == 4 && strcmp(what, "run") == 0)
        return run(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    fputs("storage_disk check | hours DIR FROM COUNT UPTO | audit DIR COUNT | run DIR HOURS\n",
          stderr);
    return 2;
}
