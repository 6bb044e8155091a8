/* tty.c - see tty.h. */
#include "tty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static const struct {
    uint32_t baud;
    speed_t speed;
} speeds[] = {
    {1200, B1200},   {2400, B2400},   {4800, B4800},   {9600, B9600},
    {19200, B19200}, {38400, B38400}, {57600, B57600}, {115200, B115200},
};

const char *hx_line_text(const struct hx_line *line, char text[24])
{
    static const char letter[] = {'N', 'E', 'O', '?'};

    (void)snprintf(text, 24, "%u baud 8%c%u", line->baud, letter[line->parity], line->stop_bits);
    return text;
}

static speed_t speed_of(uint32_t baud)
{
    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++)
        if (speeds[i].baud == baud)
            return speeds[i].speed;
    return B2400;
}

static void fill(struct termios *t, const struct hx_line *line)
{
    cfmakeraw(t);
    t->c_iflag &= (tcflag_t) ~(IGNPAR | IGNBRK | BRKINT | IXOFF | IXANY);
    t->c_iflag |= INPCK | PARMRK;
    t->c_cflag &= (tcflag_t) ~(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS | HUPCL);
    t->c_cflag |= CS8 | CLOCAL | CREAD;
    if (line->parity != HX_PARITY_NONE)
        t->c_cflag |= PARENB;
    if (line->parity == HX_PARITY_ODD)
        t->c_cflag |= PARODD;
    if (line->stop_bits == 2)
        t->c_cflag |= CSTOPB;
    t->c_cc[VMIN] = 1; /* so that 0 octets means hang-up and nothing else */
    t->c_cc[VTIME] = 0;
    (void)cfsetspeed(t, speed_of(line->baud)); /* from the table: known */
}

enum hx_err hx_tty_set(int fd, const struct hx_line *line)
{
    struct termios t;

    if (tcgetattr(fd, &t) != 0)
        return HX_E_IO;
    fill(&t, line);
    if (tcsetattr(fd, TCSANOW, &t) == 0)
        return HX_OK;
    if (errno != EINVAL || (t.c_cflag & PARENB) == 0)
        return HX_E_IO;
    t.c_cflag &= (tcflag_t) ~(PARENB | PARODD); /* ptys: the C library tells that it did not take */
    return tcsetattr(fd, TCSANOW, &t) == 0 ? HX_OK : HX_E_IO;
}

static int prepare(int fd, const struct hx_line *line)
{
    if (!isatty(fd))
        return ENOTTY;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? EBUSY : errno;
    if (hx_tty_set(fd, line) != HX_OK)
        return errno;
    /* What came before has no error marks, so an FF in it would be taken for one. */
    (void)tcflush(fd, TCIFLUSH);
    return 0;
}

enum hx_err hx_tty_open(const char *path, const struct hx_line *line, int *fd)
{
    int f = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), err;

    if (f < 0)
        return HX_E_IO;
    err = prepare(f, line);
    if (err != 0) {
        (void)close(f); /* nothing was written */
        errno = err;
        return HX_E_IO;
    }
    *fd = f;
    return HX_OK;
}

bool hx_tty_is_same(const char *a, const char *b)
{
    struct stat sa, sb;

    if (strcmp(a, b) == 0)
        return true;
    if (stat(a, &sa) != 0 || stat(b, &sb) != 0)
        return false;
    if (S_ISCHR(sa.st_mode) && S_ISCHR(sb.st_mode))
        return sa.st_rdev == sb.st_rdev;
    return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

const char *hx_tty_advice(int err, char *text, size_t size)
{
    static const struct {
        int err;
        const char *text;
    } table[] = {
        {ENOENT, "there is no such device now; waiting for it to be plugged in"},
        {ENODEV, "there is no such device now; waiting for it to be plugged in"},
        {ENXIO, "there is no such device now; waiting for it to be plugged in"},
        {EACCES, "no permission; add the user to the group dialout (the service has it)"},
        {EPERM, "no permission; add the user to the group dialout (the service has it)"},
        {EBUSY, "another program is using it; end that program or name another device"},
        {ENOTTY, "it is not a serial device; name a tty such as /dev/ttyUSB0"},
        {EISDIR, "it is a folder; name a tty such as /dev/ttyUSB0"},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].err == err)
            return table[i].text;
    (void)snprintf(text, size, "%s; trying again", strerror(err));
    return text;
}

enum hx_err hx_tty_rs485(int fd, enum hx_rs485 mode)
{
    struct serial_rs485 rs = {0};

    if (ioctl(fd, TIOCGRS485, &rs) != 0)
        return mode == HX_RS485_YES ? HX_E_IO : HX_OK; /* ENOTTY: no such hardware, soft */
    if (mode == HX_RS485_NO)
        return HX_OK; /* "leaves the line as it is" */
    rs.flags |= SER_RS485_ENABLED;
    if ((rs.flags & (SER_RS485_RTS_ON_SEND | SER_RS485_RTS_AFTER_SEND)) == 0)
        rs.flags |= SER_RS485_RTS_ON_SEND;
    if (ioctl(fd, TIOCSRS485, &rs) == 0 || mode == HX_RS485_AUTO)
        return HX_OK;
    return HX_E_IO;
}

void hx_tty_low_latency(int fd)
{
    struct serial_struct ser;

    if (ioctl(fd, TIOCGSERIAL, &ser) != 0)
        return;
    ser.flags |= (int)ASYNC_LOW_LATENCY;
    (void)ioctl(fd, TIOCSSERIAL, &ser); /* an adapter that cannot stays as it is */
}
