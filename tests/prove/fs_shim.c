/* fs_shim.c - sees, and on demand refuses or ends, what a program asks of the disk (LD_PRELOAD).
 * In:     FS_SHIM_WATCH: folders, separated by colons; FS_SHIM_CONTROL: a file of struct control;
 *         FS_SHIM_LOG: a file for one line an operation, or nothing.
 * Out:    the lines, in the order in which the operations were done, over all threads:
 *           open FD PATH CREATED TRUNCATED · write FD OFFSET HEX · trunc FD LENGTH · sync FD
 *           dir FD PATH · rename OLD NEW · exchange A B · unlink PATH · link OLD NEW ·
 *           mkdir PATH · close FD
 *         separated by tabs; counts in the control file.
 * State:  one process, and what it becomes by execve: counts go on in the control file. */
#undef _FILE_OFFSET_BITS /* both names of each call are to be defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))
#define FDS 4096
#define LOG_FD 900 /* out of the program's way */
#define DATA_MAX (1024u * 1024u)
#define FILES 24u
#define PAGE 4096

enum op {
    OP_CREATE = 1,
    OP_WRITE = 2,
    OP_TRUNCATE = 4,
    OP_SYNC_FILE = 8,
    OP_SYNC_FOLDER = 16,
    OP_RENAME = 32,
    OP_UNLINK = 64,
    OP_OPEN = 128, /* of a file that is there, for reading or writing */
    OP_READ = 256,
    OP_MKDIR = 512,
    OP_LINK = 1024,
    OP_HALF = 2048, /* with OP_WRITE: half is written each time, until nothing is left to halve */
};

/* What prove.py maps too: storage.py, CONTROL. */
struct control {
    int32_t count;   /* operations so far that change the disk */
    int32_t kill_at; /* the process ends by SIGKILL in place of this one; 0 never */
    int32_t fail;    /* bits of enum op that are refused */
    int32_t why;     /* with this errno */
    int32_t refused; /* how often */
    int32_t unused[3];
    char only[64]; /* refused only when this is part of the path, before a $ its end; "" all */
    struct {
        char name[32]; /* file name without the ending of temporary ones */
        uint64_t octets, pages, writes, syncs;
    } file[FILES];
    uint64_t folder_syncs, folder_changes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct control *control, idle;
static char watch[4][PATH_MAX];
static size_t watched;
static int log_fd = -1;
static char *known[FDS]; /* path of a descriptor that is watched; folders end with / */

static long raw(long n, long a, long b, long c, long d)
{
    return syscall(n, a, b, c, d);
}

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("FS_SHIM_LOG"), *where = getenv("FS_SHIM_CONTROL");
    char *list = getenv("FS_SHIM_WATCH");
    int fd = where != NULL ? open(where, O_RDWR | O_CLOEXEC) : -1;

    control = &idle;
    if (fd >= 0) {
        void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        control = at != MAP_FAILED ? at : &idle;
        close(fd);
    }
    for (list = list != NULL ? strdup(list) : NULL; list != NULL && watched < 4;) {
        const char *one = strsep(&list, ":");

        snprintf(watch[watched++], PATH_MAX, "%s", one);
    }
    if (log != NULL && *log != '\0') {
        fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        log_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD) : -1;
        close(fd);
    }
}

/* --- paths --- */

