/* web_assets.h - the files of the web pages, built in.
 * In:     a path.  Out: octets, gzip-compressed.
 * State:  none: a table made by tools/embed.py, or web_page.c where the pages were not built. */
#ifndef HX_WEB_ASSETS_H
#define HX_WEB_ASSETS_H

#include "hx/base.h"

struct hx_web_asset {
    const char *path; /* "/index.html" */
    const char *type;
    const char *etag; /* of the content, with quotes */
    bool gzip;        /* data is compressed */
    bool immutable;   /* the name changes with the content */
    const uint8_t *data;
    size_t len;
};
extern const struct hx_web_asset hx_web_assets[];
extern const size_t hx_web_asset_count;

/** @param path  of the request. Paths of pages (letters, digits, dashes) are answered by the
 * index, which finds its way from the path.
 * @return NULL when there is none. */
const struct hx_web_asset *hx_web_asset_find(const char *path);

#endif
