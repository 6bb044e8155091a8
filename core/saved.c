/* saved.c - the part of hx/gateway.h that outlives a restart: hx_gw_save and hx_gw_load.
 *
 *   han2x-state 1
 *   number 70388
 *   starts 17
 *   scale 1000 1000                       value, setting it belongs to
 *   meter 1 4149… 3733… 3635…             maker, then version, id, type in hex; - for empty
 *   grid 3
 *   clock 1730026800                      of the last hourly list, its own local seconds
 *   energy 0 117840 23456789 117843       index, total Wh, integral since in half mJ, and what a
 *                                         restart may not fall below, Wh
 *   end 1a2b                              X.25 checksum of all before, hex
 * Lines of later versions that this one does not know are passed over; the number in the first line
 * changes only when old programs would misread the rest. */

#include "hx/crc.h"
#include "hx/gateway.h"

#include <string.h>

#define MAGIC "han2x-state "
#define STATE_VERSION 1
#define WH_MAX 1000000000000000 /* 10^15: no meter counts so far, no sum overflows */

static void put_hex(struct hx_wr *w, struct hx_span s)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len; i++) {
        hx_wr_u8(w, (uint8_t)hex[s.ptr[i] >> 4]);
        hx_wr_u8(w, (uint8_t)hex[s.ptr[i] & 15]);
    }
}

static void put_text(struct hx_wr *w, const struct hx_text *t)
{
    hx_wr_u8(w, ' ');
    if (t->len == 0)
        hx_wr_u8(w, '-');
    put_hex(w, hx_text_span(t));
}

static void put_number(struct hx_wr *w, const char *before, int64_t v)
{
    hx_wr_str(w, before);
    hx_wr_int(w, v);
}

void hx_gw_save(const struct hx_gateway *g, struct hx_wr *w)
{
    const struct hx_state *s = &g->state;
    size_t from = w->len;
    uint16_t crc;
    put_number(w, MAGIC, STATE_VERSION);
    put_number(w, "\nnumber ", s->device_number);
    put_number(w, "\nstarts ", s->starts);
    put_number(w, "\nscale ", s->scale);
    put_number(w, " ", g->scale_setting);
    if (s->meter.known) {
        put_number(w, "\nmeter ", s->meter.maker);
        put_text(w, &s->meter.version);
        put_text(w, &s->meter.id);
        put_text(w, &s->meter.type);
        put_number(w, "\ngrid ", s->meter.grid);
    }
    if (s->meter.energy_known && s->meter.energy_clock_s != INT64_MIN)
        put_number(w, "\nclock ", s->meter.energy_clock_s);
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++) {
        if (!s->energy[i].known)
            continue;
        put_number(w, "\nenergy ", i);
        put_number(w, " ", s->energy[i].total_wh);
        put_number(w, " ", (int64_t)s->energy[i].since_half_mj);
        put_number(w, " ",
                   s->energy[i].shown_wh > g->reserved_wh[i] ? s->energy[i].shown_wh
                                                             : g->reserved_wh[i]);
    }
    hx_wr_str(w, "\nend ");
    if (w->err != HX_OK)
        return;
    crc = hx_crc_x25((struct hx_span){w->ptr + from, w->len - from});
    put_hex(w, (struct hx_span){(const uint8_t[]){(uint8_t)(crc >> 8), (uint8_t)crc}, 2});
    hx_wr_u8(w, '\n');
}

/* ---- reading ------------------------------------------------------------------------------ */

/* What a file holds, before any of it is believed. */
struct saved {
    int64_t number, starts, scale, scale_setting, clock_s, grid, maker; /* maker 0: no meter */
    struct hx_text version, id, type;
    struct {
        bool known;
        int64_t total_wh, since_half_mj, shown_wh;
    } energy[HX_ENERGY_COUNT];
};

static struct hx_span take_until(struct hx_span *s, uint8_t end)
{
    struct hx_span part = {s->ptr, 0};
    while (part.len < s->len && part.ptr[part.len] != end)
        part.len++;
    s->ptr += part.len;
    s->len -= part.len;
    if (s->len > 0) { /* the end character itself */
        s->ptr++;
        s->len--;
    }
    return part;
}

static bool is_word(struct hx_span s, const char *word)
{
    size_t n = 0;
    while (word[n] != '\0')
        n++;
    return s.len == n && memcmp(s.ptr, word, n) == 0;
}

