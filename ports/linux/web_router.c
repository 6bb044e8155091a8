/* web_router.c - see web_router.h. */
#include "web_router.h"

#include <string.h>

static const char *const names[HX_WEB_METHOD_COUNT] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

static bool is_method(const char *text, enum hx_web_method m)
{
    return strcmp(text, names[m]) == 0 || (m == HX_WEB_GET && strcmp(text, "HEAD") == 0);
}

enum hx_web_found hx_web_route_find(const struct hx_web_route *table, size_t count,
                                    const char *path, const char *method,
                                    const struct hx_web_route **out, unsigned *allow)
{
    *allow = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].path, path) != 0)
            continue;
        if (is_method(method, table[i].method)) {
            *out = &table[i];
            return HX_WEB_FOUND;
        }
        *allow |= 1u << table[i].method;
    }
    return *allow != 0 ? HX_WEB_NO_METHOD : HX_WEB_NO_PATH;
}

void hx_web_allow_text(unsigned allow, char text[64])
{
    struct hx_wr w = {.ptr = (uint8_t *)text, .cap = 63}; /* all of them are 36 octets */

    for (unsigned m = 0; m < HX_WEB_METHOD_COUNT; m++) {
        if ((allow & 1u << m) == 0)
            continue;
        hx_wr_str(&w, w.len != 0 ? ", " : "");
        hx_wr_str(&w, names[m]);
        hx_wr_str(&w, m == HX_WEB_GET ? ", HEAD" : "");
    }
    text[w.len] = '\0';
}
