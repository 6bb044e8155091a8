/* settings_put.c - see settings_put.h. */
#include "settings_put.h"

#include "config.h"
#include "file_replace.h"
#include "file_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 4096u /* what one edit can add: section, meaning, value */

static enum hx_err put(const char *path, struct hx_span old, const struct hx_settings *s,
                       enum hx_setting_id id)
{
    struct hx_wr w = {.cap = CONFIG_FILE_MAX + ROOM};
    enum hx_err err = HX_E_IO;

    w.ptr = malloc(w.cap);
    if (w.ptr == NULL)
        return HX_E_IO;
    hx_ini_edit(&w, old, s, id);
    if (w.err == HX_OK)
        err = file_replace(path, (struct hx_span){w.ptr, w.len}, 0600);
    else
        errno = EFBIG;
    explicit_bzero(w.ptr, w.len);
    free(w.ptr);
    return err;
}

enum hx_err settings_put(const char *path, enum hx_setting_id id, const char *value)
{
    struct hx_settings *s = malloc(sizeof *s);
    struct hx_span old = {NULL, 0}, text = {(const uint8_t *)value, strlen(value)};
    uint8_t *memory = NULL;
    enum hx_err err = HX_E_IO;

    if (s == NULL)
        return HX_E_IO;
    hx_settings_init(s);
    if (hx_settings_set(s, id, text) != HX_OK)
        err = HX_E_VALUE;
    else if (file_text_read(path, CONFIG_FILE_MAX, &memory, &old) || errno == ENOENT)
        err = put(path, old, s, id);
    if (memory != NULL)
        explicit_bzero(memory, old.len);
    free(memory);
    free(s);
    return err;
}
