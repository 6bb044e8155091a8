/* daemon_panel.c - see daemon_panel.h. */
#include "daemon_panel.h"

#include "clock.h"
#include "log.h"
#include "settings_put.h"

#include <errno.h>
#include <string.h>

static void on_input(void *ctx, bool closed)
{
    struct hx_daemon_panel *p = ctx;

    hx_gw_set_input(p->env.gw, closed);
}

static void on_temperature(void *ctx, int32_t temp_cc)
{
    struct hx_daemon_panel *p = ctx;

    hx_gw_set_temperature(p->env.gw, temp_cc);
}

static void put_dhcp(struct hx_job *job)
{
    struct hx_daemon_panel *p = (struct hx_daemon_panel *)(void *)job; /* its first member */

    p->err = settings_put(config_path(p->env.config), HX_S_NETWORK_MODE, "dhcp");
    p->error = errno;
}

static void dhcp_put(struct hx_job *job)
{
    struct hx_daemon_panel *p = (struct hx_daemon_panel *)(void *)job;

    if (p->io.timer == NULL)
        return;                               /* the program ends: the next start reads the file */
    if (p->err == HX_OK || p->err == HX_MORE) /* HX_MORE: the file says so */
        p->env.reload(p->env.ctx);
    else
        hx_log(HX_LOG_ERROR, "DHCP was asked for with the button, but %s cannot be written: %s",
               config_path(p->env.config), strerror(p->error));
}

static void on_action(void *ctx, enum hx_panel_action action)
{
    struct hx_daemon_panel *p = ctx;

    switch (action) {
    case HX_PANEL_RESET:
        hx_log(HX_LOG_NOTICE, "FACTRESET was held for 5 s: factory reset");
        p->env.reset(p->env.ctx);
        return;
    case HX_PANEL_DHCP:
        hx_log(HX_LOG_NOTICE, "FACTRESET was held at the start: the address comes by DHCP");
        p->err = HX_E_IO; /* a job that is dropped at the end has written nothing */
        p->error = ECANCELED;
        (void)hx_worker_submit(p->env.worker, &p->job); /* busy: the same is being written */
        return;
    case HX_PANEL_NONE:
        return;
    }
}

enum hx_err hx_daemon_panel_open(struct hx_daemon_panel *p, const struct hx_daemon_panel_env *env,
                                 const struct hx_settings *s, bool power_on)
{
    const struct hx_panel_io_env io = {.base = env->base,
                                       .worker = env->worker,
                                       .gpio = &hx_gpio_kernel,
                                       .input = on_input,
                                       .temperature = on_temperature,
                                       .action = on_action,
                                       .ctx = p};

    *p = (struct hx_daemon_panel){.job = {.run = put_dhcp, .done = dhcp_put}, .env = *env};
    return hx_panel_io_open(&p->io, &io, s, power_on, hx_clock_ms());
}
