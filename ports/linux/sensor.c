/* sensor.c - see sensor.h. */
#include "sensor.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIN_MC (-100000.0) /* 0.001 °C; outside it is no board */
#define MAX_MC 200000.0
#define RAW "_raw"

static bool read_number(const char *path, double *out)
{
    char text[32], *end;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1u) : -1;

    err = n == 0 ? ENODATA : errno;
    if (fd >= 0)
        (void)close(fd); /* only read */
    errno = err;
    if (n <= 0)
        return false;
    text[n] = '\0';
    errno = EINVAL;
    *out = strtod(text, &end);
    return end != text && (*end == '\0' || *end == '\n');
}

/* The file beside PATH_raw whose name ends in @p ending. */
static double sibling(const char *path, const char *ending, double otherwise)
{
    char name[PATH_MAX];
    double v;

    (void)snprintf(name, sizeof name, "%.*s%s", (int)(strlen(path) - strlen(RAW)), path, ending);
    return read_number(name, &v) ? v : otherwise;
}

static enum hx_err read_file(const char *path, int32_t *temp_cc)
{
    size_t n = strlen(path);
    double mc;

    if (!read_number(path, &mc))
        return errno == EINVAL ? HX_E_VALUE : HX_E_IO;
    if (n > strlen(RAW) && strcmp(path + n - strlen(RAW), RAW) == 0)
        mc = (mc + sibling(path, "_offset", 0.0)) * sibling(path, "_scale", 1.0);
    if (!(mc >= MIN_MC && mc <= MAX_MC)) /* not so for a NaN either */
        return HX_E_VALUE;
    *temp_cc = (int32_t)(mc / 10.0);
    return HX_OK;
}

static enum hx_err read_place(const char *path, int32_t *temp_cc)
{
    static const char *const names[] = {"temp1_input", "temp", "in_temp_input", "in_temp_raw"};
    char file[PATH_MAX];
    struct stat st;

    if (stat(path, &st) != 0)
        return HX_E_IO;
    if (!S_ISDIR(st.st_mode))
        return read_file(path, temp_cc);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (snprintf(file, sizeof file, "%s/%s", path, names[i]) < (int)sizeof file &&
            access(file, F_OK) == 0)
            return read_file(file, temp_cc);
    }
    errno = ENOENT;
    return HX_E_IO;
}

enum hx_err hx_sensor_read(const char *path, int32_t *temp_cc)
{
    glob_t found;
    enum hx_err err;

    if (strpbrk(path, "*?[") == NULL)
        return read_place(path, temp_cc);
    if (glob(path, 0, NULL, &found) != 0) {
        errno = ENOENT;
        return HX_E_IO;
    }
    err = read_place(found.gl_pathv[0], temp_cc);
    globfree(&found);
    return err;
}

static void run(struct hx_job *job)
{
    struct hx_sensor *s = (struct hx_sensor *)(void *)job; /* its first member */
    enum hx_err err = hx_sensor_read(s->reading, &s->temp_cc);

    s->good = err == HX_OK;
    s->error = err == HX_E_IO ? errno : 0;
}

static void done(struct hx_job *job)
{
    struct hx_sensor *s = (struct hx_sensor *)(void *)job;

    if (s->error == ECANCELED || strcmp(s->path, s->reading) != 0)
        return; /* the program ends, or another one was set meanwhile */
    if (s->good) {
        s->told = false;
        s->measured(s->ctx, s->temp_cc);
        return;
    }
    if (!s->told)
        hx_log(HX_LOG_WARNING, "no temperature can be read from %s (%s): %s", s->path, s->setting,
               s->error != 0 ? strerror(s->error) : "there is none in it");
    s->told = true;
}

void hx_sensor_init(struct hx_sensor *s, struct hx_worker *worker, const char *setting,
                    void (*measured)(void *ctx, int32_t temp_cc), void *ctx)
{
    *s = (struct hx_sensor){.job = {.run = run, .done = done},
                            .worker = worker,
                            .setting = setting,
                            .measured = measured,
                            .ctx = ctx};
}

void hx_sensor_set(struct hx_sensor *s, const char *path)
{
    if (strcmp(s->path, path) == 0)
        return;
    (void)snprintf(s->path, sizeof s->path, "%s", path); /* the settings table bounds it */
    s->told = s->begun = false;
}

void hx_sensor_tick(struct hx_sensor *s, uint64_t now_ms)
{
    if (s->path[0] == '\0' || s->job.busy || (s->begun && now_ms < s->next_ms))
        return;
    s->begun = true;
    s->next_ms = now_ms + HX_SENSOR_EVERY_MS;
    memcpy(s->reading, s->path, sizeof s->reading);
    s->good = false; /* a job that is dropped at the end has measured nothing */
    s->error = ECANCELED;
    (void)hx_worker_submit(s->worker, &s->job); /* not busy: cannot be refused */
}
