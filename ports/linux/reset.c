/* reset.c - see reset.h. */
#include "reset.h"

#include "backlog.h"
#include "config.h"
#include "file_replace.h"
#include "file_text.h"
#include "file_wipe.h"
#include "log.h"
#include "store.h"

#include "hx/gateway.h"
#include "hx/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK_MAX 256u
#define MARK_TEXT "han2x-reset 1\nnumber %" PRIu32 "\nstarts %" PRIu32 "\n"

/* Every file that the program keeps in the state folder: a new one belongs here, or it outlives the
 * reset (tests/e2e/test_panel.py looks). Files of other names are not ours to remove. */
static const char *const ours[] = {
    HX_STORE_FILE,   "state.*", /* last energies, scale, meter; its copy, and what was set aside */
    HX_BACKLOG_FILE, "hours.*", /* hourly readings for the broker */
    "audit",         "audit.*", /* names and addresses of people */
    "tls.*",                    /* key and certificate */
    "network",       "network.*", /* a change that waits for its confirmation */
    "history",       "history.*", /* consumption */
    "mqtt.*",        "web.*",
};

/* Settings that name a file. Those in the state folder were put there for us. */
static const enum hx_setting_id file_settings[] = {
    HX_S_MQTT_PASSWORD_FILE, HX_S_MQTT_CA_FILE, HX_S_MQTT_CLIENT_CERT,       HX_S_MQTT_CLIENT_KEY,
    HX_S_WEB_TLS_CERT,       HX_S_WEB_TLS_KEY,  HX_S_WEB_PASSWORD_HASH_FILE,
};

struct reset {
    const char *dir, *settings;
    const struct hx_reset_watch *watch;
    int dir_fd;
    struct hx_reset_keep keep;
};

static void step(const struct reset *r, const char *what)
{
    if (r->watch != NULL)
        r->watch->step(r->watch->ctx, what);
}

static enum hx_err complain(const char *folder, const char *name)
{
    hx_log(HX_LOG_ERROR, "factory reset: %s%s%s: %s", folder, *folder != '\0' ? "/" : "", name,
           strerror(errno));
    return HX_E_IO;
}

/* --- asking --- */

static bool can_replace(const char *path)
{
    char copy[PATH_MAX];

    if (access(path, F_OK) != 0)
        return errno == ENOENT; /* never written: already as from the factory */
    if (access(path, W_OK) == 0)
        return true;
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return false;
    return access(dirname(copy), W_OK) == 0;
}

enum hx_err hx_reset_request(const char *state_dir, const char *settings,
                             const struct hx_reset_keep *keep, char why[HX_RESET_WHY])
{
    char path[PATH_MAX], text[MARK_MAX];
    int n = snprintf(text, sizeof text, MARK_TEXT, keep->device_number, keep->starts);

    if (!can_replace(settings)) {
        (void)snprintf(why, HX_RESET_WHY, "the settings file %.120s cannot be written", settings);
        return HX_E_IO;
    }
    /* HX_MORE, the folder not synced: a power cut now leaves all old, the start after us resets. */
    if (snprintf(path, sizeof path, "%s/" HX_RESET_MARK, state_dir) < (int)sizeof path &&
        file_replace(path, (struct hx_span){(const uint8_t *)text, (size_t)n}, 0600) >= HX_OK)
        return HX_OK;
    (void)snprintf(why, HX_RESET_WHY, "%.120s/" HX_RESET_MARK " cannot be written: %s", state_dir,
                   strerror(errno));
    return HX_E_IO;
}

/* --- wiping files --- */

/* So that a raw look at the disk finds nothing. */
static void scrub(const struct reset *r, int folder, const char *name)
{
    step(r, "overwrite");
    file_scrub(folder, name);
}

static enum hx_err wipe(const struct reset *r, int folder, const char *folder_name,
                        const char *name)
{
    scrub(r, folder, name);
    step(r, "remove");
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return HX_OK;
    return complain(folder_name, name);
}

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (fnmatch(ours[i], name, 0) == 0)
            return true;
    return false;
}

