/* libmodbus_server.c - the yardstick: a Modbus TCP server as one writes it with libmodbus, one
 * thread, epoll. Usage: libmodbus_server PORT. Serves 2000 holding registers on loopback. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 4096
#define REGISTERS 2000

static void watch(int loop, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ev) != 0)
        perror("epoll_ctl");
}

static void serve(modbus_t *ctx, modbus_mapping_t *map, int fd)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(ctx, fd);
    int n = modbus_receive(ctx, query);
    if (n < 0 || (n > 0 && modbus_reply(ctx, query, n, map) < 0))
        (void)close(fd); /* epoll forgets a closed descriptor */
}

static void loop_forever(modbus_t *ctx, modbus_mapping_t *map, int listener)
{
    int loop = epoll_create1(0);
    watch(loop, listener);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(loop, events, 256, -1);
        if (n < 0 && errno != EINTR)
            return;
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                serve(ctx, map, events[i].data.fd);
                continue;
            }
            int fd = modbus_tcp_accept(ctx, &listener);
            if (fd >= 0)
                watch(loop, fd);
        }
    }
}

int main(int argc, char **argv)
{
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", argc == 2 ? atoi(argv[1]) : 1502);
    modbus_mapping_t *map = modbus_mapping_new(0, 0, REGISTERS, 0);
    struct rlimit files = {CLIENTS_MAX, CLIENTS_MAX};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    int listener = ctx != NULL && map != NULL ? modbus_tcp_listen(ctx, 1024) : -1;
    if (listener < 0) {
        fprintf(stderr, "libmodbus_server: %s\n", modbus_strerror(errno));
        return 1;
    }
    loop_forever(ctx, map, listener);
    return 1;
}
