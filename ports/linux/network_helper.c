/* network_helper.c - han2x-network: the one part that runs as root. It reads the gateway's request,
 * checks it again, writes the .network file and has systemd-networkd take it.
 *
 *   han2x-network [--interface NAME] [REQUEST [FILE [RESULT]]]
 *
 * Started by han2x-network.path whenever the request is written, and once at start-up. The request
 * lies in a folder of the unprivileged gateway: nothing in it is believed, no link is followed, and
 * the answer goes to a folder that only root can write. */
#include "file_replace.h"
#include "network_request.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REQUEST "/var/lib/han2x/network.request"
#define FILE_PATH "/etc/systemd/network/00-han2x.network" /* 00: before any other that matches */
#define RESULT "/run/han2x-network/result"
#define HOSTNAME_PATH "/etc/hostname"
#define ROUNDS_MAX 20u /* requests taken in one go; the path unit starts us again for more */
#define APPEAR_MS 6000 /* the gateway waits 10 s for the whole of it */
#define APPEAR_STEP_MS 50
#define COMMAND_S 15u

struct paths {
    const char *request, *file, *result, *interface;
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("han2x-network: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

/* --- the request --- */

/* @return octets read; 0 when there is none, or it is not a plain file. */
static size_t read_request(const char *path, uint8_t out[HX_NET_REQUEST_MAX])
{
    struct stat st;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        if (errno != ENOENT)
            say("%s: %s", path, strerror(errno));
        return 0;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = read(fd, out, HX_NET_REQUEST_MAX);
    (void)close(fd); /* only read */
    return n > 0 && (size_t)n < HX_NET_REQUEST_MAX ? (size_t)n : 0;
}

/* --- what is done about it --- */

static bool run(const char *const argv[])
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)alarm(COMMAND_S); /* stays over exec: a bus that hangs ends the command */
        /* execvp takes char *const [] for history's sake and writes to none of them */
        (void)execvp(argv[0], (char *const *)(const void *)argv);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool has_text(const char *path, const char *text, size_t len)
{
    char old[HX_NET_FILE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, old, sizeof old) : -1;

    if (fd >= 0)
        (void)close(fd); /* only read */
    return n == (ssize_t)len && memcmp(old, text, len) == 0;
}

static const char *replace(const char *path, const char *text, size_t len)
{
    static char why[96];

    if (has_text(path, text, len) ||
        file_replace(path, (struct hx_span){(const uint8_t *)text, len}, 0644) == HX_OK)
        return NULL;
    (void)snprintf(why, sizeof why, "cannot write the file: %s", strerror(errno));
    say("%s: %s", path, strerror(errno));
    return why;
}

static void set_hostname(const char *name)
{
    static const char *const restart[] = {"systemctl", "--no-block", "try-restart",
                                          "avahi-daemon.service", NULL};
    char now[HOST_NAME_MAX + 1] = "", line[sizeof((struct hx_net_plan *)0)->hostname + 1u];
    int len = snprintf(line, sizeof line, "%s\n", name);

    (void)replace(HOSTNAME_PATH, line, (size_t)len); /* told; the name still holds until restart */
    (void)gethostname(now, sizeof now - 1u);         /* a longer one is another one */
    if (strcmp(now, name) == 0)
        return;
    if (sethostname(name, strlen(name)) != 0)
        say("cannot set the host name: %s", strerror(errno));
    (void)run(restart); /* it announces the name that it found at its start; may not be there */
}

static bool is_on(const struct ifaddrs *a, uint32_t address, const char *interface)
{
    struct sockaddr_in in;

    if (a->ifa_addr == NULL || a->ifa_addr->sa_family != AF_INET ||
        (*interface != '\0' && strcmp(a->ifa_name, interface) != 0))
        return false;
    memcpy(&in, a->ifa_addr, sizeof in);
    return ntohl(in.sin_addr.s_addr) == address;
}

static bool has_address(uint32_t address, const char *interface)
{
    struct ifaddrs *list;
    bool found = false;

    if (getifaddrs(&list) != 0)
        return false;
    for (const struct ifaddrs *a = list; a != NULL && !found; a = a->ifa_next)
        found = is_on(a, address, interface);
    freeifaddrs(list);
    return found;
}

/* networkd says yes to everything: what counts is that the address is there. */
static const char *wait_for_address(const struct hx_net_plan *plan, const char *interface)
{
    const struct timespec step = {.tv_nsec = APPEAR_STEP_MS * 1000000L};

    if (plan->dhcp)
        return NULL; /* when an address comes is up to the network */
    for (int ms = 0; ms < APPEAR_MS; ms += APPEAR_STEP_MS) {
        if (has_address(plan->address, interface))
            return NULL;
        (void)nanosleep(&step, NULL); /* shorter when a signal comes: looks once more */
    }
    return "the address did not appear on the interface: does something else manage it?";
}

static const char *write_file(const struct paths *p, const struct hx_net_plan *plan)
{
    char text[HX_NET_FILE_MAX];
    struct hx_wr w = {.ptr = (uint8_t *)text, .cap = sizeof text};

    if (!plan->manage) {
        if (unlink(p->file) == 0 || errno == ENOENT)
            return NULL;
        say("%s: %s", p->file, strerror(errno));
        return "cannot remove the network file";
    }
    hx_net_plan_file(&w, plan, p->interface);
    HX_ASSERT(w.err == HX_OK); /* HX_NET_FILE_MAX is enough for the longest */
    return replace(p->file, text, w.len);
}

/* @return what went wrong; NULL nothing. */
static const char *apply(const struct paths *p, const struct hx_net_plan *plan)
{
    static const char *const reload[] = {"networkctl", "reload", NULL};
    const char *why = write_file(p, plan);

    if (why != NULL)
        return why;
    if (!run(reload))
        return "systemd-networkd does not take it: is it running?";
    if (!plan->manage)
        return NULL;
    set_hostname(plan->hostname);
    return wait_for_address(plan, p->interface);
}

static bool answer(const struct paths *p, const char *id, const char *why)
{
    uint8_t text[HX_NET_ANSWER_MAX];
    struct hx_wr w = {.ptr = text, .cap = sizeof text};

    hx_net_answer_format(&w, id, why);
    HX_ASSERT(w.err == HX_OK); /* what can go wrong is told in less words */
    if (file_replace(p->result, (struct hx_span){text, w.len}, 0644) == HX_OK)
        return true;
    say("%s: %s", p->result, strerror(errno));
    return false;
}

/* Take requests until the newest has been seen twice: one that is written while we work starts us
 * anew only after we end, and may be missed then. */
static int serve(const struct paths *p)
{
    char last[HX_NET_ID_DIGITS + 1u] = "";
    uint8_t text[HX_NET_REQUEST_MAX];
    bool good = true;

    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        struct hx_net_request r;
        const char *why;
        size_t len = read_request(p->request, text);

        if (len == 0)
            return good ? 0 : 1;
        if (hx_net_request_parse((struct hx_span){text, len}, &r, &why) != HX_OK) {
            say("%s: not a request", p->request);
            return 1;
        }
        if (strcmp(r.id, last) == 0)
            return good ? 0 : 1;
        memcpy(last, r.id, sizeof last);
        if (why == NULL)
            why = apply(p, &r.plan);
        say("request %s: %s", r.id, why == NULL ? "done" : why);
        good = answer(p, r.id, why);
    }
    return good ? 0 : 1;
}

/* Nothing that could end the line or match more than one interface. */
static bool is_interface(const char *name)
{
    size_t n = strlen(name);

    return n >= 1 && n < IFNAMSIZ && strpbrk(name, "/ \t\r\n*?[]!;#\"\\=") == NULL;
}

int main(int argc, char **argv)
{
    struct paths p = {REQUEST, FILE_PATH, RESULT, ""};
    int i = 1;

    if (i + 1 < argc && strcmp(argv[i], "--interface") == 0) {
        p.interface = argv[i + 1];
        i += 2;
    }
    if (argc - i > 3 || (*p.interface != '\0' && !is_interface(p.interface)) ||
        (i < argc && argv[i][0] == '-')) {
        (void)fputs("usage: han2x-network [--interface NAME] [REQUEST [FILE [RESULT]]]\n", stderr);
        return 2;
    }
    p.request = i < argc ? argv[i] : p.request;
    p.file = i + 1 < argc ? argv[i + 1] : p.file;
    p.result = i + 2 < argc ? argv[i + 2] : p.result;
    (void)umask(022);
    return serve(&p);
}
