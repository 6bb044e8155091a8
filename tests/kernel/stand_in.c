/* stand_in.c - hardware that stands in for the box's, made through the kernel's own interfaces.
 *
 *   stand_in led NAME       a light of the LED class; prints "MILLISECONDS BRIGHTNESS" at each
 *                           change, as long as it runs
 *   stand_in temp CENTI     sets the sensor of i2c-stub (an LM75 at address 0x48) to 0.01 °C
 *
 * Source: Documentation/leds/uleds.rst, Documentation/i2c/i2c-stub.rst of the kernel; LM75 data
 * sheet: register 0 is 1/256 °C, high octet first. */
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <linux/uleds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int led(const char *name)
{
    struct uleds_user_dev dev = {.max_brightness = 255};
    int fd = open("/dev/uleds", O_RDWR), brightness;

    snprintf(dev.name, sizeof dev.name, "%s", name);
    if (fd < 0 || write(fd, &dev, sizeof dev) != (ssize_t)sizeof dev) {
        perror("/dev/uleds");
        return 1;
    }
    while (read(fd, &brightness, sizeof brightness) == (ssize_t)sizeof brightness) {
        printf("%lld %d\n", now_ms(), brightness);
        fflush(stdout);
    }
    return 1;
}

static int temp(const char *centi)
{
    int counts = atoi(centi) * 256 / 100; /* of 1/256 °C */
    /* the stub keeps SMBus words, whose first octet is the low one */
    union i2c_smbus_data word = {.word =
                                     (unsigned short)((counts & 0xFF) << 8 | (counts >> 8 & 0xFF))};
    struct i2c_smbus_ioctl_data call = {
        .read_write = I2C_SMBUS_WRITE, .command = 0, .size = I2C_SMBUS_WORD_DATA, .data = &word};
    int fd = open("/dev/i2c-0", O_RDWR);

    /* FORCE: the sensor's driver has the address */
    if (fd < 0 || ioctl(fd, I2C_SLAVE_FORCE, 0x48) != 0 || ioctl(fd, I2C_SMBUS, &call) != 0) {
        perror("/dev/i2c-0");
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "led") == 0)
        return led(argv[2]);
    if (argc == 3 && strcmp(argv[1], "temp") == 0)
        return temp(argv[2]);
    fprintf(stderr, "usage: stand_in led NAME | temp CENTI\n");
    return 2;
}