static bool is_watched(const char *path)
{
    for (size_t i = 0; i < watched; i++) {
        size_t n = strlen(watch[i]);

        if (strncmp(path, watch[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
            return true;
    }
    return false;
}

/* @return true and the whole path when it is watched. */
static bool resolve(int dir, const char *name, char out[PATH_MAX])
{
    char base[PATH_MAX] = "";

    if (name[0] != '/') {
        char link[64];
        ssize_t n = -1;

        if (dir == AT_FDCWD)
            n = getcwd(base, sizeof base) != NULL ? (ssize_t)strlen(base) : -1;
        else if (snprintf(link, sizeof link, "/proc/self/fd/%d", dir) > 0)
            n = readlink(link, base, sizeof base - 1);
        if (n < 0)
            return false;
        base[n] = '\0';
    }
    if (strcmp(name, ".") == 0)
        snprintf(out, PATH_MAX, "%s", base);
    else
        snprintf(out, PATH_MAX, "%.2000s%s%.2000s", base, *base != '\0' ? "/" : "", name);
    return is_watched(out);
}

static const char *path_of(int fd)
{
    return fd >= 0 && fd < FDS ? known[fd] : NULL;
}

static void learn(int fd, const char *path, bool folder)
{
    if (fd < 0 || fd >= FDS)
        return;
    free(known[fd]);
    known[fd] = NULL;
    if (path != NULL && asprintf(&known[fd], "%s%s", path, folder ? "/" : "") < 0)
        known[fd] = NULL;
}

/* --- what is told, refused, counted. Under lock. --- */

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    char line[2 * PATH_MAX + 128];
    va_list args;
    int n;

    if (log_fd < 0)
        return;
    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (write(log_fd, line, (size_t)n) != n) /* not watched: goes straight through */
        abort();
}

static void tell_write(int fd, off_t at, const uint8_t *data, size_t n)
{
    static char line[2 * DATA_MAX + 64];
    int len = snprintf(line, 64, "write\t%d\t%lld\t", fd, (long long)at);

    if (log_fd < 0)
        return;
    if (n > DATA_MAX)
        abort();
    for (size_t i = 0; i < n; i++, len += 2)
        snprintf(line + len, 3, "%02x", data[i]);
    line[len++] = '\n';
    if (raw(SYS_write, log_fd, (long)line, len, 0) != len)
        abort();
}

static bool is_meant(const char *path)
{
    size_t n = strlen(control->only), len = strlen(path);

    if (n == 0 || control->only[n - 1u] != '$')
        return strstr(path, control->only) != NULL;
    return len >= n - 1u && strncmp(path + len - (n - 1u), control->only, n - 1u) == 0;
}

static bool refuses(enum op op, const char *path)
{
    if ((control->fail & (int32_t)op) == 0 || !is_meant(path))
        return false;
    control->refused++;
    errno = control->why;
    return true;
}

/* @return true when it is refused. An operation that changes the disk may be the last one. */
static bool comes(enum op op, const char *path)
{
    if (++control->count == control->kill_at) {
        (void)raw(SYS_kill, getpid(), SIGKILL, 0, 0);
        for (;;)
            pause();
    }
    return refuses(op, path);
}

static size_t slot(const char *path)
{
    const char *name = strrchr(path, '/') + 1, *end = strstr(name, ".tmp");
    size_t n = end != NULL ? (size_t)(end - name) : strlen(name), i = 0;

    n = n < sizeof control->file[0].name ? n : sizeof control->file[0].name - 1u;
    while (i < FILES - 1u && control->file[i].name[0] != '\0' &&
           (strncmp(control->file[i].name, name, n) != 0 || control->file[i].name[n] != '\0'))
        i++;
    if (control->file[i].name[0] == '\0')
        memcpy(control->file[i].name, name, n);
    return i;
}

static void count_write(const char *path, off_t at, size_t n)
{
    size_t i = slot(path);

    control->file[i].octets += n;
    control->file[i].writes++;
    if (n != 0)
        control->file[i].pages += (uint64_t)((at + (off_t)n - 1) / PAGE - at / PAGE + 1);
}

/* --- opening --- */

static int do_open(int dir, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    struct stat st;
    bool there, writes = (flags & O_ACCMODE) != O_RDONLY, creates;
    int fd = -1;

    if (!resolve(dir, name, path))
        return (int)raw(SYS_openat, dir, (long)name, flags, mode);
    pthread_mutex_lock(&lock);
    there = fstatat(dir, name, &st, 0) == 0;
    creates = !there && (flags & O_CREAT) != 0;
    if (creates || (there && writes && (flags & O_TRUNC) != 0 && st.st_size != 0)) {
        if (comes(creates ? OP_CREATE : OP_TRUNCATE, path))
            goto out;
    } else if (there && !S_ISDIR(st.st_mode) && refuses(OP_OPEN, path)) {
        goto out;
    }
    fd = (int)raw(SYS_openat, dir, (long)name, flags, mode);
    if (fd < 0)
        goto out;
    if (there && S_ISDIR(st.st_mode)) {
        learn(fd, path, true);
        tell("dir\t%d\t%s\n", fd, path);
    } else {
        learn(fd, path, false);
        control->folder_changes += creates ? 1u : 0u;
        if (writes)
            tell("open\t%d\t%s\t%d\t%d\n", fd, path, creates,
                 there && (flags & O_TRUNC) != 0 && st.st_size != 0);
    }
out:
    pthread_mutex_unlock(&lock);
    return fd;
}

static int open_va(int dir, const char *name, int flags, va_list args)
{
    return do_open(dir, name, flags,
                   (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0);
}

#define OPEN(symbol)                                                                               \
    API int symbol(const char *name, int flags, ...)                                               \
    {                                                                                              \
        va_list args;                                                                              \
        int fd;                                                                                    \
        va_start(args, flags);                                                                     \
        fd = open_va(AT_FDCWD, name, flags, args);                                                 \
        va_end(args);                                                                              \
        return fd;                                                                                 \
    }
#define OPENAT(symbol)                                                                             \
    API int symbol(int dir, const char *name, int flags, ...)                                      \
    {                                                                                              \
        va_list args;                                                                              \
        int fd;                                                                                    \
        va_start(args, flags);                                                                     \
        fd = open_va(dir, name, flags, args);                                                      \
        va_end(args);                                                                              \
        return fd;                                                                                 \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

API int mkostemp(char *name, int flags)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint8_t random[6];
    size_t n = strlen(name);

    for (int attempt = 0; attempt < 100; attempt++) {
        int fd;

        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return -1;
        for (size_t i = 0; i < 6; i++)
            name[n - 6 + i] = digits[random[i] % (sizeof digits - 1u)];
        fd = do_open(AT_FDCWD, name, O_RDWR | O_CREAT | O_EXCL | flags, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

API int mkostemp64(char *name, int flags)
{
    return mkostemp(name, flags);
}

static FILE *do_fopen(const char *symbol, const char *name, const char *mode)
{
    FILE *(*real)(const char *, const char *);
    char path[PATH_MAX];
    bool no;

    *(void **)&real = dlsym(RTLD_NEXT, symbol);
    pthread_mutex_lock(&lock);
    no = resolve(AT_FDCWD, name, path) && mode[0] == 'r' && refuses(OP_OPEN | OP_READ, path);
    pthread_mutex_unlock(&lock);
    return no ? NULL : real(name, mode);
}

API FILE *fopen(const char *name, const char *mode)
{
    return do_fopen("fopen", name, mode);
}

API FILE *fopen64(const char *name, const char *mode)
{
    return do_fopen("fopen64", name, mode);
}

API int close(int fd)
{
    int result;

    if (path_of(fd) == NULL)
        return (int)raw(SYS_close, fd, 0, 0, 0);
    pthread_mutex_lock(&lock);
    tell("close\t%d\n", fd);
    learn(fd, NULL, false);
    result = (int)raw(SYS_close, fd, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- reading and writing --- */

static ssize_t do_write(int fd, const void *data, size_t n, off_t at, bool placed)
{
    ssize_t done = -1;
    struct stat st;

    pthread_mutex_lock(&lock);
    if (!placed)
        at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 && fstat(fd, &st) == 0 ? st.st_size
                                                                         : lseek(fd, 0, SEEK_CUR);
    if (comes(OP_WRITE, path_of(fd))) {
        if ((control->fail & OP_HALF) == 0 || n / 2u == 0)
            goto out;
        n /= 2u;
    }
    done = placed ? raw(SYS_pwrite64, fd, (long)data, (long)n, at)
                  : raw(SYS_write, fd, (long)data, (long)n, 0);
    if (done > 0) {
        count_write(path_of(fd), at, (size_t)done);
        tell_write(fd, at, data, (size_t)done);
    }
out:
    pthread_mutex_unlock(&lock);
    return done;
}

API ssize_t write(int fd, const void *data, size_t n)
{
    return path_of(fd) != NULL ? do_write(fd, data, n, 0, false)
                               : raw(SYS_write, fd, (long)data, (long)n, 0);
}

API ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    return path_of(fd) != NULL ? do_write(fd, data, n, at, true)
                               : raw(SYS_pwrite64, fd, (long)data, (long)n, at);
}

API ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
    return pwrite(fd, data, n, at);
}

API ssize_t writev(int fd, const struct iovec *v, int n)
{
    ssize_t sum = 0;

    if (path_of(fd) == NULL)
        return raw(SYS_writev, fd, (long)v, n, 0);
    for (int i = 0; i < n; i++) {
        ssize_t done = do_write(fd, v[i].iov_base, v[i].iov_len, 0, false);

        if (done < 0)
            return sum > 0 ? sum : -1;
        sum += done;
    }
    return sum;
}

API ssize_t read(int fd, void *data, size_t n)
{
    bool no = false;

    if (path_of(fd) != NULL) {
        pthread_mutex_lock(&lock);
        no = refuses(OP_READ, path_of(fd));
        pthread_mutex_unlock(&lock);
    }
    return no ? -1 : raw(SYS_read, fd, (long)data, (long)n, 0);
}

API ssize_t pread(int fd, void *data, size_t n, off_t at)
{
    bool no = false;

    if (path_of(fd) != NULL) {
        pthread_mutex_lock(&lock);
        no = refuses(OP_READ, path_of(fd));
        pthread_mutex_unlock(&lock);
    }
    return no ? -1 : raw(SYS_pread64, fd, (long)data, (long)n, at);
}

API ssize_t pread64(int fd, void *data, size_t n, off_t at)
{
    return pread(fd, data, n, at);
}

API int ftruncate(int fd, off_t n)
{
    int result = -1;

    if (path_of(fd) == NULL)
        return (int)raw(SYS_ftruncate, fd, n, 0, 0);
    pthread_mutex_lock(&lock);
    if (!comes(OP_TRUNCATE, path_of(fd)))
        result = (int)raw(SYS_ftruncate, fd, n, 0, 0);
    if (result == 0)
        tell("trunc\t%d\t%lld\n", fd, (long long)n);
    pthread_mutex_unlock(&lock);
    return result;
}

API int ftruncate64(int fd, off_t n)
{
    return ftruncate(fd, n);
}

static int do_sync(int fd, long number)
{
    const char *path = path_of(fd);
    int result = -1;
    bool folder;

    if (path == NULL)
        return (int)raw(number, fd, 0, 0, 0);
    pthread_mutex_lock(&lock);
    folder = path[strlen(path) - 1u] == '/';
    if (!comes(folder ? OP_SYNC_FOLDER : OP_SYNC_FILE, path))
        result = (int)raw(number, fd, 0, 0, 0);
    if (result == 0) {
        tell("sync\t%d\n", fd);
        if (folder)
            control->folder_syncs++;
        else
            control->file[slot(path)].syncs++;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

API int fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}

API int fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

/* What the model below knows nothing of: the program must not begin to use it unseen. */
API int sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
    (void)at;
    (void)n;
    (void)flags;
    tell("unknown\tsync_file_range %d\n", fd);
    return 0;
}

API int fallocate(int fd, int mode, off_t at, off_t n)
{
    (void)mode;
    (void)at;
    (void)n;
    tell("unknown\tfallocate %d\n", fd);
    errno = EOPNOTSUPP;
    return -1;
}

/* --- names --- */

static int two_names(enum op op, const char *word, int from_dir, const char *from, int to_dir,
                     const char *to, long number, unsigned flags)
{
    char a[PATH_MAX], b[PATH_MAX];
    bool watched_a = resolve(from_dir, from, a), watched_b = resolve(to_dir, to, b);
    int result = -1;

    if (!watched_a && !watched_b)
        return (int)syscall(number, from_dir, from, to_dir, to, flags);
    pthread_mutex_lock(&lock);
    if (!comes(op, b))
        result = (int)syscall(number, from_dir, from, to_dir, to, flags);
    if (result == 0) {
        control->folder_changes++;
        tell("%s\t%s\t%s\n", word, a, b);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

API int rename(const char *from, const char *to)
{
    return two_names(OP_RENAME, "rename", AT_FDCWD, from, AT_FDCWD, to, SYS_renameat2, 0);
}

API int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return two_names(OP_RENAME, "rename", from_dir, from, to_dir, to, SYS_renameat2, 0);
}

API int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return two_names(OP_RENAME, flags == RENAME_EXCHANGE ? "exchange" : "rename", from_dir, from,
                     to_dir, to, SYS_renameat2, flags);
}

API int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    (void)flags;
    return two_names(OP_LINK, "link", from_dir, from, to_dir, to, SYS_linkat, 0);
}

API int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int one_name(enum op op, const char *word, int dir, const char *name, long number, int last)
{
    char path[PATH_MAX];
    int result = -1;

    if (!resolve(dir, name, path))
        return (int)raw(number, dir, (long)name, last, 0);
    pthread_mutex_lock(&lock);
    if (!comes(op, path))
        result = (int)raw(number, dir, (long)name, last, 0);
    if (result == 0) {
        control->folder_changes++;
        tell("%s\t%s\n", word, path);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

API int unlinkat(int dir, const char *name, int flags)
{
    return one_name(OP_UNLINK, "unlink", dir, name, SYS_unlinkat, flags);
}

API int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

API int mkdirat(int dir, const char *name, mode_t mode)
{
    return one_name(OP_MKDIR, "mkdir", dir, name, SYS_mkdirat, (int)mode);
}

API int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}
