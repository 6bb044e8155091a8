/* cmd_decode.c - han2x decode: recordings in, one JSON object a line per telegram out. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "hex_text.h"
#include "hx/hdlc.h"
#include "hx/lists.h"

#define NAME "decode"
#define CHUNK 4096u
#define RECENT 8192u /* octets remembered, more than the receiver holds back; a power of two */
#define QUIET_MS 300 /* a pause on a pipe: what is unfinished is looked through */
#define JSON_MAX 4096u
#define FLAG 0x7Eu

/* One input, and what was found in it. */
struct decoder {
    const char *name;
    struct hx_hdlc hdlc;
    struct hex_text hex;
    enum hx_maker maker; /* learnt from a list with identity */
    uint64_t pushed;     /* octets given to the receiver */
    uint64_t judged;     /* octets before this one were part of some frame, good or bad */
    uint8_t recent[RECENT];
    bool dropped;
};

/* --- complaints --- */

static void complain(struct decoder *d, uint64_t offset, const char *why)
{
    d->dropped = true;
    (void)fprintf(stderr, "han2x decode: %s: offset %" PRIu64 ": %s\n", d->name, offset, why);
}

/* Octets between frames are noise, unless they are flags that fill a pause. */
static bool is_fill(const struct decoder *d, uint64_t from, uint64_t to)
{
    if (to - from > RECENT)
        return false;
    for (; from < to; from++)
        if (d->recent[from % RECENT] != FLAG)
            return false;
    return true;
}

/* Something was judged at offset: whatever lies between it and what was judged before is noise. */
static void complain_gap(struct decoder *d, uint64_t offset)
{
    char why[64];
    if (offset <= d->judged || is_fill(d, d->judged, offset))
        return;
    (void)snprintf(why, sizeof why, "%" PRIu64 " octets outside any frame", offset - d->judged);
    complain(d, d->judged, why);
}

/* --- telegrams --- */

/* List 1 of Embriq is octet for octet like Aidon's; a list 2 before it tells whose it is. */
static void name_maker(struct decoder *d, struct hx_telegram *t)
{
    if (t->has_identity)
        d->maker = t->maker;
    else if (d->maker == HX_MAKER_EMBRIQ && t->maker == HX_MAKER_AIDON)
        t->maker = HX_MAKER_EMBRIQ;
}

static void print_telegram(const struct hx_telegram *t)
{
    uint8_t json[JSON_MAX];
    struct hx_wr w = {.ptr = json, .cap = sizeof json};
    hx_telegram_json(&w, t);
    hx_wr_u8(&w, '\n');
    HX_ASSERT(w.err == HX_OK);
    // cppcheck-suppress uninitvar ; filled through w
    (void)fwrite(json, 1, w.len, stdout); /* command_finish_output looks for errors */
}

static void take_frame(struct decoder *d, const struct hx_hdlc_frame *f, uint64_t offset)
{
    struct hx_push push;
    struct hx_telegram t;
    enum hx_err err = hx_push_parse(f->info, &push);
    if (err == HX_OK)
        err = hx_telegram_decode(&push, &t);
    if (err != HX_OK) {
        complain(d, offset, hx_err_text(err));
        return;
    }
    name_maker(d, &t);
    print_telegram(&t);
}

/* The receiver found something: a frame, or a reason why there is none. */
static void take(struct decoder *d, enum hx_err err, const struct hx_hdlc_frame *f)
{
    uint64_t offset = d->pushed - hx_hdlc_since(&d->hdlc, f->raw);
    uint64_t end = offset + f->raw.len;
    complain_gap(d, offset);
    if (err == HX_OK)
        take_frame(d, f, offset);
    else
        complain(d, offset, hx_err_text(err));
    if (end > d->judged)
        d->judged = end;
}

static void drain(struct decoder *d)
{
    struct hx_hdlc_frame f;
    enum hx_err err;
    while ((err = hx_hdlc_next(&d->hdlc, &f)) != HX_MORE)
        take(d, err, &f);
}

