/* settings_put.h - change one setting in the settings file.
 * In:     path, setting, value as text.  Out: the file, with that line changed.
 * State:  none. Blocks until it is on the disk: for the worker. */
#ifndef SETTINGS_PUT_H
#define SETTINGS_PUT_H

#include "hx/settings.h"

/** A missing file is made. @return HX_OK; HX_MORE with errno set, done, but a power cut may bring
 * the old file back; HX_E_IO with errno set, the old file stands; HX_E_VALUE not allowed. */
enum hx_err settings_put(const char *path, enum hx_setting_id id, const char *value);

#endif
