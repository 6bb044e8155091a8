/* web_router.h - from path and method to the row of a table.
 * In:     a table, a path, a method.  Out: the row, or why there is none. Pure.
 * State:  none. */
#ifndef HX_WEB_ROUTER_H
#define HX_WEB_ROUTER_H

#include "hx/base.h"

enum hx_web_method { HX_WEB_GET, HX_WEB_POST, HX_WEB_PUT, HX_WEB_PATCH, HX_WEB_DELETE };
#define HX_WEB_METHOD_COUNT 5u

enum hx_web_route_flag {
    HX_ROUTE_OPEN = 1, /* without a login */
    HX_ROUTE_LOOK = 2, /* changes something, and yet with the factory password */
    HX_ROUTE_BODY = 4, /* needs a JSON body */
};

struct hx_web_request;
struct hx_web_route {
    const char *path;
    enum hx_web_method method;
    unsigned flags; /* of enum hx_web_route_flag */
    size_t max;     /* octets of a body */
    void (*handle)(struct hx_web_request *r);
};

enum hx_web_found { HX_WEB_FOUND, HX_WEB_NO_PATH, HX_WEB_NO_METHOD };
/** @param method  as in the request line; HEAD is served as GET.
 * @param[out] allow  on HX_WEB_NO_METHOD: bit per method that the path has. */
enum hx_web_found hx_web_route_find(const struct hx_web_route *table, size_t count,
                                    const char *path, const char *method,
                                    const struct hx_web_route **out, unsigned *allow);
/** Write the methods of @p allow as the Allow header wants them. @param text  64 octets. */
void hx_web_allow_text(unsigned allow, char text[64]);

#endif
