/* sparkplug.c - see sparkplug.h */
#include "sparkplug.h"

#include "sparkplug.pb.h"

#include <pb_decode.h>
#include <pb_encode.h>

#include <string.h>

/* Data types: Sparkplug 3.0.0, 6.4.16 */
#define TYPE_INT64 4u
#define TYPE_DOUBLE 10u
#define TYPE_BOOLEAN 11u
#define TYPE_STRING 12u

#define NAMESPACE "spBv1.0/"
#define DEFAULT_GROUP "han2x"
#define REBIRTH "Node Control/Rebirth"

/* ---- names -------------------------------------------------------------------------------- */

/* @p n octets of @p text and a NUL, as far as they fit into @p size. */
static void copy_text(char *out, size_t size, const char *text, size_t n)
{
    n = n < size ? n : size - 1u;
    memcpy(out, text, n);
    out[n] = '\0';
}

void hx_sparkplug_init(struct hx_sparkplug *p, const char *topic, bool estimated)
{
    const char *slash = strrchr(topic, '/');
    memset(p, 0, sizeof *p);
    p->estimated = estimated;
    p->bd_seq = UINT8_MAX; /* the first connection counts it to 0 */
    if (slash != NULL) {
        copy_text(p->group, sizeof p->group, topic, (size_t)(slash - topic));
        topic = slash + 1;
    } else {
        copy_text(p->group, sizeof p->group, DEFAULT_GROUP, sizeof DEFAULT_GROUP - 1u);
    }
    copy_text(p->node, sizeof p->node, topic, strlen(topic));
    for (char *c = p->group; *c != '\0'; c++) /* an id is one level of a topic: 4.1 */
        if (*c == '/')
            *c = ':';
}

static void write_name(struct hx_wr *w, const struct hx_sparkplug *p, const char *type)
{
    hx_wr_str(w, NAMESPACE);
    hx_wr_str(w, p->group);
    hx_wr_str(w, type);
    hx_wr_str(w, p->node);
}

void hx_sparkplug_command_name(struct hx_wr *w, const struct hx_sparkplug *p)
{
    write_name(w, p, "/NCMD/");
}

/* ---- metrics ------------------------------------------------------------------------------ */

/* What the metrics callback needs to know. */
struct batch {
    const struct hx_sparkplug *p;
    const struct hx_state *s; /* NULL: a death, bdSeq only */
    bool birth;
    uint64_t now_utc_ms;
};

static bool put_metric(pb_ostream_t *out, const pb_field_t *field, const spb_Metric *m)
{
    return pb_encode_tag_for_field(out, field) && pb_encode_submessage(out, spb_Metric_fields, m);
}

static spb_Metric named_metric(const char *name, uint32_t datatype, uint64_t utc_ms)
{
    spb_Metric m = spb_Metric_init_zero;
    m.has_name = m.has_datatype = true;
    copy_text(m.name, sizeof m.name, name, strlen(name));
    m.datatype = datatype;
    m.has_timestamp = utc_ms != 0;
    m.timestamp = utc_ms;
    return m;
}

static bool put_bd_seq(pb_ostream_t *out, const pb_field_t *field, const struct batch *b)
{
    spb_Metric m = named_metric("bdSeq", TYPE_INT64, b->now_utc_ms);
    m.which_value = spb_Metric_long_value_tag;
    m.value.long_value = b->p->bd_seq;
    return put_metric(out, field, &m);
}

/* Without an alias: tck-id-operations-behavior-data-commands-rebirth-name-aliases. */
static bool put_rebirth(pb_ostream_t *out, const pb_field_t *field, const struct batch *b)
{
    spb_Metric m = named_metric(REBIRTH, TYPE_BOOLEAN, b->now_utc_ms);
    m.which_value = spb_Metric_boolean_value_tag;
    m.value.boolean_value = false;
    return put_metric(out, field, &m);
}

static uint32_t datatype_of(const struct hx_topic *t)
{
    switch (hx_topic_kind(t)) {
    case HX_TOPIC_NUMBER:
        return TYPE_DOUBLE;
    case HX_TOPIC_TEXT:
        return TYPE_STRING;
    case HX_TOPIC_BIT:
        return TYPE_BOOLEAN;
    }
    HX_UNREACHABLE();
}

