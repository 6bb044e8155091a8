/* lookup.h - one name look-up on a thread of its own, which can be walked away from.
 * In:     host and port.  Out: addresses; a descriptor that is readable when they are there.
 * State:  struct hx_lookup, shared by its user and its thread; the last of the two frees it. A
 *         look-up that hangs (a name server that is silent) holds nothing but its own thread. */
#ifndef HX_LOOKUP_H
#define HX_LOOKUP_H

#include "hx/base.h"

#include <netdb.h>

#define HX_LOOKUP_RUNNING_MAX 4u /* look-ups that hang at once, in the whole process */

struct hx_lookup;

/** Begin. @param host  name or address, without brackets.
 * @return HX_OK; HX_E_SPACE too many hang already; HX_E_IO with errno set. */
enum hx_err hx_lookup_begin(const char *host, uint16_t port, struct hx_lookup **out);
/** @return descriptor to poll for reading. */
int hx_lookup_fd(const struct hx_lookup *l);
/** @return HX_MORE not there yet; HX_OK: @p list is valid until hx_lookup_end; HX_E_VALUE no
 * address: @p error is getaddrinfo's. */
enum hx_err hx_lookup_result(struct hx_lookup *l, const struct addrinfo **list, int *error);
/** Done with it, finished or not. NULL is allowed. */
void hx_lookup_end(struct hx_lookup *l);

#endif
