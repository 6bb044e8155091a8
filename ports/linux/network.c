/* network.c - see network.h. */
#include "network.h"

#include "clock.h"
#include "file_replace.h"
#include "file_text.h"
#include "log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define STATE_FILE "network"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define SETTINGS 3u /* to compare when the settings file is put right */
#define ROOM 4096u  /* what six keys with their meanings may add to a settings file */
/* A disk that takes longer than 2 s for a small file has no time for a change. */
#define LOOK_NS 10000000L
#define LOOKS 200

/* What the worker writes: texts of its own, so that the gateway may go on meanwhile. */
struct work {
    bool state, request, settings;
    char state_text[HX_NET_SAVED_MAX], request_text[HX_NET_REQUEST_MAX];
    size_t state_len, request_len;
    struct hx_net_plan plan, refused; /* for the settings file: what comes back, and from what */
    bool settings_done;
    char why[HX_NET_WHY]; /* "" all done */
};

struct hx_network {
    struct hx_job job; /* first: found again from the job */
    pthread_mutex_t lock;
    /* under lock */
    struct hx_net_commit commit;
    char error[HX_NET_WHY];
    bool writing; /* a thread writes the state file: no other may */
    /* end of what the lock is for */
    const struct config_source *config;
    struct hx_worker *worker;
    char dir[PATH_MAX], boot[HX_NET_BOOT_MAX];
    char id[HX_NET_ID_DIGITS + 1u]; /* of the request that waits for an answer; "" none */
    bool put_right;                 /* the settings file was: to be told once */
    bool no_helper;                 /* logged */
    uint64_t retry_ms;              /* the disk refused: not again before */
    struct work work;
};

/* --- worker thread --- */

static void fail(char why[HX_NET_WHY], const char *path)
{
    if (why[0] == '\0')
        (void)snprintf(why, HX_NET_WHY, "%.100s cannot be written: %s", path, strerror(errno));
}

static bool write_file(const struct hx_network *n, const char *name, const char *text, size_t len,
                       unsigned mode, char why[HX_NET_WHY])
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/%s", n->dir, name) < (int)sizeof path &&
        file_replace(path, (struct hx_span){(const uint8_t *)text, len}, mode) == HX_OK)
        return true;
    fail(why, name);
    return false;
}

static bool is_same(const struct hx_settings *a, const struct hx_settings *b, int id)
{
    return a->num[id] == b->num[id] && strcmp(a->text[id], b->text[id]) == 0;
}

/* Write into @p text the keys that the refused change had changed, one edit each: in @p a and @p b
 * by turns. Other keys are let be: what comes from the environment does not belong in the file.
 * @param s  [0] what the file says, [1] what comes back, [2] what was refused.
 * @return where the text is at last; ptr NULL when it does not fit. */
static struct hx_span edit(struct hx_span text, const struct hx_settings *s, uint8_t *a, uint8_t *b,
                           size_t cap)
{
    for (int i = HX_S_NETWORK_MANAGE; i <= HX_S_NETWORK_HOSTNAME; i++) {
        struct hx_wr w = {.ptr = a, .cap = cap};

        if (is_same(&s[1], &s[2], i) || is_same(&s[0], &s[1], i))
            continue;
        hx_ini_edit(&w, text, &s[1], (enum hx_setting_id)i);
        if (w.err != HX_OK)
            return (struct hx_span){NULL, 0};
        text = (struct hx_span){w.ptr, w.len};
        a = b;
        b = w.ptr;
    }
    return text;
}

/* @param settings  SETTINGS to work in. @param room  two texts of CONFIG_FILE_MAX + ROOM. */
static bool put_settings(const char *path, const struct work *w, struct hx_span file,
                         struct hx_settings *settings, uint8_t *room)
{
    const size_t cap = CONFIG_FILE_MAX + ROOM;
    struct hx_settings_fault fault;
    struct hx_span text;

    hx_settings_init(&settings[0]);
    if (hx_settings_parse(&settings[0], file, &fault) != HX_OK) {
        errno = EINVAL; /* it was edited by hand meanwhile, and not well: theirs to mend */
        return false;
    }
    settings[1] = settings[2] = settings[0];
    if (hx_net_plan_settings(&w->plan, &settings[1]) != HX_OK ||
        hx_net_plan_settings(&w->refused, &settings[2]) != HX_OK) {
        errno = EINVAL;
        return false;
    }
    text = edit(file, settings, room, room + cap, cap);
    if (text.ptr == file.ptr)
        return true; /* says so already */
    errno = EFBIG;
    return text.ptr != NULL && file_replace(path, text, 0600) == HX_OK;
}