static bool take_int(struct hx_span *line, int64_t min, int64_t max, int64_t *out)
{
    struct hx_span w = take_until(line, ' ');
    bool negative = w.len > 0 && w.ptr[0] == '-';
    uint64_t v = 0;
    if (w.len == negative || w.len > 19u) /* 19 digits or a sign and 18: no overflow below */
        return false;
    for (size_t i = negative; i < w.len; i++) {
        if (w.ptr[i] < '0' || w.ptr[i] > '9')
            return false;
        v = v * 10u + (uint64_t)(w.ptr[i] - '0');
    }
    if (v > INT64_MAX)
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return *out >= min && *out <= max;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_text(struct hx_span *line, struct hx_text *t)
{
    struct hx_span w = take_until(line, ' ');
    t->len = 0;
    if (is_word(w, "-"))
        return true;
    if (w.len == 0 || w.len % 2u != 0 || w.len / 2u > HX_TEXT_MAX)
        return false;
    for (size_t i = 0; i < w.len; i += 2) {
        int high = hex_digit(w.ptr[i]), low = hex_digit(w.ptr[i + 1u]);
        if (high < 0 || low < 0)
            return false;
        t->s[t->len++] = (char)(high << 4 | low);
    }
    return true;
}

static bool take_meter(struct hx_span *line, struct saved *s)
{
    return take_int(line, HX_MAKER_NONE + 1, HX_MAKER_COUNT - 1, &s->maker) &&
           take_text(line, &s->version) && take_text(line, &s->id) && take_text(line, &s->type);
}

static bool take_energy(struct hx_span *line, struct saved *s)
{
    int64_t i;
    if (!take_int(line, 0, HX_ENERGY_COUNT - 1, &i))
        return false;
    s->energy[i].known = true;
    return take_int(line, 0, WH_MAX, &s->energy[i].total_wh) &&
           take_int(line, 0, INT64_MAX, &s->energy[i].since_half_mj) &&
           take_int(line, 0, WH_MAX, &s->energy[i].shown_wh);
}

/* One line after the first. Keys that are not known are of a later program. */
static bool take_line(struct hx_span line, struct saved *s)
{
    struct hx_span key = take_until(&line, ' ');
    if (is_word(key, "number"))
        return take_int(&line, 0, UINT32_MAX, &s->number);
    if (is_word(key, "starts"))
        return take_int(&line, 0, UINT32_MAX, &s->starts);
    if (is_word(key, "scale"))
        return take_int(&line, HX_SCALE_MIN, HX_SCALE_MAX, &s->scale) &&
               take_int(&line, 0, HX_SCALE_MAX, &s->scale_setting);
    if (is_word(key, "meter"))
        return take_meter(&line, s);
    if (is_word(key, "grid"))
        return take_int(&line, HX_GRID_UNKNOWN, HX_GRID_4WIRE, &s->grid);
    if (is_word(key, "clock"))
        return take_int(&line, 0, UINT32_MAX, &s->clock_s);
    if (is_word(key, "energy"))
        return take_energy(&line, s);
    return true;
}

/* The body of a file that is whole: everything before its last line "end CRC". */
static enum hx_err check_whole(struct hx_span file, struct hx_span *body)
{
    static const size_t tail = sizeof "end 1a2b\n" - 1u;
    struct hx_wr crc = {.ptr = (uint8_t[4]){0}, .cap = 4};
    uint16_t sum;
    if (file.len < tail || memcmp(file.ptr + file.len - tail, "end ", 4) != 0 ||
        file.ptr[file.len - 1u] != '\n')
        return HX_E_LEN;
    *body = (struct hx_span){file.ptr, file.len - tail};
    sum = hx_crc_x25((struct hx_span){file.ptr, body->len + 4u});
    put_hex(&crc, (struct hx_span){(const uint8_t[]){(uint8_t)(sum >> 8), (uint8_t)sum}, 2});
    return memcmp(crc.ptr, file.ptr + body->len + 4u, 4) == 0 ? HX_OK : HX_E_FCS;
}

static void restore_energy(struct hx_state *s, const struct saved *in)
{
    for (unsigned i = 0; i < HX_ENERGY_COUNT; i++) {
        hx_energy_init(&s->energy[i]);
        if (!in->energy[i].known)
            continue;
        s->energy[i].known = true;
        s->energy[i].total_wh = in->energy[i].total_wh;
        s->energy[i].since_half_mj = (uint64_t)in->energy[i].since_half_mj;
        s->energy[i].shown_wh = in->energy[i].shown_wh;
        hx_energy_limit(&s->energy[i], in->energy[i].shown_wh);
        s->meter.energy_known = true;
        s->meter.value[HX_E_IMPORT + i] = (struct hx_value){
            .num = in->energy[i].total_wh, .at_ms = s->now_ms, .quality = HX_HELD};
    }
}

static void restore(struct hx_gateway *g, const struct saved *in)
{
    struct hx_state *s = &g->state;
    s->device_number = (uint32_t)in->number;
    s->starts = (uint32_t)in->starts;
    s->scale = (uint32_t)in->scale;
    g->scale_setting = (uint32_t)in->scale_setting;
    hx_meter_init(&s->meter);
    if (in->maker != HX_MAKER_NONE) {
        s->meter.known = true;
        s->meter.maker = (enum hx_maker)in->maker;
        s->meter.version = in->version;
        s->meter.id = in->id;
        s->meter.type = in->type;
        s->meter.grid = (enum hx_grid)in->grid;
        s->meter.energy_clock_s = in->clock_s;
        s->meter.energy_at_ms = s->now_ms;
        s->meter.energy_restored = true;
    }
    restore_energy(s, in);
    hx_gw_end(g); /* nothing is shown yet beyond what was read */
    hx_registers_render(&g->regs, s);
}

enum hx_err hx_gw_load(struct hx_gateway *g, struct hx_span file)
{
    struct saved s = {.scale = HX_SCALE_DEFAULT, .clock_s = INT64_MIN};
    struct hx_span body = {NULL, 0}, first;
    int64_t version;
    enum hx_err e;
    if (file.len == 0)
        return HX_E_LEN;
    first = file;
    first = take_until(&first, '\n');
    if (!is_word(take_until(&first, ' '), "han2x-state"))
        return HX_E_VALUE;
    if (!take_int(&first, STATE_VERSION, STATE_VERSION, &version))
        return HX_E_VALUE;
    e = check_whole(file, &body);
    if (e != HX_OK)
        return e;
    (void)take_until(&body, '\n'); /* the first line, judged above */
    while (body.len > 0)
        if (!take_line(take_until(&body, '\n'), &s))
            return HX_E_VALUE;
    restore(g, &s);
    return HX_OK;
}
