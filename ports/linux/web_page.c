/* web_page.c - the page in place of the web pages, when the program was built without them. */
#include "web_assets.h"

static const char page[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>han2x</title>\n"
    "<h1>han2x</h1>\n"
    "<p>The gateway runs. Its web pages were not built into this program: that needs node and\n"
    "npm. <code>./dev web</code> builds them, then <code>./dev build</code> takes them in.</p>\n"
    "<p>The API is here, with user name and password of the web login:</p>\n"
    "<ul>\n<li><a href=\"/api/v1/live\">readings</a></li>\n"
    "<li><a href=\"/api/v1/status\">status</a></li>\n"
    "<li><a href=\"/api/v1/registers\">Modbus registers</a></li>\n"
    "<li><a href=\"/metrics\">metrics</a></li>\n<li><a href=\"/health\">health</a></li>\n</ul>\n";

const struct hx_web_asset hx_web_assets[] = {{.path = "/index.html",
                                              .type = "text/html; charset=utf-8",
                                              .etag = "\"page-1\"",
                                              .data = (const uint8_t *)page,
                                              .len = sizeof page - 1u}};
const size_t hx_web_asset_count = 1;