static void write_settings(struct hx_network *n)
{
    const char *path = config_path(n->config);
    struct hx_settings *settings = malloc(SETTINGS * sizeof *settings);
    uint8_t *room = malloc(2u * (CONFIG_FILE_MAX + ROOM)), *memory = NULL;
    struct hx_span file;

    if (settings != NULL && room != NULL && file_text_read(path, CONFIG_FILE_MAX, &memory, &file))
        n->work.settings_done = put_settings(path, &n->work, file, settings, room);
    if (!n->work.settings_done)
        fail(n->work.why, path);
    if (memory != NULL)
        explicit_bzero(memory, file.len); /* secrets may be in it */
    free(memory);
    if (settings != NULL)
        explicit_bzero(settings, SETTINGS * sizeof *settings);
    free(settings);
    if (room != NULL)
        explicit_bzero(room, 2u * (CONFIG_FILE_MAX + ROOM));
    free(room);
}

/* State first: a machine that stops after the request must know how to come back. */
static void job_run(struct hx_job *job)
{
    struct hx_network *n = (struct hx_network *)(void *)job;
    struct work *w = &n->work;

    w->why[0] = '\0';
    w->settings_done = false;
    if (w->state && !write_file(n, STATE_FILE, w->state_text, w->state_len, 0600, w->why))
        return;
    if (w->request)
        (void)write_file(n, HX_NET_REQUEST_FILE, w->request_text, w->request_len, 0644, w->why);
    if (w->settings)
        write_settings(n);
}

/* --- gateway thread --- */

static void tell(struct hx_network *n, enum hx_log_level level, const char *why)
{
    (void)snprintf(n->error, sizeof n->error, "%s", why);
    hx_log(level, "network: %s", why);
}

static void fill_request(struct hx_network *n, struct work *w)
{
    struct hx_wr out = {.ptr = (uint8_t *)w->request_text, .cap = sizeof w->request_text};
    struct hx_net_request r;
    uint64_t random = 0;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = hx_clock_us(); /* differs from the last one at any rate */
    (void)snprintf(n->id, sizeof n->id, "%016" PRIx64, random);
    memcpy(r.id, n->id, sizeof r.id);
    r.plan = *hx_net_commit_now(&n->commit);
    hx_net_request_format(&out, &r);
    HX_ASSERT(out.err == HX_OK);
    w->request_len = out.len;
}

/* Hand over what is due. Under lock. */
static void submit(struct hx_network *n, uint64_t now_ms)
{
    struct hx_net_commit *c = &n->commit;
    struct work *w = &n->work;
    struct hx_wr out = {.ptr = (uint8_t *)w->state_text, .cap = sizeof w->state_text};

    if (n->writing || now_ms < n->retry_ms || !(c->send || c->save || c->came_back))
        return;
    w->state = c->save;
    w->request = c->send;
    w->settings = c->came_back;
    w->plan = c->kept;
    w->refused = c->refused;
    hx_net_commit_save(c, n->boot, &out);
    HX_ASSERT(out.err == HX_OK);
    w->state_len = out.len;
    if (w->request)
        fill_request(n, w);
    c->send = c->save = c->came_back = false;
    n->writing = true;
    (void)hx_worker_submit(n->worker, &n->job); /* not busy: cannot be refused */
}

static void job_done(struct hx_job *job)
{
    struct hx_network *n = (struct hx_network *)(void *)job;
    const struct work *w = &n->work;

    (void)pthread_mutex_lock(&n->lock); /* our own, healthy lock: cannot fail */
    n->writing = false;
    if (w->settings_done) {
        hx_net_commit_settled(&n->commit);
        n->put_right = true;
    }
    if (w->why[0] != '\0') {
        tell(n, HX_LOG_ERROR, w->why);
        /* What was not written stays due. The settings file is tried again at the next start. */
        n->commit.save = n->commit.save || w->state;
        n->commit.send = n->commit.send || w->request;
        n->retry_ms = hx_clock_ms() + HX_NET_RETRY_MS;
    }
    (void)pthread_mutex_unlock(&n->lock);
}

