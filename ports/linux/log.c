/* log.c - see log.h. */
#include "log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool journal;             /* set once by hx_log_init */
static _Atomic uint32_t lost;    /* lines that stderr did not take */
static _Thread_local char *kept; /* hx_log_keep */
static _Thread_local size_t kept_size;

void hx_log_init(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char *end = NULL;
    unsigned long long dev, ino;
    struct stat st;

    /* The variable is inherited by children whose stderr goes elsewhere: compare, as the manual
     * page says. */
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return;
    dev = strtoull(stream, &end, 10);
    if (*end != ':')
        return;
    ino = strtoull(end + 1, NULL, 10);
    journal = st.st_dev == dev && st.st_ino == ino;
}

/* A pipe that is ready takes PIPE_BUF (4096) octets without blocking, more than a line has. */
static bool is_ready(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7F;
}

static void put(enum hx_log_level level, const char *text)
{
    char line[HX_LOG_LINE_MAX + 8u];
    int prefix = journal ? snprintf(line, sizeof line, "<%d>", (int)level) : 0;
    size_t n = (size_t)prefix;

    for (; *text != '\0' && n < sizeof line - 1u; text++, n++) {
        line[n] = *text;
        if (is_control(*text))
            line[n] = '?';
    }
    line[n++] = '\n';
    if (!is_ready() || write(STDERR_FILENO, line, n) != (ssize_t)n)
        atomic_fetch_add(&lost, 1u);
}

static void __attribute__((format(printf, 2, 0)))
put_v(enum hx_log_level level, const char *format, va_list args)
{
    char text[HX_LOG_LINE_MAX];
    uint32_t before = atomic_load(&lost);

    if (before != 0 && is_ready() && atomic_exchange(&lost, 0u) != 0) {
        (void)snprintf(text, sizeof text, "%u log lines could not be written", before);
        put(HX_LOG_WARNING, text);
    }
    (void)vsnprintf(text, sizeof text, format, args); /* cut when longer: said in log.h */
    if (kept != NULL && *kept == '\0' && level == HX_LOG_ERROR)
        (void)snprintf(kept, kept_size, "%s", text);
    put(level, text);
}

void hx_log_keep(char *text, size_t size)
{
    if (text != NULL)
        *text = '\0';
    kept = text;
    kept_size = size;
}

void hx_log(enum hx_log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_v(level, format, args);
    va_end(args);
}

bool hx_log_allow(struct hx_log_limit *l, uint64_t now_ms, uint32_t *hidden)
{
    *hidden = 0;
    if (!l->begun || now_ms - l->since_ms >= HX_LOG_INTERVAL_MS) {
        *hidden = l->hidden;
        *l = (struct hx_log_limit){.since_ms = now_ms, .begun = true};
    }
    if (l->shown < HX_LOG_BURST) {
        l->shown++;
        return true;
    }
    l->hidden++;
    return false;
}

void hx_log_limited(struct hx_log_limit *l, uint64_t now_ms, enum hx_log_level level,
                    const char *format, ...)
{
    va_list args;
    uint32_t hidden;

    if (!hx_log_allow(l, now_ms, &hidden))
        return;
    if (hidden != 0)
        hx_log(level, "%u messages like the next one were left out", hidden);
    va_start(args, format);
    put_v(level, format, args);
    va_end(args);
}