/* Wipe what @p matches in a folder. @return HX_OK; HX_E_IO something stayed. */
static enum hx_err wipe_folder(const struct reset *r, const char *folder,
                               bool (*matches)(const char *name, const char *base),
                               const char *base)
{
    DIR *d = opendir(folder);
    const struct dirent *entry;
    enum hx_err err = HX_OK;

    if (d == NULL)
        return complain("", folder);
    while ((entry = readdir(d)) != NULL) {
        struct stat st;

        if (!matches(entry->d_name, base) ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
            continue;
        if (wipe(r, dirfd(d), folder, entry->d_name) != HX_OK)
            err = HX_E_IO;
    }
    /* What was removed must not come back once the mark is gone. */
    if (err == HX_OK && fsync(dirfd(d)) != 0)
        err = complain("", folder);
    (void)closedir(d); /* synced */
    return err;
}

static bool matches_ours(const char *name, const char *base)
{
    (void)base;
    return is_ours(name) || fnmatch(HX_RESET_MARK FILE_REPLACE_LEFTOVER, name, 0) == 0;
}

static bool matches_leftover(const char *name, const char *base)
{
    size_t n = strlen(base);

    return strncmp(name, base, n) == 0 && fnmatch(FILE_REPLACE_LEFTOVER, name + n, 0) == 0;
}

/* --- settings --- */

/* Files in the state folder that the settings name. Done while the settings can be read: later
 * there is nothing left that names them. */
static enum hx_err wipe_named_files(const struct reset *r, struct hx_span text)
{
    struct hx_settings *s = malloc(sizeof *s);
    struct hx_settings_fault fault;
    size_t dir_len = strlen(r->dir);
    enum hx_err err = HX_OK;

    if (s == NULL)
        return complain("", r->settings);
    hx_settings_init(s);
    (void)hx_settings_parse(s, text, &fault); /* as far as it can be read */
    for (size_t i = 0; i < sizeof file_settings / sizeof file_settings[0]; i++) {
        const char *path = s->text[file_settings[i]];

        if (strncmp(path, r->dir, dir_len) != 0 || path[dir_len] != '/' ||
            strchr(path + dir_len + 1, '/') != NULL ||
            strcmp(path + dir_len + 1, HX_RESET_MARK) == 0)
            continue;
        if (wipe(r, r->dir_fd, r->dir, path + dir_len + 1) != HX_OK)
            err = HX_E_IO;
    }
    explicit_bzero(s, sizeof *s);
    free(s);
    /* On the disk before the settings that name them are gone. */
    if (err == HX_OK && fsync(r->dir_fd) != 0)
        err = complain("", r->dir);
    return err;
}

/* @return the text that the settings file gets, to be freed; NULL no memory. */
static uint8_t *factory_text(const struct reset *r, struct hx_span *text)
{
    char path[PATH_MAX];
    struct hx_settings *s;
    struct hx_wr w = {.cap = CONFIG_FILE_MAX};
    uint8_t *memory;

    if (snprintf(path, sizeof path, "%s" HX_RESET_FACTORY_SUFFIX, r->settings) < (int)sizeof path &&
        file_text_read(path, CONFIG_FILE_MAX, &memory, text))
        return memory;
    s = malloc(sizeof *s);
    w.ptr = malloc(w.cap);
    if (s != NULL && w.ptr != NULL) {
        hx_settings_init(s);
        hx_settings_file(&w, s);
        HX_ASSERT(w.err == HX_OK);
        *text = (struct hx_span){w.ptr, w.len};
    }
    free(s);
    return w.ptr;
}

/* A file in a folder that we may not write: in place. A cut in between is mended at the next start.
 */
static bool write_in_place(const char *path, struct hx_span text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
    bool good;

    if (fd < 0)
        return false;
    good = write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    (void)close(fd); /* synced */
    return good;
}

static enum hx_err wipe_settings(const struct reset *r)
{
    struct hx_span old, text = {NULL, 0};
    uint8_t *memory = NULL;
    enum hx_err err;

    if (access(r->settings, F_OK) != 0 && errno == ENOENT)
        return HX_OK; /* as from the factory */
    if (file_text_read(r->settings, CONFIG_FILE_MAX, &memory, &old)) {
        err = wipe_named_files(r, old);
        explicit_bzero(memory, old.len);
        free(memory);
        if (err != HX_OK)
            return err;
    }
    memory = factory_text(r, &text);
    if (memory == NULL)
        return complain("", r->settings);
    scrub(r, AT_FDCWD, r->settings);
    step(r, "settings");
    err = file_replace(r->settings, text, 0600);
    if (err == HX_E_IO && write_in_place(r->settings, text))
        err = HX_OK;
    free(memory);
    return err == HX_OK ? HX_OK : complain("", r->settings);
}

/* Temporary files of the settings that a power cut left: they hold what the settings held. */
static enum hx_err wipe_leftovers(const struct reset *r)
{
    char real[PATH_MAX], folder[PATH_MAX];
    char *slash;

    if (realpath(r->settings, real) == NULL)
        return HX_OK; /* no such file */
    memcpy(folder, real, sizeof folder);
    slash = strrchr(folder, '/'); /* there is one in a real path */
    *slash = '\0';
    return wipe_folder(r, *folder != '\0' ? folder : "/", matches_leftover, strrchr(real, '/') + 1);
}

/* --- the state folder --- */

/* @return the number behind @p key; 0 in a mark that was made by hand: the device draws another. */
static uint32_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    unsigned long v = at != NULL ? strtoul(at + strlen(key), NULL, 10) : 0;

    return v <= UINT32_MAX ? (uint32_t)v : 0;
}