/* Nothing came for a while, or ever will: good frames behind an unfinished one come out. */
static void quiet(struct decoder *d)
{
    struct hx_hdlc_frame f;
    enum hx_err err;
    while ((err = hx_hdlc_quiet(&d->hdlc, &f)) != HX_MORE) {
        take(d, err, &f);
        drain(d);
    }
}

static void push(struct decoder *d, struct hx_span in)
{
    while (in.len > 0) {
        size_t n = hx_hdlc_push(&d->hdlc, in);
        for (size_t i = 0; i < n; i++)
            d->recent[(d->pushed + i) % RECENT] = in.ptr[i];
        d->pushed += n;
        in = (struct hx_span){in.ptr + n, in.len - n};
        drain(d);
    }
}

/* --- input --- */

/* Gives on what the text stands for, or the raw octets as they are. */
static void feed(struct decoder *d, struct hx_span in, bool is_end)
{
    uint8_t octets[CHUNK + HEX_TEXT_HELD_MAX];
    struct hx_wr w = {.ptr = octets, .cap = sizeof octets};
    unsigned faults = d->hex.faults;
    if (is_end)
        hex_text_end(&d->hex, &w);
    else
        hex_text_feed(&d->hex, in, &w);
    push(d, (struct hx_span){octets, w.len});
    if (d->hex.faults != faults) {
        d->dropped = true;
        (void)fprintf(stderr, "han2x decode: %s: line %u: not pairs of hex digits\n", d->name,
                      d->hex.fault_line);
    }
}

static void finish(struct decoder *d)
{
    feed(d, (struct hx_span){NULL, 0}, true);
    quiet(d);
    if (d->pushed <= d->judged || is_fill(d, d->judged, d->pushed))
        return;
    if (hx_hdlc_is_pending(&d->hdlc))
        complain(d, d->judged, "the input ends inside a frame");
    else
        complain_gap(d, d->pushed);
}

/* Waits for input; a pause is told to the receiver once. */
static void wait_readable(struct decoder *d, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (hx_hdlc_is_pending(&d->hdlc) && poll(&p, 1, QUIET_MS) == 0)
        quiet(d);
}

static bool read_all(struct decoder *d, int fd)
{
    uint8_t chunk[CHUNK];
    for (;;) {
        wait_readable(d, fd);
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        feed(d, (struct hx_span){chunk, (size_t)n}, false);
        if (fflush(stdout) != 0 || ferror(stdout) != 0)
            return true; /* a filter on endless input stops with its reader */
    }
}

/* @return false when something was dropped or could not be read. */
static bool decode_file(const char *path)
{
    static struct decoder d; /* 16 KB; one input at a time */
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    d = (struct decoder){.name = is_stdin ? "standard input" : path};
    hx_hdlc_init(&d.hdlc);
    hex_text_init(&d.hex);
    bool ok = fd >= 0 && read_all(&d, fd);
    if (!ok)
        (void)fprintf(stderr, "han2x decode: %s: cannot read: %s\n", d.name, strerror(errno));
    if (ferror(stdout) == 0)
        finish(&d);
    if (fd >= 0 && !is_stdin)
        (void)close(fd); /* only read */
    return ok && !d.dropped;
}

int cmd_decode(int argc, char **argv)
{
    static const struct option options[] = {{NULL, 0, NULL, 0}};
    bool good = true;
    opterr = 0;
    if (getopt_long(argc, argv, "", options, NULL) != -1)
        return command_usage(NAME, "there is no option '%s'", argv[optind - 1]);
    if (optind == argc)
        good = decode_file("-");
    for (int i = optind; i < argc && ferror(stdout) == 0; i++)
        good = decode_file(argv[i]) && good;
    if (command_finish_output(NAME) != EXIT_FINE)
        return EXIT_FAILED;
    return good ? EXIT_FINE : EXIT_FAILED;
}
