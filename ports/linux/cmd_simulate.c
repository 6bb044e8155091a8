/* han2x simulate - send what a meter would send: to a file, a pipe, a pseudo terminal or over TCP.
 * The telegrams come from ports/sim; this file knows options, waiting and readers. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "sim.h"

#define NAME "simulate"
#define CLIENT_MAX 64u
#define STALLED_MS 5000     /* a TCP reader that takes nothing for this long is let go */
#define READER_POLL_MS 20   /* a pseudo terminal cannot tell when somebody opens it */
#define DRAIN_MAX_MS 10000u /* for the reader to take the rest before the terminal goes */
#define NOISE_MAX 0.5       /* at which every bit is a guess */
#define NOISE_SEED 0x6E6F697365u

struct options {
    struct hx_sim_config sim;
    bool has_start, real_pace;
    uint64_t count; /* 0: without end */
    uint32_t noise_ppb;
    const char *output;
};

/* ---- command line ---- */

static bool parse_u64(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text < '0' || *text > '9')
        return false;
    *out = v;
    return true;
}

static int set_meter(struct options *o, const char *text)
{
    static const enum hx_maker makers[] = {HX_MAKER_AIDON, HX_MAKER_KAIFA, HX_MAKER_KAMSTRUP};
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        if (strcmp(text, hx_maker_name(makers[i])) == 0) {
            o->sim.maker = makers[i];
            return EXIT_FINE;
        }
    }
    return command_usage(NAME, "--meter %s: allowed are aidon, kaifa, kamstrup", text);
}

static int set_phases(struct options *o, const char *text)
{
    static const struct {
        const char *text;
        enum hx_grid grid;
    } grids[] = {{"1", HX_GRID_1PHASE}, {"3it", HX_GRID_3WIRE}, {"3tn", HX_GRID_4WIRE}};
    for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++) {
        if (strcmp(text, grids[i].text) == 0) {
            o->sim.grid = grids[i].grid;
            return EXIT_FINE;
        }
    }
    return command_usage(NAME, "--phases %s: allowed are 1, 3it, 3tn", text);
}

static int set_pace(struct options *o, const char *text)
{
    o->real_pace = strcmp(text, "real") == 0;
    if (o->real_pace || strcmp(text, "max") == 0)
        return EXIT_FINE;
    return command_usage(NAME, "--pace %s: allowed are real, max", text);
}

static int set_count(struct options *o, const char *text)
{
    if (parse_u64(text, &o->count))
        return EXIT_FINE;
    return command_usage(NAME, "--count %s: a whole number of telegrams, 0 for no end", text);
}

static int set_seed(struct options *o, const char *text)
{
    if (parse_u64(text, &o->sim.seed))
        return EXIT_FINE;
    return command_usage(NAME, "--seed %s: a whole number", text);
}

static int set_noise(struct options *o, const char *text)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= 0.0 && v <= NOISE_MAX))
        return command_usage(NAME, "--noise %s: a bit error rate from 0 to %.1f, such as 1e-4",
                             text, NOISE_MAX);
    o->noise_ppb = (uint32_t)(v * 1e9 + 0.5);
    return EXIT_FINE;
}

static int set_start(struct options *o, const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end != NULL && *end == 'Z')
        end++;
    struct hx_civil c = {
        (uint16_t)(tm.tm_year + 1900), (uint8_t)(tm.tm_mon + 1), (uint8_t)tm.tm_mday,
        (uint8_t)tm.tm_hour,           (uint8_t)tm.tm_min,       (uint8_t)tm.tm_sec};
    bool in_range = tm.tm_year >= 100 && tm.tm_year <= 198; /* before the cast can wrap */
    if (end == NULL || *end != '\0' || !in_range || !hx_civil_is_valid(&c))
        return command_usage(NAME, "--start %s: a time in UTC, such as 2025-01-31T23:59:50Z", text);
    o->sim.start_utc_s = hx_civil_to_s(&c);
    o->has_start = true;
    return EXIT_FINE;
}

static int set_solar(struct options *o, const char *text)
{
    (void)text; /* takes none */
    o->sim.solar = true;
    return EXIT_FINE;
}

static int set_output(struct options *o, const char *text)
{
    if (*text == '\0')
        return command_usage(NAME, "-o: allowed are -, a file name, pty, tcp:PORT");
    o->output = text;
    return EXIT_FINE;
}

