/* tty.h - serial lines: open, speed and parity, error marks, RS485 direction.
 * In:     a path and a line setting.  Out: a raw non-blocking descriptor; octets and errors.
 * State:  none; descriptors are the caller's. The marks are read by unmark.h.
 * Source: termios(3) (PARMRK, INPCK), tty_ioctl(4), Documentation/driver-api/serial/serial-rs485.
 */
#ifndef HX_TTY_H
#define HX_TTY_H

#include "hx/settings.h" /* enum hx_parity, enum hx_rs485 */

#include <sys/types.h>

struct hx_line {
    uint32_t baud;         /* 1200 … 115200 */
    enum hx_parity parity; /* not HX_PARITY_AUTO */
    uint8_t stop_bits;     /* 1, 2 */
};

/** @return "2400 baud 8E1", in @p text. */
const char *hx_line_text(const struct hx_line *line, char text[24]);

/** Open a tty raw and non-blocking, with errors marked (hx_unmark), and lock it against other
 * programs that honour flock(2).
 * @param[out] fd  the caller's on HX_OK: close at once on hang-up, else the adapter that is plugged
 *                 in again gets another name.
 * @return HX_OK; HX_E_IO with errno set: EBUSY another program has it, ENOTTY it is no tty. */
enum hx_err hx_tty_open(const char *path, const struct hx_line *line, int *fd);

/** Change speed and parity. A line that has no parity (a pty) keeps none: no error.
 * @return HX_OK; HX_E_IO with errno set. */
enum hx_err hx_tty_set(int fd, const struct hx_line *line);

/** @return true when two paths lead to the same device (or are the same path). */
bool hx_tty_is_same(const char *a, const char *b);

/** @return what to do about errno @p err from opening @p path, in words, in @p text. */
const char *hx_tty_advice(int err, char *text, size_t size);

/** Let the driver switch the transceiver. @return HX_OK done or not asked for; HX_E_IO: the driver
 * cannot, with errno set. */
enum hx_err hx_tty_rs485(int fd, enum hx_rs485 mode);

/** Ask the driver for short buffering (USB adapters wait 16 ms otherwise); it may not know how. */
void hx_tty_low_latency(int fd);

#endif
