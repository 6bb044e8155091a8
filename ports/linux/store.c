/* store.c - see store.h. */
#include "store.h"

#include "file_replace.h"
#include "file_wipe.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_DIR "/var/lib/han2x"
#define TEMP_PREFIX "state.tmp-" /* followed by TEMP_DIGITS hex digits */
#define TEMP_DIGITS 16u
#define TEMP_NAME_MAX 32u

void hx_store_choose(const char *option, char dir[PATH_MAX])
{
    const char *list = getenv("STATE_DIRECTORY"), *from = DEFAULT_DIR;
    size_t n = strlen(DEFAULT_DIR);

    if (option != NULL) {
        from = option;
        n = strlen(option);
    } else if (list != NULL && *list != '\0') {
        from = list;
        n = strcspn(list, ":"); /* systemd.exec(5): several are separated by colons */
    }
    if (n >= PATH_MAX)
        n = 0; /* hx_store_open refuses an empty one */
    memcpy(dir, from, n);
    dir[n] = '\0';
}

/* Every missing part of the path, as `mkdir -p` does. */
static int make_dir(const char *dir)
{
    char path[PATH_MAX];
    size_t len = strlen(dir);

    memcpy(path, dir, len + 1u);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0750) != 0 && errno != EEXIST)
            return -1;
        path[i] = dir[i];
    }
    return 0;
}

/* Own name instead of mkostemp: everything goes through dir_fd, so a folder that is renamed or
 * mounted over stays the one that we locked. */
static int create_temp(int dir_fd, char name[TEMP_NAME_MAX])
{
    uint64_t random;

    for (unsigned attempt = 0; attempt < 8; attempt++) {
        int fd;

        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return -1;
        (void)snprintf(name, TEMP_NAME_MAX, TEMP_PREFIX "%016llx", (unsigned long long)random);
        fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Of ours and of file_replace. */
static bool is_temp_name(const char *name)
{
    static const char *const replaced[] = {"network", "network.request", "reset", "tls.crt",
                                           "tls.key"};
    size_t n = strlen(TEMP_PREFIX);

    for (size_t i = 0; i < sizeof replaced / sizeof replaced[0]; i++) {
        size_t len = strlen(replaced[i]);

        if (strncmp(name, replaced[i], len) == 0 &&
            fnmatch(FILE_REPLACE_LEFTOVER, name + len, 0) == 0)
            return true;
    }
    return strncmp(name, TEMP_PREFIX, n) == 0 && strlen(name) == n + TEMP_DIGITS &&
           strspn(name + n, "0123456789abcdef") == TEMP_DIGITS;
}

static void remove_leftovers(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd); /* read only */
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (is_temp_name(entry->d_name))
            (void)file_wipe(dir_fd, entry->d_name); /* tried again at the next start */
    (void)closedir(dir);
}

static bool is_full(int err)
{
    return err == ENOSPC || err == EDQUOT;
}

static int try_writing(int dir_fd)
{
    char name[TEMP_NAME_MAX];
    int fd = create_temp(dir_fd, name);

    if (fd < 0)
        return -1;
    (void)close(fd); /* empty */
    return unlinkat(dir_fd, name, 0);
}

static enum hx_err refuse(struct hx_store *s, const char *dir, const char *why)
{
    hx_store_close(s);
    hx_log(HX_LOG_ERROR,
           "state folder %s: %s; choose another with --state-dir DIR or make this one writable",
           dir, why);
    return HX_E_IO;
}

enum hx_err hx_store_open(struct hx_store *s, const char *dir)
{
    s->dir_fd = -1;
    if (*dir == '\0' || strlen(dir) >= sizeof s->dir)
        return refuse(s, dir, "not a usable path");
    memcpy(s->dir, dir, strlen(dir) + 1u);
    if (make_dir(dir) != 0)
        return refuse(s, dir, strerror(errno));
    s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0)
        return refuse(s, dir, strerror(errno));
    if (flock(s->dir_fd, LOCK_EX | LOCK_NB) != 0)
        return refuse(s, dir,
                      errno == EWOULDBLOCK ? "another gateway is using it" : strerror(errno));
    remove_leftovers(s->dir_fd);
    if (try_writing(s->dir_fd) == 0)
        return HX_OK;
    if (!is_full(errno))
        return refuse(s, dir, strerror(errno));
    hx_log(HX_LOG_WARNING, "state folder %s: %s; going on without saving", dir, strerror(errno));
    return HX_OK;
}

const char *hx_store_name(enum hx_store_file which)
{
    return which == HX_STORE_FIRST ? HX_STORE_FILE : HX_STORE_COPY;
}

enum hx_err hx_store_read(const struct hx_store *s, enum hx_store_file which, uint8_t *out,
                          size_t cap, size_t *len)
{
    int fd = openat(s->dir_fd, hx_store_name(which), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    size_t have = 0;
    ssize_t n = 0;

    if (fd < 0)
        return errno == ENOENT ? HX_MORE : HX_E_IO;
    while (have < cap && (n = read(fd, out + have, cap - have)) > 0)
        have += (size_t)n;
    if (n < 0) {
        int err = errno;

        (void)close(fd); /* read only */
        errno = err;
        return HX_E_IO;
    }
    (void)close(fd); /* read only */
    if (have == cap)
        return HX_E_SPACE;
    *len = have;
    return HX_OK;
}

/* In place: a rename each minute costs a flash disk some thirty times as much, and a full disk
 * takes what needs no new room. A power cut here leaves half of it: then there is the other file.
 */
static int rewrite(const struct hx_store *s, enum hx_store_file which, struct hx_span data)
{
    int fd = openat(s->dir_fd, hx_store_name(which),
                    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    struct stat st;
    int err = 0;

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0 || file_write_all(fd, data) != 0 ||
        (st.st_size > (off_t)data.len && ftruncate(fd, (off_t)data.len) != 0) || fdatasync(fd) != 0)
        err = errno;
    if (close(fd) != 0 && err == 0)
        err = errno;
    if (err == 0 && st.st_size == 0 && fsync(s->dir_fd) != 0) /* its name is new */
        err = errno;
    return err;
}

enum hx_err hx_store_write(const struct hx_store *s, struct hx_span data)
{
    int err = rewrite(s, HX_STORE_FIRST, data); /* on the disk before the other is touched */
    enum hx_err result = HX_E_IO;

    if (err == 0) {
        err = rewrite(s, HX_STORE_SECOND, data);
        result = err == 0 ? HX_OK : HX_MORE;
    }
    errno = err;
    return result;
}

enum hx_err hx_store_set_aside(const struct hx_store *s, enum hx_store_file which)
{
    char bad[TEMP_NAME_MAX];

    (void)snprintf(bad, sizeof bad, "%s" HX_STORE_BAD, hx_store_name(which));
    file_scrub(s->dir_fd, bad); /* one from before: there is room for one */
    if (renameat(s->dir_fd, hx_store_name(which), s->dir_fd, bad) != 0)
        return HX_E_IO;
    (void)fsync(s->dir_fd); /* before a new file takes the name: else a power cut may lose it */
    return HX_OK;
}

void hx_store_close(struct hx_store *s)
{
    if (s->dir_fd >= 0)
        (void)close(s->dir_fd); /* gives the lock back */
    s->dir_fd = -1;
}