static const struct option long_options[] = {
    {"meter", required_argument, NULL, 'm'},
    {"phases", required_argument, NULL, 'p'},
    {"pace", required_argument, NULL, 'P'},
    {"count", required_argument, NULL, 'c'},
    {"seed", required_argument, NULL, 's'},
    {"noise", required_argument, NULL, 'n'},
    {"start", required_argument, NULL, 't'},
    {"solar", no_argument, NULL, 'S'},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const struct {
    int letter;
    int (*set)(struct options *o, const char *text);
} setters[] = {
    {'m', set_meter}, {'p', set_phases}, {'P', set_pace},  {'c', set_count},  {'s', set_seed},
    {'n', set_noise}, {'t', set_start},  {'S', set_solar}, {'o', set_output},
};

static int set_option(struct options *o, int letter, char **argv)
{
    for (size_t i = 0; i < sizeof setters / sizeof setters[0]; i++)
        if (setters[i].letter == letter)
            return setters[i].set(o, optarg);
    const char *what = optind > 0 ? argv[optind - 1] : "";
    if (letter == ':')
        return command_usage(NAME, "%s needs a value", what);
    return command_usage(NAME, "there is no option %s", what);
}

/** @return EXIT_FINE, EXIT_USAGE, or -1 when help was asked for. */
static int parse_options(int argc, char **argv, struct options *o)
{
    int letter;
    optind = 0; /* a fresh start, also for GNU's permutation state */
    opterr = 0;
    while ((letter = getopt_long(argc, argv, ":o:h", long_options, NULL)) != -1) {
        if (letter == 'h')
            return -1;
        int code = set_option(o, letter, argv);
        if (code != EXIT_FINE)
            return code;
    }
    if (optind < argc)
        return command_usage(NAME, "what is %s? The output is given with -o", argv[optind]);
    return EXIT_FINE;
}

/* ---- readers ---- */

/** Where telegrams go. */
struct sink {
    const struct sink_kind *kind;
    const char *name;
    int fd; /* file, terminal master, listening socket */
    int clients[CLIENT_MAX];
    size_t client_count;
};

struct sink_kind {
    bool (*has_reader)(struct sink *s, int timeout_ms); /* waits up to that long for one */
    bool (*send)(struct sink *s, struct hx_span bytes); /* false: told what is wrong; give up */
    void (*finish)(struct sink *s);                     /* let readers take what is on the way */
};

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms); /* early return only means to look again */
}

static bool complain(const struct sink *s, const char *doing)
{
    fprintf(stderr, "han2x simulate: %s %s: %s\n", doing, s->name, strerror(errno));
    return false;
}

/* file and pipe */

static bool file_has_reader(struct sink *s, int timeout_ms)
{
    (void)s;
    (void)timeout_ms;
    return true;
}

static bool file_send(struct sink *s, struct hx_span bytes)
{
    while (bytes.len != 0) {
        ssize_t n = write(s->fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return complain(s, "cannot write");
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

static void file_finish(struct sink *s)
{
    (void)s;
}

/** A terminal gets hex text, which `han2x decode` reads as well. */
static bool text_send(struct sink *s, struct hx_span bytes)
{
    (void)s;
    for (size_t i = 0; i < bytes.len; i++)
        printf("%02x", bytes.ptr[i]);
    printf("\n");
    return fflush(stdout) == 0 || complain(s, "cannot write");
}

/* pseudo terminal */

static bool pty_is_open(const struct sink *s)
{
    struct pollfd p = {.fd = s->fd, .events = 0};
    return poll(&p, 1, 0) == 0 || (p.revents & POLLHUP) == 0;
}

static bool pty_has_reader(struct sink *s, int timeout_ms)
{
    uint64_t end = now_ms() + (uint64_t)timeout_ms;
    while (!pty_is_open(s)) {
        if (now_ms() >= end)
            return false;
        pause_ms(READER_POLL_MS);
    }
    return true;
}

static bool pty_send(struct sink *s, struct hx_span bytes)
{
    while (bytes.len != 0 && pty_is_open(s)) { /* a wire with nobody at its end loses the rest */
        ssize_t n = write(s->fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = s->fd, .events = POLLOUT};
            (void)poll(&p, 1, READER_POLL_MS); /* looked at again above */
            continue;
        }
        if (n < 0 && errno != EINTR)
            return complain(s, "cannot write");
        if (n > 0) {
            bytes.ptr += n;
            bytes.len -= (size_t)n;
        }
    }
    return true;
}

static void pty_finish(struct sink *s)
{
    /* What has not been read is lost when the master is closed. Only the other side can tell how
     * much that is. */
    const char *path = ptsname(s->fd);
    int fd = path != NULL && pty_is_open(s) ? open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC) : -1;
    uint64_t end = now_ms() + DRAIN_MAX_MS;
    int waiting = 1;
    for (unsigned empty = 0; fd >= 0 && empty < 3 && now_ms() < end; pause_ms(READER_POLL_MS)) {
        if (ioctl(fd, FIONREAD, &waiting) != 0)
            break;
        empty = waiting == 0 ? empty + 1 : 0;
    }
    if (fd >= 0)
        (void)close(fd); /* read only: nothing to lose */
}

static bool pty_open(struct sink *s)
{
    s->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0 || grantpt(s->fd) != 0 || unlockpt(s->fd) != 0)
        return complain(s, "cannot make a");
    const char *path = ptsname(s->fd);
    int slave = path == NULL ? -1 : open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios tio;
    if (slave < 0 || tcgetattr(slave, &tio) != 0)
        return complain(s, "cannot make a");
    cfmakeraw(&tio);
    bool raw = tcsetattr(slave, TCSANOW, &tio) == 0;
    (void)close(slave); /* from now on the master can see that nobody is there */
    if (!raw)
        return complain(s, "cannot make a");
    printf("%s\n", path);
    fprintf(stderr, "han2x simulate: the meter is at %s, waiting for a reader\n", path);
    return fflush(stdout) == 0 || complain(s, "cannot write");
}

