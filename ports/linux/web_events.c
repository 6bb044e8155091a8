/* web_events.c - server-sent events: the readings, pushed at each telegram.
 * A listener holds at most one message that it is reading, and the newest: whoever reads slowly
 * misses some, and whoever does not read at all is dropped.
 * Source: WHATWG HTML, "Server-sent events". */
#include "web_inside.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define EVERY_MS 10000u /* at least, so that a listener knows that we live */
#define STALL_MS 30000u
#define BLOCK 4096u

struct hx_web_message {
    unsigned refs;
    uint32_t number;
    size_t len;
    char text[];
};

struct hx_web_stream {
    struct hx_web_stream *next;
    struct hx_web *web;
    struct hx_web_conn *conn;
    char token[2u * HX_WEB_TOKEN + 1u];
    struct hx_web_message *reading;
    size_t at;
    uint32_t seen; /* number of the newest message that was begun */
    bool waiting;  /* suspended until there is another */
    bool ended;
    uint64_t moved_ms; /* it took something */
};

static void unref(struct hx_web_message *m)
{
    if (m != NULL && --m->refs == 0)
        free(m);
}

static void wake(struct hx_web_stream *s)
{
    if (!s->waiting)
        return;
    s->waiting = false;
    s->moved_ms = hx_clock_ms();
    MHD_resume_connection(s->conn->mhd);
}

/* --- one listener --- */

static void next_message(struct hx_web_stream *s)
{
    struct hx_web_message *m = s->web->newest;

    if (s->reading != NULL || m == NULL || m->number == s->seen)
        return;
    s->reading = m;
    m->refs++;
    s->at = 0;
    s->seen = m->number;
}

static ssize_t on_read(void *cls, uint64_t pos, char *buffer, size_t max)
{
    struct hx_web_stream *s = cls;
    size_t n;

    (void)pos;
    if (s->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    next_message(s);
    if (s->reading == NULL) {
        s->waiting = true;
        MHD_suspend_connection(s->conn->mhd);
        return 0;
    }
    n = s->reading->len - s->at < max ? s->reading->len - s->at : max;
    memcpy(buffer, s->reading->text + s->at, n);
    s->at += n;
    s->moved_ms = hx_clock_ms();
    if (s->at == s->reading->len) {
        unref(s->reading);
        s->reading = NULL;
    }
    return (ssize_t)n;
}

void hx_web_events_forget(struct hx_web_stream *s)
{
    struct hx_web_stream **at = &s->web->streams;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->web->stream_count--;
    unref(s->reading);
    free(s);
}

static void on_free(void *cls)
{
    hx_web_events_forget(cls);
}

void hx_api_events(struct hx_web_request *r)
{
    struct hx_web *w = r->web;
    struct hx_web_stream *s = w->stream_count < HX_WEB_STREAMS ? calloc(1, sizeof *s) : NULL;

    if (s == NULL) {
        r->retry_s = 30;
        hx_web_fail(r, 503, "busy", "there are %u listeners already", HX_WEB_STREAMS);
        return;
    }
    s->web = w;
    s->conn = r->conn;
    s->moved_ms = hx_clock_ms();
    memcpy(s->token, r->token, sizeof s->token);
    s->next = w->streams;
    w->streams = s;
    w->stream_count++;
    r->stream = s;
    if (w->newest == NULL)
        hx_web_events_post(w, s->moved_ms);
    hx_web_reply(r, 200);
}

struct MHD_Response *hx_web_events_response(struct hx_web_request *r)
{
    struct MHD_Response *m =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_read, r->stream, on_free);

    if (m == NULL) {
        on_free(r->stream);
        return NULL;
    }
    (void)MHD_add_response_header(m, "Content-Type", "text/event-stream");
    (void)MHD_add_response_header(m, "Cache-Control", "no-store");
    return m;
}

/* --- all --- */

static struct hx_web_message *make_message(struct hx_web *w, uint64_t now_ms)
{
    struct hx_web_out o = {.ptr = NULL};
    struct hx_web_message *m = NULL;

    hx_web_put(&o, "event: live\nid: %u\ndata: ", w->state->telegrams);
    hx_web_live_json(w, &o, now_ms);
    hx_web_put(&o, "\n\n");
    if (!o.failed)
        m = malloc(sizeof *m + o.len);
    if (m != NULL) {
        *m = (struct hx_web_message){.refs = 1, .len = o.len};
        memcpy(m->text, o.ptr, o.len);
    }
    hx_web_out_free(&o);
    return m;
}

#if defined __GNUC__ && !defined __clang__ /* gcc 12 forgets that w->newest holds m */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
void hx_web_events_post(struct hx_web *w, uint64_t now_ms)
{
    struct hx_web_message *m, *old = w->newest;
    uint32_t number = old != NULL ? old->number + 1u : 1u;

    if (w->streams == NULL || (w->newest != NULL && w->state->telegrams == w->message_telegrams &&
                               now_ms - w->message_ms < EVERY_MS))
        return;
    m = make_message(w, now_ms);
    if (m == NULL)
        return; /* no memory: the next telegram tries again */
    m->number = number;
    w->newest = m;
    unref(old);
    w->message_ms = now_ms;
    w->message_telegrams = w->state->telegrams;
    for (struct hx_web_stream *s = w->streams; s != NULL; s = s->next)
        wake(s);
    hx_web_run(w);
}
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic pop
#endif

void hx_web_events_end(struct hx_web *w, const char *token)
{
    for (struct hx_web_stream *s = w->streams; s != NULL; s = s->next) {
        if (token != NULL && strcmp(s->token, token) != 0)
            continue;
        s->ended = true;
        wake(s);
    }
    hx_web_run(w);
}

/* Idle, or it made room for another. A Basic login has no session: it lasts as the password. */
static bool is_over(const struct hx_web_stream *s, uint64_t now_ms)
{
    const struct hx_span token = {(const uint8_t *)s->token, strlen(s->token)};

    return token.len != 0 && !hx_web_session_lives(&s->web->sessions, token, now_ms);
}

void hx_web_events_tick(struct hx_web *w, uint64_t now_ms)
{
    for (struct hx_web_stream *s = w->streams; s != NULL; s = s->next) {
        if (!s->ended && is_over(s, now_ms)) {
            s->ended = true;
            wake(s);
        }
        if (!s->waiting && now_ms - s->moved_ms >= STALL_MS)
            (void)shutdown(s->conn->fd, SHUT_RDWR); /* the library closes what is at its end */
    }
}

void hx_web_events_close(struct hx_web *w)
{
    unref(w->newest);
    w->newest = NULL;
}
