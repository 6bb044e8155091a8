/* file_text.c - see file_text.h */
#include "file_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ATTEMPTS 8u

/* A file that was replaced meanwhile is overwritten after that (file_wipe.h): what was read of it
 * may be zeros. */
static bool is_replaced(FILE *f, const char *path)
{
    struct stat ours, now;

    return fstat(fileno(f), &ours) == 0 && stat(path, &now) == 0 &&
           (ours.st_dev != now.st_dev || ours.st_ino != now.st_ino);
}

static bool read_once(const char *path, size_t max, uint8_t **memory, struct hx_span *text,
                      bool *replaced)
{
    uint8_t *buf = NULL;
    size_t len;
    int why = 0;
    FILE *f = fopen(path, "re");

    *replaced = false;
    if (f == NULL)
        return false;
    buf = malloc(max + 1u);
    if (buf == NULL) {
        why = ENOMEM;
        goto out;
    }
    errno = 0;
    len = fread(buf, 1, max + 1u, f);
    if (ferror(f) != 0)
        why = errno != 0 ? errno : EIO;
    else if (len > max)
        why = EFBIG;
    if (why == 0) {
        buf[len] = '\0';
        *memory = buf;
        *text = (struct hx_span){buf, len};
        buf = NULL;
    }
out:
    *replaced = is_replaced(f, path);
    (void)fclose(f); /* only read */
    free(buf);
    errno = why;
    return why == 0;
}

bool file_text_read(const char *path, size_t max, uint8_t **memory, struct hx_span *text)
{
    bool replaced, good = read_once(path, max, memory, text, &replaced);

    for (unsigned attempt = 1; replaced && attempt < ATTEMPTS; attempt++) {
        if (good)
            free(*memory);
        good = read_once(path, max, memory, text, &replaced);
    }
    return good;
}