/* TCP */

static void tcp_drop(struct sink *s, size_t i)
{
    (void)close(s->clients[i]); /* the reader is gone or given up */
    s->clients[i] = s->clients[--s->client_count];
}

static void tcp_accept(struct sink *s)
{
    int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return; /* gone again before we looked */
    if (s->client_count == CLIENT_MAX)
        tcp_drop(s, 0);
    s->clients[s->client_count++] = fd;
}

/** Serve arrivals and departures until @p timeout_ms is over or, on request, a reader is there. */
static bool tcp_watch(struct sink *s, int timeout_ms, bool until_reader)
{
    uint64_t end = now_ms() + (uint64_t)timeout_ms;
    do {
        struct pollfd p[CLIENT_MAX + 1u];
        p[0] = (struct pollfd){.fd = s->fd, .events = POLLIN};
        for (size_t i = 0; i < s->client_count; i++)
            p[i + 1] = (struct pollfd){.fd = s->clients[i], .events = POLLRDHUP};
        uint64_t now = now_ms();
        int ready = poll(p, s->client_count + 1u, now < end ? (int)(end - now) : 0);
        for (size_t i = ready > 0 ? s->client_count : 0; i > 0; i--)
            if ((p[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
                tcp_drop(s, i - 1); /* from the end, so that no other changes its place */
        if (ready > 0 && (p[0].revents & POLLIN) != 0)
            tcp_accept(s);
        if (until_reader && s->client_count != 0)
            return true;
    } while (now_ms() < end);
    return s->client_count != 0;
}

static bool tcp_has_reader(struct sink *s, int timeout_ms)
{
    return tcp_watch(s, s->client_count != 0 ? 0 : timeout_ms, true);
}

static bool send_all(int fd, struct hx_span bytes)
{
    while (bytes.len != 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            if (poll(&p, 1, STALLED_MS) == 0)
                return false;
        } else if (n < 0 && errno != EINTR) {
            return false;
        } else if (n > 0) {
            bytes.ptr += n;
            bytes.len -= (size_t)n;
        }
    }
    return true;
}

static bool tcp_send(struct sink *s, struct hx_span bytes)
{
    (void)tcp_watch(s, 0, false); /* let in who came meanwhile */
    for (size_t i = s->client_count; i > 0; i--)
        if (!send_all(s->clients[i - 1], bytes))
            tcp_drop(s, i - 1);
    return true;
}

static void tcp_finish(struct sink *s)
{
    while (s->client_count != 0)
        tcp_drop(s, 0); /* what was sent still arrives */
}

/** "PORT" or "ADDRESS:PORT". */
static bool tcp_address(const char *text, struct sockaddr_in *out)
{
    const char *colon = strrchr(text, ':');
    const char *port_text = colon == NULL ? text : colon + 1;
    char host[INET_ADDRSTRLEN] = "127.0.0.1";
    uint64_t port;
    if (colon != NULL) {
        size_t len = (size_t)(colon - text);
        if (len >= sizeof host)
            return false;
        memcpy(host, text, len);
        host[len] = '\0';
    }
    if (!parse_u64(port_text, &port) || port > UINT16_MAX)
        return false;
    memset(out, 0, sizeof *out);
    out->sin_family = AF_INET;
    out->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static bool tcp_open(struct sink *s, const struct sockaddr_in *wanted)
{
    struct sockaddr_in addr = *wanted;
    socklen_t len = sizeof addr;
    int on = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s->fd, (struct sockaddr *)&addr, len) != 0 || listen(s->fd, 16) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&addr, &len) != 0)
        return complain(s, "cannot listen on");
    char host[INET_ADDRSTRLEN];
    printf("%s:%u\n", inet_ntop(AF_INET, &addr.sin_addr, host, sizeof host), ntohs(addr.sin_port));
    fprintf(stderr, "han2x simulate: the meter is at tcp://%s:%u, waiting for a reader\n", host,
            ntohs(addr.sin_port));
    return fflush(stdout) == 0 || complain(s, "cannot write");
}