/* A protobuf string is UTF-8; of a meter's text only ASCII is sure to be. */
static void take_text(spb_Metric *m, struct hx_span text)
{
    size_t n =
        text.len < sizeof m->value.string_value ? text.len : sizeof m->value.string_value - 1u;
    m->which_value = spb_Metric_string_value_tag;
    copy_text(m->value.string_value, sizeof m->value.string_value, (const char *)text.ptr, n);
    for (char *c = m->value.string_value; c < m->value.string_value + n; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static void take_value(spb_Metric *m, const struct hx_topic *t, const struct hx_topic_value *v)
{
    switch (hx_topic_kind(t)) {
    case HX_TOPIC_NUMBER:
        m->which_value = spb_Metric_double_value_tag;
        m->value.double_value = (double)v->num / (double)hx_pow10((unsigned)v->decimals);
        return;
    case HX_TOPIC_TEXT:
        take_text(m, v->text);
        return;
    case HX_TOPIC_BIT:
        m->which_value = spb_Metric_boolean_value_tag;
        m->value.boolean_value = v->num != 0;
        return;
    }
}

/* Birth only: unit under the key that SCADA hosts show. */
static void take_unit(spb_Metric *m, const char *unit)
{
    if (unit[0] == '\0')
        return;
    m->has_properties = true;
    m->properties.keys_count = m->properties.values_count = 1;
    copy_text(m->properties.keys[0], sizeof m->properties.keys[0], "engUnit", 7);
    m->properties.values[0].has_type = m->properties.values[0].has_string_value = true;
    m->properties.values[0].type = TYPE_STRING;
    copy_text(m->properties.values[0].string_value, sizeof m->properties.values[0].string_value,
              unit, strlen(unit));
}

static bool put_topic(pb_ostream_t *out, const pb_field_t *field, const struct batch *b, size_t i,
                      const struct hx_topic *t)
{
    struct hx_topic_value v;
    int64_t at_utc_ms;
    bool known = hx_topic_read(t, b->s, &v);
    uint64_t utc_ms = known && v.at_known && hx_topic_utc_ms(b->s, v.at_ms, &at_utc_ms)
                          ? (uint64_t)at_utc_ms
                          : b->now_utc_ms;
    spb_Metric m = named_metric(t->subtopic, datatype_of(t), utc_ms);
    m.has_alias = true;
    m.alias = i + 1u;
    m.has_name = m.has_datatype = b->birth; /* data has the alias only: 6.4.8 */
    m.has_is_null = m.is_null = !known;
    if (known)
        take_value(&m, t, &v);
    if (b->birth)
        take_unit(&m, t->unit);
    return put_metric(out, field, &m);
}

static struct hx_sparkplug_last read_last(const struct hx_topic *t, const struct hx_state *s)
{
    struct hx_topic_value v;
    if (!hx_topic_read(t, s, &v))
        return (struct hx_sparkplug_last){.known = false};
    return (struct hx_sparkplug_last){true, hx_topic_sent(t, &v), v.decimals};
}

static bool is_wanted(const struct hx_sparkplug *p, const struct hx_topic *t)
{
    return p->estimated || !t->extension;
}

static bool is_changed(const struct hx_sparkplug *p, const struct hx_state *s, size_t i,
                       const struct hx_topic *t)
{
    struct hx_sparkplug_last now = read_last(t, s);
    const struct hx_sparkplug_last *last = &p->last[i];
    return now.known != last->known || now.num != last->num || now.decimals != last->decimals;
}

static bool put_metrics(pb_ostream_t *out, const pb_field_t *field, void *const *arg)
{
    const struct batch *b = *arg;
    size_t count;
    const struct hx_topic *t = hx_topic_table(&count);
    if (b->s == NULL || b->birth) {
        if (!put_bd_seq(out, field, b))
            return false;
        if (b->s == NULL)
            return true;
        if (!put_rebirth(out, field, b))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if (is_wanted(b->p, &t[i]) && (b->birth || is_changed(b->p, b->s, i, &t[i])))
            if (!put_topic(out, field, b, i, &t[i]))
                return false;
    return true;
}

/* ---- messages ----------------------------------------------------------------------------- */

static enum hx_err write_message(struct batch *b, const char *type, bool has_seq, uint8_t seq,
                                 struct hx_mqtt_msg *out)
{
    struct hx_wr name = {.ptr = (uint8_t *)out->name, .cap = HX_MQTT_NAME_MAX};
    pb_ostream_t stream = pb_ostream_from_buffer(out->payload, sizeof out->payload);
    spb_Payload payload = spb_Payload_init_zero;
    payload.has_timestamp = b->now_utc_ms != 0;
    payload.timestamp = b->now_utc_ms;
    payload.has_seq = has_seq;
    payload.seq = seq;
    payload.metrics.funcs.encode = put_metrics;
    payload.metrics.arg = b;
    write_name(&name, b->p, type);
    if (name.err != HX_OK || !pb_encode(&stream, spb_Payload_fields, &payload))
        return HX_E_SPACE;
    out->name[name.len] = '\0';
    out->len = stream.bytes_written;
    out->retain_always = false;
    return HX_OK;
}

enum hx_err hx_sparkplug_farewell(const struct hx_sparkplug *p, int64_t utc_ms,
                                  struct hx_mqtt_msg *out)
{
    struct batch b = {.p = p, .now_utc_ms = utc_ms > 0 ? (uint64_t)utc_ms : 0};
    return write_message(&b, "/NDEATH/", false, 0, out);
}

enum hx_err hx_sparkplug_death(struct hx_sparkplug *p, int64_t utc_ms, struct hx_mqtt_msg *out)
{
    p->bd_seq++; /* 255 is followed by 0 */
    p->birth_due = p->born = false;
    return hx_sparkplug_farewell(p, utc_ms, out);
}

void hx_sparkplug_connected(struct hx_sparkplug *p)
{
    p->birth_due = true;
}

static bool any_changed(const struct hx_sparkplug *p, const struct hx_state *s)
{
    size_t count;
    const struct hx_topic *t = hx_topic_table(&count);
    for (size_t i = 0; i < count; i++)
        if (is_wanted(p, &t[i]) && is_changed(p, s, i, &t[i]))
            return true;
    return false;
}

/* All of @p s is with the host now. */
static void note_sent(struct hx_sparkplug *p, const struct hx_state *s)
{
    size_t count;
    const struct hx_topic *t = hx_topic_table(&count);
    for (size_t i = 0; i < count; i++)
        p->last[i] = read_last(&t[i], s);
}

enum hx_err hx_sparkplug_next(struct hx_sparkplug *p, const struct hx_state *s,
                              struct hx_mqtt_msg *out)
{
    struct batch b = {.p = p, .s = s, .birth = p->birth_due};
    int64_t utc_ms;
    enum hx_err e;
    if (!hx_topic_utc_ms(s, s->now_ms, &utc_ms) || utc_ms == 0)
        return HX_MORE;
    if (!b.birth && (!p->born || !any_changed(p, s)))
        return HX_MORE;
    b.now_utc_ms = (uint64_t)utc_ms;
    if (b.birth)
        p->seq = 0;
    e = write_message(&b, b.birth ? "/NBIRTH/" : "/NDATA/", true, p->seq, out);
    note_sent(p, s);
    p->birth_due = false;
    if (e != HX_OK)
        return e;
    p->born = true;
    p->seq++; /* 255 is followed by 0 */
    return HX_OK;
}

/* ---- commands ----------------------------------------------------------------------------- */

static bool read_name(pb_istream_t *in, const pb_field_t *field, void **arg)
{
    bool *is_rebirth = *arg;
    uint8_t buf[sizeof REBIRTH - 1u];
    (void)field;
    *is_rebirth = false;
    if (in->bytes_left != sizeof buf)
        return pb_read(in, NULL, in->bytes_left);
    if (!pb_read(in, buf, sizeof buf))
        return false;
    *is_rebirth = memcmp(buf, REBIRTH, sizeof buf) == 0;
    return true;
}

static bool read_metric(pb_istream_t *in, const pb_field_t *field, void **arg)
{
    bool *found = *arg, is_rebirth = false;
    spb_CommandMetric m = spb_CommandMetric_init_zero;
    (void)field;
    m.name.funcs.decode = read_name;
    m.name.arg = &is_rebirth;
    if (!pb_decode(in, spb_CommandMetric_fields, &m))
        return false;
    if (is_rebirth && m.has_boolean_value && m.boolean_value)
        *found = true;
    return true;
}

enum hx_err hx_sparkplug_command(struct hx_sparkplug *p, struct hx_span payload)
{
    pb_istream_t in = pb_istream_from_buffer(payload.ptr, payload.len);
    spb_Command c = spb_Command_init_zero;
    bool found = false;
    c.metrics.funcs.decode = read_metric;
    c.metrics.arg = &found;
    if (!pb_decode(&in, spb_Command_fields, &c))
        return HX_E_VALUE;
    if (!found)
        return HX_MORE;
    p->birth_due = true;
    return HX_OK;
}
