/* file_wipe.c - see file_wipe.h. */
#include "file_wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int overwrite(int fd, off_t size)
{
    static const uint8_t zeros[4096];

    for (off_t at = 0; at < size; at += (off_t)sizeof zeros) {
        off_t left = size - at;
        size_t n = left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros;

        if (pwrite(fd, zeros, n, at) != (ssize_t)n)
            return -1;
    }
    return fsync(fd); /* else the pages of a removed file are dropped, not written */
}

static int open_old(int folder, const char *name)
{
    return openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

/* @param names  that the file may have: more are somebody's copies. */
static void scrub(int fd, nlink_t names)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink <= names && st.st_size > 0 &&
        st.st_size <= FILE_WIPE_MAX)
        (void)overwrite(fd, st.st_size); /* a broken disk: gone all the same */
}

void file_scrub(int folder, const char *name)
{
    int fd = open_old(folder, name);

    if (fd < 0)
        return; /* not ours to write; perhaps ours to remove */
    scrub(fd, 1);
    (void)close(fd); /* synced */
}

int file_wipe(int folder, const char *name)
{
    file_scrub(folder, name);
    return unlinkat(folder, name, 0);
}

/* musl has had the function for a short time only. */
static bool exchange(int folder, const char *a, const char *b)
{
#ifdef __GLIBC__
    return renameat2(folder, a, folder, b, RENAME_EXCHANGE) == 0;
#else
    return syscall(SYS_renameat2, folder, a, folder, b, RENAME_EXCHANGE) == 0;
#endif
}

enum hx_err file_swap(int folder, const char *temp, const char *name)
{
    int old = open_old(folder, name), err = 0;
    /* The old one keeps a name until it is overwritten: after a power cut it can be found. Not
     * every file system can exchange; then the descriptor alone holds it. */
    bool exchanged = old >= 0 && exchange(folder, temp, name);

    if (!exchanged && renameat(folder, temp, folder, name) != 0) {
        err = errno;
        if (old >= 0)
            (void)close(old); /* as it was */
        errno = err;
        return HX_E_IO;
    }
    /* First the new one must be sure: zeros that reach the disk before the rename does would be
     * what a power cut leaves. */
    if (fsync(folder) != 0)
        err = errno;
    else if (old >= 0)
        scrub(old, exchanged ? 1 : 0);
    if (exchanged)
        (void)unlinkat(folder, temp, 0); /* or at the next start */
    if (old >= 0)
        (void)close(old); /* synced */
    errno = err;
    return err == 0 ? HX_OK : HX_MORE;
}