static const struct sink_kind file_kind = {file_has_reader, file_send, file_finish};
static const struct sink_kind text_kind = {file_has_reader, text_send, file_finish};
static const struct sink_kind pty_kind = {pty_has_reader, pty_send, pty_finish};
static const struct sink_kind tcp_kind = {tcp_has_reader, tcp_send, tcp_finish};

static int open_file(struct sink *s)
{
    s->fd = open(s->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return s->fd >= 0 || complain(s, "cannot open") ? EXIT_FINE : EXIT_FAILED;
}

static int open_sink(struct sink *s, const char *output)
{
    *s = (struct sink){.kind = &file_kind, .name = output, .fd = -1};
    if (strcmp(output, "-") == 0) {
        s->name = "standard output";
        s->fd = STDOUT_FILENO;
        s->kind = isatty(STDOUT_FILENO) ? &text_kind : &file_kind;
        return EXIT_FINE;
    }
    if (strcmp(output, "pty") == 0) {
        s->kind = &pty_kind;
        s->name = "pseudo terminal";
        return pty_open(s) ? EXIT_FINE : EXIT_FAILED;
    }
    if (strncmp(output, "tcp:", 4) == 0) {
        struct sockaddr_in addr;
        if (!tcp_address(output + 4, &addr))
            return command_usage(NAME, "-o %s: the form is tcp:PORT or tcp:ADDRESS:PORT", output);
        s->kind = &tcp_kind;
        return tcp_open(s, &addr) ? EXIT_FINE : EXIT_FAILED;
    }
    return open_file(s);
}

/* ---- sending ---- */

static void on_stop(int sig)
{
    (void)sig;
    _exit(EXIT_FINE); /* nothing is buffered; being stopped is how an endless meter ends */
}

static int64_t wall_clock_s(void)
{
    return (int64_t)time(NULL);
}

/** Wait for the moment of the next telegram; readers may come and go meanwhile. */
static void wait_until(struct sink *s, uint64_t due_ms)
{
    for (uint64_t now = now_ms(); now < due_ms; now = now_ms()) {
        if (s->kind == &tcp_kind)
            (void)tcp_watch(s, (int)(due_ms - now), false);
        else
            pause_ms((int)(due_ms - now));
    }
}

static bool send_telegram(struct sink *s, struct hx_sim_noise *noise, struct hx_span frame)
{
    uint8_t damaged[HX_SIM_FRAME_MAX];
    size_t len = hx_sim_noise_apply(noise, frame, damaged);
    return s->kind->send(s, (struct hx_span){damaged, len});
}

static int run_meter(const struct options *o, struct sink *s, struct hx_sim *sim)
{
    struct hx_sim_noise noise = {
        .random = o->sim.seed ^ NOISE_SEED, .flip_ppb = o->noise_ppb, .drop_ppb = o->noise_ppb};
    uint64_t due_ms = now_ms();
    for (uint64_t sent = 0; o->count == 0 || sent < o->count; sent++) {
        struct hx_sim_telegram t;
        if (o->real_pace)
            wait_until(s, due_ms);
        else
            while (!s->kind->has_reader(s, 1000))
                continue;
        hx_sim_next(sim, &t);
        due_ms += t.wait_ms;
        if (!send_telegram(s, &noise, t.bytes))
            return EXIT_FAILED;
    }
    s->kind->finish(s);
    return EXIT_FINE;
}

int cmd_simulate(int argc, char **argv)
{
    /* As fast as possible there is no "now": a fixed evening, shortly before an hour ends, so that
     * the same command always gives the same bytes. */
    struct options o = {
        .sim = {HX_MAKER_AIDON, HX_GRID_4WIRE, 1, 1736186370 /* 2025-01-06T17:59:30Z */, false},
        .real_pace = true,
        .output = "-",
    };
    int code = parse_options(argc, argv, &o);
    if (code < 0) {
        command_help(NAME, stdout);
        return command_finish_output(NAME);
    }
    struct sink sink;
    if (code == EXIT_FINE)
        code = open_sink(&sink, o.output);
    if (code != EXIT_FINE)
        return code;
    (void)signal(SIGPIPE, SIG_IGN); /* a pipe whose reader left is told like any other error */
    (void)signal(SIGINT, on_stop);
    (void)signal(SIGTERM, on_stop);
    while (!sink.kind->has_reader(&sink, 1000))
        continue;
    if (o.real_pace && !o.has_start)
        o.sim.start_utc_s = wall_clock_s();
    struct hx_sim sim;
    if (hx_sim_init(&sim, &o.sim) != HX_OK)
        return command_usage(NAME, "the clock of this machine or --start is outside 2000 to 2098");
    return run_meter(&o, &sink, &sim);
}
