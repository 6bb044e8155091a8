/* fuzz_zone.c - any file as a time zone. What must hold for any input:
 *   - what is refused is refused with a reason; what is taken has rising changes and offsets of
 *     less than two days;
 *   - the offset at any moment is the one that a walk through the list of changes gives, and after
 *     its end one of the rule's;
 *   - a name of a zone never leads out of the folder. */
#include "fuzz.h"

#include "zone.h"

#define DAYS_2 (2 * 86400)

static bool is_offset(int32_t s)
{
    return s > -DAYS_2 && s < DAYS_2;
}

/* The newest listed change that is not after @p utc_s. */
static int32_t walk(const struct hx_tz *tz, int64_t utc_s)
{
    int32_t offset = tz->first_s;

    for (size_t i = 0; i < tz->count && tz->change_s[i] <= utc_s; i++)
        offset = tz->after_s[i];
    return offset;
}

static void check_moment(const struct hx_tz *tz, int64_t utc_s)
{
    struct hx_zone z;
    int32_t offset;

    hx_tz_at(tz, utc_s, &z);
    offset = hx_zone_offset_s(&z, utc_s);
    REQUIRE(is_offset(z.before_s) && is_offset(z.after_s));
    if (tz->count > 0 && utc_s < tz->change_s[tz->count - 1u])
        REQUIRE(offset == walk(tz, utc_s));
    else if (!tz->has_summer)
        REQUIRE(offset == walk(tz, utc_s) || offset == tz->standard_s);
    else
        REQUIRE(offset == walk(tz, utc_s) || offset == tz->standard_s || offset == tz->summer_s);
}

static void check_zone(const struct hx_tz *tz)
{
    static const int64_t moments[] = {INT64_MIN,  -4000000000,   -1,           0,
                                      1,          1711846799,    1711846800,   1729990800,
                                      4102444800, INT64_MAX,     253370764799, 253370764801,
                                      7258118400, -377705116801, 1735689600};

    REQUIRE(tz->count <= HX_TZ_CHANGES && is_offset(tz->first_s));
    REQUIRE(is_offset(tz->standard_s) && is_offset(tz->summer_s));
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        check_moment(tz, moments[i]);
    for (size_t i = 0; i < tz->count; i++) {
        REQUIRE(is_offset(tz->after_s[i]));
        REQUIRE(i == 0 || tz->change_s[i] > tz->change_s[i - 1u]);
        check_moment(tz, tz->change_s[i]);
        if (tz->change_s[i] > INT64_MIN)
            check_moment(tz, tz->change_s[i] - 1);
    }
}

/* The start of the input as a name. Files outside the folder are there to be found: the folder has
 * none but "UTC" and "Inside/Zone". */
static void check_name(struct hx_span in)
{
    char *name = fuzz_text(fuzz_take(&in, 40));

    if (hx_tz_may_be(name))
        REQUIRE(strstr(name, "..") == NULL && name[0] != '/');
    free(name);
}

static void load(const char *name, enum hx_err want)
{
    static struct hx_tz tz;

    REQUIRE(hx_tz_load(&tz, name) == want || want == HX_E_IO);
    check_zone(&tz);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[96];

    (void)argc;
    (void)argv;
    (void)snprintf(path, sizeof path, "%s/zones", fuzz_folder());
    REQUIRE(mkdir(path, 0700) == 0 && setenv("TZDIR", path, 1) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hx_tz tz;
    static int dir_fd = -1;
    uint8_t *file = fuzz_copy((struct hx_span){data, size});
    enum hx_err err = hx_tz_parse(&tz, (struct hx_span){file, size});

    free(file);
    REQUIRE(err == HX_OK || err == HX_E_LEN || err == HX_E_VALUE);
    if (err == HX_OK)
        check_zone(&tz);
    if (dir_fd < 0)
        dir_fd = open(getenv("TZDIR"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(dir_fd >= 0);
    fuzz_put_file(dir_fd, "UTC", (struct hx_span){data, size});
    load("UTC", err);
    load("Europe/Oslo", HX_E_IO);
    check_name((struct hx_span){data, size});
    return 0;
}
