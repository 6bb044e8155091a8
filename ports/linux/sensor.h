/* sensor.h - the board's temperature, from any of the kernel's three kinds of sensors.
 * In:     a path.  Out: 0.01 °C, every 10 s, on the loop's thread.
 * State:  struct hx_sensor, owned by the caller. Sensors on a slow bus block the reader for a
 *         while: they are read on the worker.
 * Source: Documentation/hwmon/sysfs-interface.rst, Documentation/driver-api/thermal/sysfs-api.rst
 *         (both 0.001 °C); Documentation/ABI/testing/sysfs-bus-iio (in_temp_input the same,
 *         in_temp_raw: (raw + offset) × scale). */
#ifndef HX_SENSOR_H
#define HX_SENSOR_H

#include "worker.h"

#include "hx/settings.h"

#define HX_SENSOR_EVERY_MS 10000u

struct hx_sensor {
    struct hx_job job; /* first member */
    struct hx_worker *worker;
    const char *setting; /* its name, for the log */
    char path[HX_SETTING_TEXT_MAX + 1u], reading[HX_SETTING_TEXT_MAX + 1u];
    bool good, told, begun;
    int error;
    int32_t temp_cc;
    uint64_t next_ms;
    void (*measured)(void *ctx, int32_t temp_cc);
    void *ctx;
};

/** Read once; may block.
 * @param path  a file; a folder of a sensor; either with * and ? as in a shell, since the numbers
 *              of hwmon and iio devices change from start to start: the first that there is.
 * @return HX_OK; HX_E_IO with errno set; HX_E_VALUE no temperature in it. */
enum hx_err hx_sensor_read(const char *path, int32_t *temp_cc);

void hx_sensor_init(struct hx_sensor *s, struct hx_worker *worker, const char *setting,
                    void (*measured)(void *ctx, int32_t temp_cc), void *ctx);
/** @param path  "": not fitted. */
void hx_sensor_set(struct hx_sensor *s, const char *path);
/** Time passed. A sensor that cannot be read is told once and tried again. */
void hx_sensor_tick(struct hx_sensor *s, uint64_t now_ms);

#endif
