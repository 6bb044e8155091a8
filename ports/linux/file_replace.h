/* file_replace.h - replace a file as a whole: the old one or the new one, never half of either.
 * In:     a path and octets.  Out: the file.
 * State:  none. Blocks until it is on the disk: for worker threads.
 * Source: rename(2); fsync(2), NOTES. */
#ifndef FILE_REPLACE_H
#define FILE_REPLACE_H

#include "hx/base.h"

/** Write @p data to a new file beside @p path and put it in its place. The owner and mode of an
 * old file are kept as far as we may, but others get no more than @p mode; a new one gets @p mode.
 * A symbolic link is followed, so that the file is replaced and not the link. The old one's
 * contents are overwritten before it goes (file_wipe.h).
 * @return HX_OK; HX_MORE with errno set: the new one is in its place, but the folder could not be
 *         synced, so a power cut may bring the old one back; HX_E_IO with errno set: the old one
 *         stands. */
enum hx_err file_replace(const char *path, struct hx_span data, unsigned mode);

/* What file_replace leaves beside a file when the power goes in between: fnmatch(3). */
#define FILE_REPLACE_LEFTOVER                                                                      \
    ".tmp-[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]"

/** Remove what was left beside @p path. Only while nothing else replaces it. */
void file_replace_clean(const char *path);

/** Sync the folder that @p path lies in. @return 0; -1 with errno set. */
int file_sync_folder(const char *path);

/** Write all of @p data to @p fd. @return 0; -1 with errno set. */
int file_write_all(int fd, struct hx_span data);

#endif
