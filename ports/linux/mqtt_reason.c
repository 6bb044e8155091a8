/* mqtt_reason.c - see mqtt_reason.h. */
#include "mqtt_reason.h"

#include <mosquitto.h>
#include <netdb.h>
#include <string.h>

struct text {
    int code;
    const char *text;
};

/* MQTT 5.0, table 2-6: those that a broker may send in CONNACK, PUBACK or DISCONNECT. */
static const struct text v5[] = {
    {0x80, "refused: unspecified error"},
    {0x81, "refused: malformed packet"},
    {0x82, "refused: protocol error"},
    {0x83, "refused: implementation specific error"},
    {0x84, "refused: protocol version not supported"},
    {0x85, "refused: client id not valid"},
    {0x86, "refused: user name or password"},
    {0x87, "refused: not authorized"},
    {0x88, "refused: server unavailable"},
    {0x89, "refused: server busy"},
    {0x8A, "refused: banned"},
    {0x8B, "the broker shuts down"},
    {0x8C, "refused: bad authentication method"},
    {0x8D, "the broker heard nothing from us (keep alive)"},
    {0x8E, "another client with our client id took over: does another gateway use this topic?"},
    {0x8F, "refused: topic filter not valid"},
    {0x90, "refused: topic name not valid"},
    {0x91, "refused: packet identifier in use"},
    {0x93, "refused: too many messages at once"},
    {0x94, "refused: topic alias not valid"},
    {0x95, "refused: message too large"},
    {0x96, "refused: too many messages"},
    {0x97, "refused: quota exceeded"},
    {0x98, "closed by the broker's administrator"},
    {0x99, "refused: payload format not valid"},
    {0x9A, "refused: broker keeps no retained messages"},
    {0x9B, "refused: quality of service not supported"},
    {0x9C, "the broker names another server"},
    {0x9D, "the broker moved to another server"},
    {0x9F, "refused: too many connections at once"},
    {0xA0, "closed: longest time of a connection is over"},
};

static const struct text v311[] = {
    {1, "refused: protocol version not supported"},
    {2, "refused: client id not valid"},
    {3, "refused: server unavailable"},
    {4, "refused: user name or password"},
    {5, "refused: not authorized"},
};

static const struct text library[] = {
    {MOSQ_ERR_SUCCESS, "closed by the broker"},
    {MOSQ_ERR_NOMEM, "out of memory"},
    {MOSQ_ERR_PROTOCOL, "what the broker sends is not MQTT"},
    {MOSQ_ERR_MALFORMED_PACKET, "what the broker sends is not MQTT"},
    {MOSQ_ERR_NO_CONN, "connection lost"},
    {MOSQ_ERR_CONN_LOST, "connection lost"},
    {MOSQ_ERR_CONN_REFUSED, "refused"},
    {MOSQ_ERR_TLS, "TLS failed"},
    {MOSQ_ERR_KEEPALIVE, "the broker does not answer"},
    {MOSQ_ERR_OVERSIZE_PACKET, "message larger than the broker takes"},
    {MOSQ_ERR_QOS_NOT_SUPPORTED, "quality of service not supported by the broker"},
    {MOSQ_ERR_RETAIN_NOT_SUPPORTED, "the broker keeps no retained messages"},
};

static const struct text names[] = {
    {EAI_NONAME, "no such host"},
    {EAI_NODATA, "no such host"},
    {EAI_AGAIN, "the name server does not answer"},
    {EAI_FAIL, "the name server failed"},
};

/* Parts of OpenSSL's texts (openssl-errors): alerts that the broker sent, and no TLS at all. */
static const struct {
    const char *part, *text;
} tls[] = {
    {"certificate required", "the broker asks for a client certificate"},
    {"alert unknown ca", "the broker does not accept our client certificate: unknown authority"},
    {"alert bad certificate", "the broker does not accept our client certificate"},
    {"alert certificate expired", "the broker says that our client certificate has expired"},
    {"alert certificate revoked", "the broker says that our client certificate is revoked"},
    {"alert handshake failure", "TLS failed: no common method, or a client certificate is needed"},
    {"alert protocol version", "TLS failed: the broker speaks another version of TLS"},
    {"alert access denied", "the broker does not accept our client certificate: access denied"},
    {"unsupported protocol", "TLS failed: the broker speaks only outdated versions of TLS"},
    {"wrong version number", "the broker does not speak TLS on this port"},
    {"http request", "the broker does not speak TLS on this port"},
    {"unexpected eof", "TLS failed: connection closed by the broker"},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *find(const struct text *table, size_t count, int code, const char *other)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].code == code)
            return table[i].text;
    return other;
}

const char *hx_mqtt_reason_broker(int code, bool is_v5)
{
    if (is_v5)
        return find(v5, COUNT(v5), code, "refused: unknown reason");
    return find(v311, COUNT(v311), code, "refused: unknown reason");
}

const char *hx_mqtt_reason_library(int rc)
{
    return find(library, COUNT(library), rc, mosquitto_strerror(rc));
}

const char *hx_mqtt_reason_lookup(int error)
{
    return find(names, COUNT(names), error, gai_strerror(error));
}

const char *hx_mqtt_reason_tls(const char *line)
{
    for (size_t i = 0; i < COUNT(tls); i++)
        if (strstr(line, tls[i].part) != NULL)
            return tls[i].text;
    return NULL;
}
