/* web_assets.c - see web_assets.h. */
#include "web_assets.h"

#include <string.h>

#define PAGE_LETTERS "/-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const struct hx_web_asset *find(const char *path)
{
    for (size_t i = 0; i < hx_web_asset_count; i++)
        if (strcmp(hx_web_assets[i].path, path) == 0)
            return &hx_web_assets[i];
    return NULL;
}

const struct hx_web_asset *hx_web_asset_find(const char *path)
{
    const struct hx_web_asset *a = find(path);

    if (a != NULL || strspn(path, PAGE_LETTERS) != strlen(path) || strstr(path, "//") != NULL)
        return a;
    return find("/index.html");
}
