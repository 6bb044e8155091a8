/* fuzz.h - what several fuzz targets need.
 * In:     conditions that must hold; a folder for targets that read files.
 * State:  none, but for the folder, which is removed at the end. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "hx/base.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A finding: libFuzzer keeps the input and shows the trace, for which files must be writable. */
static inline void fuzz_fail(int line, const char *what)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_FSIZE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_FSIZE, &l);
    }
    (void)fprintf(stderr, "line %d: %s\n", line, what);
    abort();
}
#define REQUIRE(x) ((x) ? (void)0 : fuzz_fail(__LINE__, #x))

/** Take the first octet, 0 at the end. */
static inline uint8_t fuzz_octet(struct hx_span *in)
{
    uint8_t v = in->len > 0 ? in->ptr[0] : 0;

    if (in->len > 0)
        *in = (struct hx_span){in->ptr + 1, in->len - 1u};
    return v;
}

/** Take up to @p n octets. */
static inline struct hx_span fuzz_take(struct hx_span *in, size_t n)
{
    struct hx_span part = {in->ptr, n < in->len ? n : in->len};

    *in = (struct hx_span){in->ptr + part.len, in->len - part.len};
    return part;
}

/** A copy of exactly its size, so that a read beyond the end shows; to be freed. */
static inline uint8_t *fuzz_copy(struct hx_span s)
{
    uint8_t *copy = malloc(s.len > 0 ? s.len : 1u);

    REQUIRE(copy != NULL);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

/** The same with a NUL behind it. */
static inline char *fuzz_text(struct hx_span s)
{
    char *copy = malloc(s.len + 1u);

    REQUIRE(copy != NULL);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

static char fuzz_path[64];

static inline int fuzz_remove(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static inline void fuzz_remove_folder(void)
{
    (void)nftw(fuzz_path, fuzz_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/** A folder in memory, empty when it is made. */
static inline const char *fuzz_folder(void)
{
    if (fuzz_path[0] == '\0') {
        (void)snprintf(fuzz_path, sizeof fuzz_path, "/dev/shm/han2x-fuzz-XXXXXX");
        REQUIRE(mkdtemp(fuzz_path) != NULL && atexit(fuzz_remove_folder) == 0);
    }
    return fuzz_path;
}

/** @return a descriptor of that folder, for the whole run. */
static inline int fuzz_open_folder(void)
{
    int fd = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    REQUIRE(fd >= 0);
    return fd;
}

/** Put a file into folder @p dir_fd, in place of what was there. */
static inline void fuzz_put_file(int dir_fd, const char *name, struct hx_span s)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    REQUIRE(fd >= 0 && (s.len == 0 || write(fd, s.ptr, s.len) == (ssize_t)s.len));
    (void)close(fd);
}

#endif
