/* file_wipe.h - contents that go are overwritten first, so that a raw look at the disk finds
 * nothing of them.
 * In:     names of files in a folder.  Out: the files, changed or gone.
 * State:  none. Blocks until it is on the disk: for worker threads.
 * Limits: as far as the file system writes in place: ext4 does; flash below it, copy-on-write and a
 *         journal of data (data=journal) may keep older contents.
 * Source: renameat2(2), RENAME_EXCHANGE. */
#ifndef FILE_WIPE_H
#define FILE_WIPE_H

#include "hx/base.h"

/* Larger ones are not overwritten: none of ours are. */
#define FILE_WIPE_MAX (4 * 1024 * 1024)

/** Zeros over the contents. A file with a second hard link is left as it is: that is somebody's
 * copy. So is what cannot be written. */
void file_scrub(int folder, const char *name);

/** file_scrub, then remove. @return 0; -1 with errno set, as unlinkat(2). */
int file_wipe(int folder, const char *name);

/** Put the file @p temp in the place of @p name, and scrub and remove what was there. At any moment
 * @p name is the old file or the new one, whole; a power cut may leave the old one under the name
 * of @p temp, for whoever removes such at the next start.
 * @param folder  descriptor of the folder that both names are in.
 * @return HX_OK: it is on the disk; HX_MORE with errno set: the new one is in its place, but the
 *         folder could not be synced; HX_E_IO with errno set: both are where they were. */
enum hx_err file_swap(int folder, const char *temp, const char *name);

#endif
