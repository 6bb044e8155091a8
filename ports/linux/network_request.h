/* network_request.h - what passes between the gateway and its root helper: a request, its answer.
 * In:     an id and a plan, or why it was refused; the other way: files that the other one wrote.
 * Out:    texts; what they say.
 * State:  none; pure. Both programs share it, as they do network_plan.h.
 *
 *   id 0123456789abcdef <newline> plan yes static … <newline>
 *   id 0123456789abcdef <newline> done <newline>       or: refused WHY <newline> */
#ifndef HX_NETWORK_REQUEST_H
#define HX_NETWORK_REQUEST_H

#include "network_plan.h"

#define HX_NET_ID_DIGITS 16u /* hex, small letters */
#define HX_NET_REQUEST_MAX 512u
#define HX_NET_ANSWER_MAX 256u
#define HX_NET_WHY 200u

struct hx_net_request {
    char id[HX_NET_ID_DIGITS + 1u]; /* "": none */
    struct hx_net_plan plan;
};

void hx_net_request_format(struct hx_wr *w, const struct hx_net_request *r);
/** @param[out] why  NULL: @p out has a plan; else in words why not.
 * @return HX_OK: at least the id is there; HX_E_VALUE: nobody to answer to, @p why is not set. */
enum hx_err hx_net_request_parse(struct hx_span text, struct hx_net_request *out, const char **why);

/** @param why  NULL: done. */
void hx_net_answer_format(struct hx_wr *w, const char *id, const char *why);
/** @param id  of our request.
 * @param[out] why  NUL-terminated, in words, when not @p done.
 * @return HX_OK; HX_MORE: not a whole answer to this request. */
enum hx_err hx_net_answer_parse(struct hx_span text, const char *id, bool *done,
                                char why[HX_NET_WHY]);

#endif
