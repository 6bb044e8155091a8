/* daemon.h - the gateway thread: one loop that joins the core to meter, masters, disk and manager.
 * In:     settings, signals.  Out: a running gateway; its log.
 * State:  one struct on the heap per call of hx_daemon_run.
 *
 *   source ─ octets ─▶ core gateway ─▶ register image ◀─ mbtcp_server, mbrtu_server
 *                          │ events ─▶ log, saver ─▶ worker ─▶ store */
#ifndef HX_DAEMON_H
#define HX_DAEMON_H

#include "config.h"

/** config_load with its complaints in the log. */
enum hx_err hx_daemon_load(const struct config_source *source, struct hx_settings *settings);

/** Run until SIGTERM or SIGINT.
 * @param source     where SIGHUP loads the settings from again.
 * @param settings   those to begin with.
 * @param state_dir  the option, or NULL.
 * @param after_reset  a factory reset was carried out just now.
 * @return 0; 1 when the start failed, after one line in the log. */
int hx_daemon_run(const struct config_source *source, const struct hx_settings *settings,
                  const char *state_dir, bool after_reset);

#endif
