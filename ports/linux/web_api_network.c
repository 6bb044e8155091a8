/* web_api_network.c - the network as it is, its confirmation, and the certificate to trust. */
#include "web_inside.h"

#include "clock.h"
#include "mdns.h"
#include "network.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESSES 16u

struct hx_network *hx_web_network(struct hx_web *w)
{
    struct hx_network *n;

    (void)pthread_mutex_lock(&w->lock); /* our own, healthy lock: cannot fail */
    n = w->network;
    (void)pthread_mutex_unlock(&w->lock);
    return n;
}

static void put_network(struct hx_web_request *r)
{
    struct hx_web *w = r->web;
    struct hx_network_status s;
    char address[ADDRESSES][48];
    size_t n = hx_network_addresses(address, ADDRESSES);

    hx_network_status(hx_web_network(w), hx_clock_ms(), &s);
    hx_web_open_object(&r->out, NULL);
    hx_web_bool(&r->out, "manage", s.manage);
    hx_web_bool(&r->out, "pending", s.pending);
    hx_web_int(&r->out, "remaining_s", s.remaining_s);
    hx_web_text(&r->out, "old_address", s.old_address);
    hx_web_text(&r->out, "new_address", s.new_address);
    hx_web_text_said(&r->out, "error", s.error);
    hx_web_open_array(&r->out, "addresses");
    for (size_t i = 0; i < n; i++)
        hx_web_text(&r->out, NULL, address[i]);
    hx_web_close_array(&r->out);
    hx_web_text(&r->out, "hostname", w->names.hostname);
    hx_web_close_object(&r->out);
    hx_web_reply(r, 200);
}

void hx_api_network(struct hx_web_request *r)
{
    put_network(r);
}

void hx_api_network_confirm(struct hx_web_request *r)
{
    struct hx_network *n = hx_web_network(r->web);
    struct sockaddr_storage a;
    socklen_t size = sizeof a;
    char local[64], why[HX_NET_WHY] = "";
    bool known =
        getsockname(r->conn->fd, (struct sockaddr *)&a, &size) == 0 &&
        getnameinfo((struct sockaddr *)&a, size, local, sizeof local, NULL, 0, NI_NUMERICHOST) == 0;
    const char *text = strncmp(local, "::ffff:", 7) == 0 ? local + 7 : local;
    enum hx_err err = n != NULL ? hx_network_confirm(n, known ? text : NULL, why) : HX_OK;

    if (err != HX_OK) {
        r->retry_s = err == HX_MORE ? 1 : 0;
        hx_web_fail(r, 503, "not_available", "%s", why);
        return;
    }
    hx_web_record(r, HX_NOTE_NETWORK, "network settings confirmed");
    put_network(r);
}

/* Other gateways on this network. */
void hx_web_put_gateways(struct hx_web *w, struct hx_web_out *o)
{
    struct hx_mdns_peer *peer = calloc(HX_MDNS_PEERS, sizeof *peer);
    struct hx_mdns *m;
    size_t n = 0;

    (void)pthread_mutex_lock(&w->lock); /* our own, healthy lock: cannot fail */
    m = w->mdns;
    (void)pthread_mutex_unlock(&w->lock);
    if (peer != NULL)
        n = hx_mdns_peers(m, peer);
    hx_web_open_array(o, "gateways");
    for (size_t i = 0; i < n; i++) {
        hx_web_open_object(o, NULL);
        hx_web_text(o, "name", peer[i].name);
        hx_web_text(o, "host", peer[i].host);
        hx_web_text(o, "address", peer[i].address);
        hx_web_int(o, "port", peer[i].port);
        hx_web_bool(o, "tls", peer[i].tls);
        hx_web_text(o, "maker", peer[i].maker);
        hx_web_close_object(o);
    }
    hx_web_close_array(o);
    free(peer);
}

void hx_api_certificate(struct hx_web_request *r)
{
    const char *cert = r->web->tls.cert;

    if (cert == NULL) {
        hx_web_fail(r, 404, "not_found", "there is no certificate: web.tls_port is 0");
        return;
    }
    hx_web_put_span(&r->out, (struct hx_span){(const uint8_t *)cert, strlen(cert)});
    r->type = "application/x-x509-ca-cert";
    r->download = "han2x.crt";
    hx_web_reply(r, 200);
}