/* A small file below /run: no disk, so no waiting. @return false: no answer to our request yet. */
static bool read_answer(const struct hx_network *n, bool *done, char why[HX_NET_WHY])
{
    uint8_t text[HX_NET_ANSWER_MAX];
    int fd = n->id[0] != '\0' ? open(HX_NET_RESULT, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t len = fd >= 0 ? read(fd, text, sizeof text) : -1;

    if (fd >= 0)
        (void)close(fd); /* only read */
    return len > 0 &&
           hx_net_answer_parse((struct hx_span){text, (size_t)len}, n->id, done, why) == HX_OK;
}

static void on_answer(struct hx_network *n, uint64_t now_ms)
{
    char why[HX_NET_WHY], line[HX_NET_WHY], to[HX_NET_ADDRESS_MAX];
    bool done;

    if (n->writing || n->commit.send || !read_answer(n, &done, why))
        return; /* while a newer request is due, the answer is to an older one */
    n->id[0] = '\0';
    n->no_helper = false;
    hx_net_plan_address(hx_net_commit_now(&n->commit), to);
    if (!done) {
        (void)snprintf(line, sizeof line, "the settings could not be put in force: %.140s", why);
        tell(n, HX_LOG_ERROR, line);
    }
    hx_net_commit_answer(&n->commit, done, now_ms);
    if (done && n->commit.phase == HX_NET_WAITING)
        hx_log(HX_LOG_NOTICE,
               "network: new settings in force (%s); they stay when somebody opens the pages there "
               "within %u s",
               *to != '\0' ? to : "DHCP", HX_NET_CONFIRM_MS / 1000u);
    else if (done)
        hx_log(HX_LOG_NOTICE, "network: settings in force (%s)", *to != '\0' ? to : "DHCP");
}

static void on_patience_ended(struct hx_network *n, enum hx_net_phase was)
{
    switch (was) {
    case HX_NET_WAITING:
        tell(n, HX_LOG_WARNING,
             "nobody reached the new address in time: the old settings come back");
        break;
    case HX_NET_APPLYING:
    case HX_NET_SETTING:
        if (!n->no_helper)
            tell(n, HX_LOG_ERROR,
                 "no answer from the helper: is the package han2x-appliance installed and "
                 "han2x-network.path running?");
        n->no_helper = true;
        break;
    case HX_NET_IDLE:
        break;
    }
}

bool hx_network_tick(struct hx_network *n, uint64_t now_ms)
{
    enum hx_net_phase was;
    bool put_right;

    (void)pthread_mutex_lock(&n->lock);
    on_answer(n, now_ms);
    was = n->commit.phase;
    if (hx_net_commit_tick(&n->commit, now_ms))
        on_patience_ended(n, was);
    submit(n, now_ms);
    put_right = n->put_right;
    n->put_right = false;
    (void)pthread_mutex_unlock(&n->lock);
    return put_right;
}

void hx_network_change(struct hx_network *n, const struct hx_settings *s, bool confirm,
                       uint64_t now_ms)
{
    struct hx_net_plan want;
    enum hx_setting_id id;
    const char *why;

    if (hx_net_plan_from(s, &want, &id, &why) != HX_OK)
        return; /* the daemon has asked before it took the settings */
    (void)pthread_mutex_lock(&n->lock);
    hx_net_commit_change(&n->commit, &want, confirm, now_ms);
    if (n->commit.send)
        n->error[0] = '\0';
    submit(n, now_ms);
    (void)pthread_mutex_unlock(&n->lock);
}

/* --- any thread --- */

/* Wait until nobody writes the state file. @return true: it is ours, and so is the lock. */
static bool begin_writing(struct hx_network *n)
{
    const struct timespec step = {0, LOOK_NS};

    for (int i = 0; i < LOOKS; i++) {
        (void)pthread_mutex_lock(&n->lock);
        if (!n->writing)
            return true;
        (void)pthread_mutex_unlock(&n->lock);
        (void)nanosleep(&step, NULL); /* shorter when a signal comes: looks once more */
    }
    return false;
}

enum hx_err hx_network_prepare(struct hx_network *n, const struct hx_settings *s,
                               char why[HX_NET_WHY])
{
    char text[HX_NET_SAVED_MAX];
    struct hx_wr out = {.ptr = (uint8_t *)text, .cap = sizeof text};
    struct hx_net_commit next;
    struct hx_net_plan want;
    enum hx_setting_id id;
    const char *fault;
    bool good;

    why[0] = '\0';
    if (n == NULL || hx_net_plan_from(s, &want, &id, &fault) != HX_OK)
        return HX_OK; /* what cannot be a plan will not be taken */
    if (!begin_writing(n)) {
        errno = ETIMEDOUT;
        fail(why, STATE_FILE);
        return HX_E_IO;
    }
    next = n->commit;
    next.save = false;
    hx_net_commit_change(&next, &want, true, hx_clock_ms());
    n->writing = next.save;
    (void)pthread_mutex_unlock(&n->lock);
    if (!next.save)
        return HX_OK;
    hx_net_commit_save(&next, n->boot, &out);
    HX_ASSERT(out.err == HX_OK);
    good = write_file(n, STATE_FILE, text, out.len, 0600, why);
    (void)pthread_mutex_lock(&n->lock);
    n->writing = false;
    (void)pthread_mutex_unlock(&n->lock);
    return good ? HX_OK : HX_E_IO;
}

void hx_network_give_up(struct hx_network *n)
{
    if (n == NULL)
        return;
    (void)pthread_mutex_lock(&n->lock);
    n->commit.save = true;
    (void)pthread_mutex_unlock(&n->lock);
}

enum hx_err hx_network_confirm(struct hx_network *n, const char *local, char why[HX_NET_WHY])
{
    enum hx_err err;
    bool waited;

    if (n == NULL)
        return HX_OK;
    (void)pthread_mutex_lock(&n->lock);
    waited = n->commit.phase == HX_NET_WAITING;
    err = hx_net_commit_confirm(&n->commit, local);
    (void)pthread_mutex_unlock(&n->lock);
    if (err == HX_OK && waited)
        hx_log(HX_LOG_NOTICE, "network: the new settings are confirmed%s%s",
               local != NULL ? ", reached at " : "", local != NULL ? local : "");
    if (err == HX_MORE)
        (void)snprintf(why, HX_NET_WHY, "the new settings are not in force yet");
    if (err == HX_E_VALUE)
        (void)snprintf(why, HX_NET_WHY, "this call came in at %.60s, not at the new address",
                       local);
    return err;
}

void hx_network_status(struct hx_network *n, uint64_t now_ms, struct hx_network_status *out)
{
    const struct hx_net_commit *c;

    memset(out, 0, sizeof *out);
    if (n == NULL)
        return;
    (void)pthread_mutex_lock(&n->lock);
    c = &n->commit;
    out->manage = hx_net_commit_now(c)->manage;
    out->phase = c->phase;
    out->pending = hx_net_commit_pending(c);
    out->remaining_s = hx_net_commit_left_s(c, now_ms);
    hx_net_plan_address(&c->kept, out->old_address);
    hx_net_plan_address(hx_net_commit_now(c), out->new_address);
    memcpy(out->error, n->error, sizeof out->error);
    (void)pthread_mutex_unlock(&n->lock);
}

static bool address_text(const struct ifaddrs *a, int family, char out[48])
{
    const void *at;

    if (a->ifa_addr == NULL || a->ifa_addr->sa_family != family ||
        (a->ifa_flags & (unsigned)IFF_LOOPBACK) != 0)
        return false;
    at = family == AF_INET
             ? (const void *)&((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr
             : (const void *)&((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
    return inet_ntop(family, at, out, 48) != NULL;
}

size_t hx_network_addresses(char (*out)[48], size_t max)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct ifaddrs *list;
    size_t n = 0;

    if (getifaddrs(&list) != 0)
        return 0;
    for (size_t f = 0; f < 2; f++)
        for (const struct ifaddrs *a = list; a != NULL && n < max; a = a->ifa_next)
            if (address_text(a, families[f], out[n]))
                n++;
    freeifaddrs(list);
    return n;
}

/* --- start and end --- */

static void read_boot(char boot[HX_NET_BOOT_MAX])
{
    int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, boot, HX_NET_BOOT_MAX - 1u) : 0;

    if (fd >= 0)
        (void)close(fd); /* only read */
    boot[len > 0 ? len : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    if (boot[0] == '\0')
        (void)snprintf(boot, HX_NET_BOOT_MAX, "unknown");
}

/* No file is the usual case. One that cannot be read counts as none, and is told. */
static struct hx_span read_saved(const struct hx_network *n, uint8_t **memory)
{
    char path[PATH_MAX];
    struct hx_span saved = {NULL, 0};

    if (snprintf(path, sizeof path, "%s/" STATE_FILE, n->dir) >= (int)sizeof path)
        return saved;
    if (!file_text_read(path, HX_NET_SAVED_MAX, memory, &saved) && errno != ENOENT)
        hx_log(HX_LOG_WARNING, "network: %s cannot be read: %s", path, strerror(errno));
    return saved;
}

enum hx_err hx_network_open(const struct config_source *config, const char *dir,
                            struct hx_worker *worker, const struct hx_settings *s, uint64_t now_ms,
                            struct hx_network **out)
{
    struct hx_network *n = calloc(1, sizeof *n);
    uint8_t *memory = NULL;
    struct hx_net_plan want;
    enum hx_setting_id id;
    const char *why;
    struct hx_span saved;

    if (n == NULL || hx_net_plan_from(s, &want, &id, &why) != HX_OK) {
        hx_log(HX_LOG_ERROR, "network: %s", n == NULL ? "out of memory" : why);
        free(n);
        return HX_E_IO;
    }
    (void)pthread_mutex_init(&n->lock, NULL); /* cannot fail with default attributes */
    n->job = (struct hx_job){.run = job_run, .done = job_done};
    n->config = config;
    n->worker = worker;
    (void)snprintf(n->dir, sizeof n->dir, "%s", dir);
    read_boot(n->boot);
    saved = read_saved(n, &memory);
    if (hx_net_commit_start(&n->commit, saved, n->boot, &want, now_ms) != HX_OK)
        hx_log(HX_LOG_WARNING, "network: the saved state was not ours; going on without it");
    free(memory);
    submit(n, now_ms);
    *out = n;
    return HX_OK;
}

void hx_network_close(struct hx_network *n)
{
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
}
