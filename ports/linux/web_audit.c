/* web_audit.c - see web_audit.h. */
#include "web_audit.h"

#include "file_replace.h"
#include "file_text.h"
#include "file_wipe.h"
#include "log.h"
#include "web_said.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NEW "audit"
#define FILE_OLD "audit.1"
#define FIELDS 5u
#define LINE_MAX_OCTETS 400u
#define FILE_MAX_OCTETS (2u * HX_AUDIT_LINES * LINE_MAX_OCTETS)

static const char *const names[HX_NOTE_COUNT] = {
    [HX_NOTE_START] = "start",
    [HX_NOTE_LOGIN] = "login",
    [HX_NOTE_LOGIN_FAILED] = "login_failed",
    [HX_NOTE_LOGOUT] = "logout",
    [HX_NOTE_PASSWORD] = "password",
    [HX_NOTE_SETTINGS] = "settings",
    [HX_NOTE_MODBUS_WRITE] = "modbus_write",
    [HX_NOTE_RESTART] = "restart",
    [HX_NOTE_FACTORY_RESET] = "factory_reset",
    [HX_NOTE_BACKUP] = "backup",
    [HX_NOTE_RESTORE] = "restore",
    [HX_NOTE_NETWORK] = "network",
    [HX_NOTE_CLOCK] = "clock",
};

const char *hx_note_name(enum hx_note note)
{
    return names[note];
}

/* --- lines --- */

struct line {
    uint32_t number;
    int64_t utc_ms;
    struct hx_span kind, from, text;
};

static bool is_kind(struct hx_span s)
{
    for (size_t i = 0; i < HX_NOTE_COUNT; i++)
        if (strlen(names[i]) == s.len && memcmp(names[i], s.ptr, s.len) == 0)
            return true;
    return false;
}

static bool read_number(struct hx_span s, int64_t *out)
{
    *out = 0;
    if (s.len == 0 || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        *out = *out * 10 + (s.ptr[i] - '0');
    }
    return true;
}

/* @return false for a line that a power cut left, or that is not ours. */
static bool parse_line(struct hx_span s, struct line *out)
{
    struct hx_span field[FIELDS];
    int64_t number;

    for (size_t i = 0; i < FIELDS; i++) {
        const uint8_t *tab = i + 1 < FIELDS ? memchr(s.ptr, '\t', s.len) : s.ptr + s.len;

        if (tab == NULL)
            return false;
        field[i] = (struct hx_span){s.ptr, (size_t)(tab - s.ptr)};
        if (i + 1 < FIELDS)
            s = (struct hx_span){tab + 1, s.len - field[i].len - 1u};
    }
    if (!read_number(field[0], &number) || number > UINT32_MAX ||
        !read_number(field[1], &out->utc_ms) || !is_kind(field[2]))
        return false;
    *out = (struct line){(uint32_t)number, out->utc_ms, field[2], field[3], field[4]};
    return true;
}

/* Take the last line off @p text. @return false when there is none. */
static bool last_line(struct hx_span *text, struct hx_span *line)
{
    size_t end = text->len, from;

    while (end > 0 && text->ptr[end - 1] == '\n')
        end--;
    if (end == 0)
        return false;
    from = end;
    while (from > 0 && text->ptr[from - 1] != '\n')
        from--;
    *line = (struct hx_span){text->ptr + from, end - from};
    text->len = from;
    return true;
}

/* --- files --- */

static bool read_file(const struct hx_web_audit *a, const char *name, uint8_t **memory,
                      struct hx_span *text)
{
    char path[PATH_MAX];

    *memory = NULL;
    *text = (struct hx_span){NULL, 0};
    if (snprintf(path, sizeof path, "%s/%s", a->dir, name) >= (int)sizeof path)
        return false;
    return file_text_read(path, FILE_MAX_OCTETS, memory, text);
}

static uint32_t newest_number(struct hx_span text)
{
    struct hx_span line;
    struct line entry;

    while (last_line(&text, &line))
        if (parse_line(line, &entry))
            return entry.number;
    return 0;
}

static void open_file(struct hx_web_audit *a)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/" FILE_NEW, a->dir) < (int)sizeof path)
        a->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (a->fd < 0)
        hx_log(HX_LOG_WARNING, "%s/" FILE_NEW ": %s; events are not recorded", a->dir,
               strerror(errno));
}

