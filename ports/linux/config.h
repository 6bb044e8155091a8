/* config.h - settings from file, environment and command line, in rising precedence.
 * In:     where they come from.  Out: struct hx_settings; complaints, one line each.
 * State:  none; strings are the caller's and stay so. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdio.h>

#include "hx/settings.h"

#define CONFIG_DEFAULT_PATH "/etc/han2x/han2x.conf"
#define CONFIG_OVERRIDES_MAX 128u
#define CONFIG_FILE_MAX (256u * 1024u) /* octets of a settings file */

/** Where settings come from. Kept by the daemon: SIGHUP loads from the same places again. */
struct config_source {
    const char *path; /* -c FILE; NULL: CONFIG_DEFAULT_PATH, which may be missing */
    const char *overrides[CONFIG_OVERRIDES_MAX]; /* -s section.key=value, as given */
    size_t override_count;
    char *const *environment; /* NULL-terminated NAME=VALUE; NULL: none */
};

/** No file named, no overrides, the environment of this process. */
void config_source_init(struct config_source *src);
/** Take one -s argument; @p text must outlive @p src.
 * @return HX_OK; HX_E_VALUE: not section.key=value or no such key or value not allowed, told on
 *         @p complaints in one line: a usage error; HX_E_SPACE too many, told too. */
enum hx_err config_override(struct config_source *src, const char *text, FILE *complaints);
/** @return the settings file that config_load reads. */
const char *config_path(const struct config_source *src);

/** Load defaults, file, environment and overrides, in this order, then read the *_file secrets.
 * @param complaints  gets one line that names file, line, key and what is allowed; warnings too.
 * @param[out] s  the settings; untouched unless HX_OK, so a failed reload keeps the old ones.
 * @return HX_OK; HX_E_IO a file cannot be read; HX_E_VALUE something in them is wrong. */
enum hx_err config_load(const struct config_source *src, FILE *complaints, struct hx_settings *s);

#endif
