/* file_replace.c - see file_replace.h. */
#include "file_replace.h"

#include "file_wipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_write_all(int fd, struct hx_span data)
{
    while (data.len != 0) {
        ssize_t n = write(fd, data.ptr, data.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data = (struct hx_span){data.ptr + n, data.len - (size_t)n};
    }
    return 0;
}

static void keep_owner(int fd, const char *path, unsigned mode)
{
    struct stat old;
    bool there = stat(path, &old) == 0;

    if (there && fchown(fd, old.st_uid, old.st_gid) != 0)
        there = false; /* not ours to give away: then it is ours, with the mode that is asked for */
    /* What others may is never more than is asked for: there may be a password's hash inside now.
     * Our own file: cannot fail. */
    (void)fchmod(fd, there ? old.st_mode & (07770u | mode) : mode);
}

/* The folder that @p path lies in. @return a descriptor; -1 with errno set. */
static int open_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int n = slash == NULL ? 1 : (int)(slash - path) + 1;

    (void)snprintf(folder, sizeof folder, "%.*s", n, slash == NULL ? "." : path);
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const char *name_in_folder(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

int file_sync_folder(const char *path)
{
    int fd = open_folder(path), result, err;

    if (fd < 0)
        return -1;
    result = fsync(fd);
    err = errno;
    (void)close(fd); /* read only */
    errno = err;
    return result;
}

/* @return 0: it is on the disk; -1 with errno set. Closes @p fd. */
static int write_new(int fd, const char *old, struct hx_span data, unsigned mode)
{
    int err;

    keep_owner(fd, old, mode);
    err = file_write_all(fd, data) != 0 || fsync(fd) != 0 ? errno : 0;
    if (close(fd) != 0 && err == 0)
        err = errno;
    errno = err;
    return err == 0 ? 0 : -1;
}

enum hx_err file_replace(const char *path, struct hx_span data, unsigned mode)
{
    char real[PATH_MAX], temp[PATH_MAX];
    enum hx_err result = HX_E_IO;
    int folder, fd, err;

    if (realpath(path, real) == NULL && snprintf(real, sizeof real, "%s", path) >= (int)sizeof real)
        return HX_E_IO;
    if (snprintf(temp, sizeof temp, "%s.tmp-XXXXXX", real) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return HX_E_IO;
    }
    folder = open_folder(real);
    if (folder < 0)
        return HX_E_IO;
    fd = mkostemp(temp, O_CLOEXEC);
    if (fd >= 0 && write_new(fd, real, data, mode) == 0)
        result = file_swap(folder, name_in_folder(temp), name_in_folder(real));
    err = errno;
    if (fd >= 0 && result == HX_E_IO)
        (void)file_wipe(folder, name_in_folder(temp)); /* best effort: the disk may be gone */
    (void)close(folder);                               /* read only */
    errno = err;
    return result;
}

void file_replace_clean(const char *path)
{
    char real[PATH_MAX], *slash;
    const struct dirent *entry;
    size_t n;
    DIR *d;

    if (realpath(path, real) == NULL)
        return; /* no such file: then there is nothing beside it that was to become one */
    slash = strrchr(real, '/'); /* there is one in a real path */
    *slash = '\0';
    d = opendir(slash == real ? "/" : real);
    n = strlen(slash + 1);
    while (d != NULL && (entry = readdir(d)) != NULL)
        if (strncmp(entry->d_name, slash + 1, n) == 0 &&
            fnmatch(FILE_REPLACE_LEFTOVER, entry->d_name + n, 0) == 0)
            (void)file_wipe(dirfd(d), entry->d_name); /* tried again at the next start */
    if (d != NULL)
        (void)closedir(d); /* read only */
}