void hx_audit_open(struct hx_web_audit *a, const char *dir)
{
    struct hx_span text;
    uint8_t *memory;
    bool cut;

    *a = (struct hx_web_audit){.dir = dir, .fd = -1};
    if (read_file(a, FILE_OLD, &memory, &text))
        a->number = newest_number(text);
    free(memory);
    (void)read_file(a, FILE_NEW, &memory, &text); /* none yet: no text */
    for (size_t i = 0; i < text.len; i++)
        a->lines += text.ptr[i] == '\n' ? 1u : 0u;
    if (text.len != 0 && newest_number(text) != 0)
        a->number = newest_number(text);
    cut = text.len != 0 && text.ptr[text.len - 1] != '\n';
    free(memory);
    open_file(a);
    if (cut && a->fd >= 0 && write(a->fd, "\n", 1) == 1)
        a->lines++;
}

static void rotate(struct hx_web_audit *a)
{
    char from[PATH_MAX], to[PATH_MAX];

    /* Synced, and the folder before another file takes the name: a power cut must not take a
     * thousand entries. It may take the newest, which nothing waits for. */
    if (snprintf(from, sizeof from, "%s/" FILE_NEW, a->dir) >= (int)sizeof from ||
        snprintf(to, sizeof to, "%s/" FILE_OLD, a->dir) >= (int)sizeof to ||
        (a->fd >= 0 && fdatasync(a->fd) != 0))
        return; /* it grows on, and the next entry tries again */
    file_scrub(AT_FDCWD, to);
    if (rename(from, to) != 0)
        return;                   /* as before */
    (void)file_sync_folder(from); /* a folder that cannot be synced is told with the settings */
    if (a->fd >= 0)
        (void)close(a->fd); /* appended to with write: nothing is held back */
    a->fd = -1;
    a->lines = 0;
    open_file(a);
}

void hx_audit_add(struct hx_web_audit *a, enum hx_note note, int64_t utc_ms, const char *from,
                  const char *text)
{
    char line[LINE_MAX_OCTETS];
    uint32_t number = a->number < UINT32_MAX ? a->number + 1u : 1u; /* 0 means none */
    int n;

    if (a->lines >= HX_AUDIT_LINES)
        rotate(a);
    n = snprintf(line, sizeof line, "%" PRIu32 "\t%" PRId64 "\t%s\t%.64s\t%.*s", number,
                 utc_ms > 0 ? utc_ms : 0, names[note], from, (int)HX_AUDIT_TEXT, text);
    HX_ASSERT(n > 0 && n < (int)sizeof line - 1);
    for (int i = 0, tabs = 0; i < n; i++) {
        tabs += line[i] == '\t' ? 1 : 0;
        if ((unsigned char)line[i] < 0x20 && (line[i] != '\t' || tabs >= (int)FIELDS))
            line[i] = '?';
    }
    line[n++] = '\n';
    a->number = number;
    if (a->fd >= 0 && write(a->fd, line, (size_t)n) == n)
        a->lines++; /* else the disk is full: said elsewhere */
}

/* --- JSON --- */

static unsigned put_entries(struct hx_span text, unsigned count, struct hx_web_out *o)
{
    struct hx_span line;
    struct line e;

    while (count > 0 && last_line(&text, &line)) {
        if (!parse_line(line, &e))
            continue;
        hx_web_open_object(o, NULL);
        hx_web_int(o, "number", e.number);
        hx_web_time(o, "time", e.utc_ms != 0, e.utc_ms);
        hx_web_span(o, "kind", e.kind);
        hx_web_span(o, "from", e.from);
        hx_web_span(o, "text", e.text);
        hx_web_put_said(o, "text", e.text);
        hx_web_close_object(o);
        count--;
    }
    return count;
}

void hx_audit_json(const struct hx_web_audit *a, unsigned count, struct hx_web_out *o)
{
    static const char *const files[] = {FILE_NEW, FILE_OLD};

    hx_web_open_object(o, NULL);
    hx_web_open_array(o, "entries");
    for (size_t i = 0; i < 2 && count > 0; i++) {
        struct hx_span text;
        uint8_t *memory;

        if (read_file(a, files[i], &memory, &text))
            count = put_entries(text, count, o);
        free(memory);
    }
    hx_web_close_array(o);
    hx_web_close_object(o);
}

void hx_audit_close(struct hx_web_audit *a)
{
    if (a->fd >= 0)
        (void)close(a->fd); /* appended to with write: nothing is held back */
    a->fd = -1;
}
