/* store.h - the state folder: the file `state` and its copy, written one after the other.
 * In:     octets to keep.  Out: octets kept, as long as one of the two files can be read.
 * State:  struct hx_store, owned by the caller. The folder is locked: two gateways cannot share it.
 *         hx_store_write may run on another thread than the rest, one call at a time.
 * Source: one of two copies is whole and on the disk at any moment: docs/decisions/0018-storage.md.
 */
#ifndef HX_STORE_H
#define HX_STORE_H

#include "hx/base.h"

#include <limits.h>

#define HX_STORE_FILE "state"
#define HX_STORE_COPY "state.copy"
#define HX_STORE_BAD ".bad" /* behind the name of a file that could not be used */

enum hx_store_file { HX_STORE_FIRST, HX_STORE_SECOND, HX_STORE_FILES };

struct hx_store {
    int dir_fd; /* holds the lock; -1 closed */
    char dir[PATH_MAX];
};

/** Which folder to use: @p option when not NULL, else $STATE_DIRECTORY (its first entry), else
 * /var/lib/han2x. Empty when it is too long. */
void hx_store_choose(const char *option, char dir[PATH_MAX]);

/** Make the folder where it is missing, lock it, see that it can be written, and remove what a
 * power cut left unfinished.
 * @return HX_OK; HX_E_IO: one line was logged that says which folder, why, and the way out. A full
 *         disk is logged and HX_OK: the gateway can do its work without saving. */
enum hx_err hx_store_open(struct hx_store *s, const char *dir);

/** Read one of the two files: the first one, and the second when the first is of no use.
 * @param out  room for @p cap octets; the file must be smaller.
 * @return HX_OK; HX_MORE there is no such file; HX_E_SPACE it is larger than @p cap; HX_E_IO with
 *         errno set. */
enum hx_err hx_store_read(const struct hx_store *s, enum hx_store_file which, uint8_t *out,
                          size_t cap, size_t *len);

/** Write both files, in place, one after the other.
 * @return HX_OK: they are on the disk; HX_MORE with errno set: the first one is, the copy may not
 *         be; HX_E_IO with errno set: the first one may be torn, what was saved before is in the
 *         copy. */
enum hx_err hx_store_write(const struct hx_store *s, struct hx_span data);

/** @return the file's name: "state". */
const char *hx_store_name(enum hx_store_file which);

/** Move an unusable file to its name with HX_STORE_BAD behind it.
 * @return HX_OK; HX_E_IO with errno set. */
enum hx_err hx_store_set_aside(const struct hx_store *s, enum hx_store_file which);

void hx_store_close(struct hx_store *s);

#endif