static void read_mark(struct reset *r)
{
    char text[MARK_MAX + 1u];
    int fd = openat(r->dir_fd, HX_RESET_MARK, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, text, MARK_MAX) : -1;

    if (fd >= 0)
        (void)close(fd); /* only read */
    text[n > 0 ? n : 0] = '\0';
    r->keep =
        (struct hx_reset_keep){number_after(text, "\nnumber "), number_after(text, "\nstarts ")};
}

/* The number and the count of starts are the device's, not its user's. */
static enum hx_err write_state(const struct reset *r)
{
    struct hx_gateway *g = calloc(1, sizeof *g);
    struct hx_store store = {.dir_fd = r->dir_fd};
    uint8_t text[HX_GW_SAVED_MAX];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};
    enum hx_err err = HX_E_IO;

    if (g == NULL)
        return complain(r->dir, HX_STORE_FILE);
    hx_gw_init(g, 0);
    g->state.device_number = r->keep.device_number;
    g->state.starts = r->keep.starts;
    hx_gw_save(g, &w);
    step(r, "state");
    if (w.err == HX_OK)
        err = hx_store_write(&store, (struct hx_span){text, w.len});
    free(g);
    return err == HX_OK ? HX_OK : complain(r->dir, HX_STORE_FILE);
}

static enum hx_err remove_mark(const struct reset *r)
{
    if (fsync(r->dir_fd) != 0)
        return complain("", r->dir);
    step(r, "mark");
    if (unlinkat(r->dir_fd, HX_RESET_MARK, 0) != 0)
        return complain(r->dir, HX_RESET_MARK);
    step(r, "end");
    return fsync(r->dir_fd) == 0 ? HX_OK : complain("", r->dir);
}

static enum hx_err carry_out(struct reset *r)
{
    enum hx_err err;

    if (flock(r->dir_fd, LOCK_EX | LOCK_NB) != 0)
        return complain("", r->dir);
    hx_log(HX_LOG_NOTICE, "factory reset: wiping %s and %s", r->settings, r->dir);
    read_mark(r);
    err = wipe_settings(r);
    if (err == HX_OK)
        err = wipe_leftovers(r);
    if (err == HX_OK)
        err = wipe_folder(r, r->dir, matches_ours, "");
    if (err == HX_OK)
        err = write_state(r);
    if (err == HX_OK)
        err = remove_mark(r);
    if (err == HX_OK)
        hx_log(HX_LOG_NOTICE, "factory reset: done");
    return err;
}

enum hx_err hx_reset_resume(const char *state_dir, const char *settings,
                            const struct hx_reset_watch *watch)
{
    struct reset r = {.dir = state_dir, .settings = settings, .watch = watch};
    enum hx_err err = HX_MORE;

    r.dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.dir_fd < 0)
        return HX_MORE; /* no folder yet; what is wrong with one is told when it is opened */
    if (faccessat(r.dir_fd, HX_RESET_MARK, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        err = carry_out(&r);
    (void)close(r.dir_fd); /* gives the lock back */
    return err;
}
