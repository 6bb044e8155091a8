/* fuzz_unmark.c - any octets from a serial line that marks errors. What must hold for any input:
 *   - however it is cut, the same octets and errors come out, and all of it is read;
 *   - octets that are marked as termios(3) says come out as they were, errors at their places. */
#include "fuzz.h"

#include "unmark.h"

#define INPUT_MAX 2048u

struct read_out {
    size_t n;
    uint8_t octet[2u * INPUT_MAX];
    bool error[2u * INPUT_MAX];
};

static void run(struct hx_span in, size_t piece, struct read_out *r)
{
    struct hx_unmark u = {0};

    memset(r, 0, sizeof *r);
    while (in.len > 0) {
        struct hx_span part = fuzz_take(&in, piece);
        uint8_t *copy = fuzz_copy(part), *out = malloc(part.len + 1u);

        REQUIRE(out != NULL);
        for (size_t at = 0; at < part.len;) {
            size_t used, len;
            bool error =
                hx_unmark_next(&u, (struct hx_span){copy + at, part.len - at}, &used, out, &len);

            REQUIRE(used > 0 && used <= part.len - at && len <= part.len - at + 1u);
            REQUIRE(error ? len > 0 : at + used == part.len);
            memcpy(r->octet + r->n, out, len);
            r->n += len;
            if (error)
                r->error[r->n - 1u] = true;
            at += used;
        }
        free(copy);
        free(out);
    }
}

/* As a driver marks: every octet of the input, those at odd places whose neighbour is odd with an
 * error. */
static void mark_and_read(struct hx_span in)
{
    static struct read_out r;
    static uint8_t line[3u * INPUT_MAX];
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        bool error = i % 2u == 1 && (in.ptr[i - 1u] & 1u) != 0;

        if (error || in.ptr[i] == 0xFF)
            line[n++] = 0xFF;
        if (error)
            line[n++] = 0;
        line[n++] = in.ptr[i];
    }
    run((struct hx_span){line, n}, 1u + in.len % 5u, &r);
    REQUIRE(r.n == in.len && (in.len == 0 || memcmp(r.octet, in.ptr, in.len) == 0));
    for (size_t i = 0; i < in.len; i++)
        REQUIRE(r.error[i] == (i % 2u == 1 && (in.ptr[i - 1u] & 1u) != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct read_out whole, cut;
    struct hx_span in = {data, size < INPUT_MAX ? size : INPUT_MAX};

    run(in, INPUT_MAX, &whole);
    run(in, 1u + in.len % 3u, &cut);
    REQUIRE(whole.n == cut.n && whole.n <= in.len);
    REQUIRE(memcmp(whole.octet, cut.octet, sizeof cut.octet) == 0);
    REQUIRE(memcmp(whole.error, cut.error, sizeof cut.error) == 0);
    mark_and_read(in);
    return 0;
}
