/* web_routes.c - every path of the API, as web/openapi.json describes it. */
#include "web_inside.h"

#define LOGIN (HX_ROUTE_OPEN | HX_ROUTE_BODY)
#define PASSWORD (HX_ROUTE_LOOK | HX_ROUTE_BODY)

const struct hx_web_route hx_web_routes[] = {
    {"/api/v1/session", HX_WEB_GET, HX_ROUTE_OPEN, 0, hx_api_session},
    {"/api/v1/session", HX_WEB_POST, LOGIN, 2048, hx_api_session_begin},
    {"/api/v1/session", HX_WEB_DELETE, HX_ROUTE_LOOK, 0, hx_api_session_end},
    {"/api/v1/password", HX_WEB_POST, PASSWORD, 4096, hx_api_password},
    {"/api/v1/live", HX_WEB_GET, 0, 0, hx_api_live},
    {"/api/v1/events", HX_WEB_GET, 0, 0, hx_api_events},
    {"/api/v1/settings", HX_WEB_GET, 0, 0, hx_api_settings},
    {"/api/v1/settings", HX_WEB_PATCH, HX_ROUTE_BODY, HX_WEB_BODY, hx_api_settings_patch},
    {"/api/v1/settings/schema", HX_WEB_GET, 0, 0, hx_api_schema},
    {"/api/v1/status", HX_WEB_GET, 0, 0, hx_api_status},
    {"/api/v1/registers", HX_WEB_GET, 0, 0, hx_api_registers},
    {"/api/v1/telegrams", HX_WEB_GET, 0, 0, hx_api_telegrams},
    {"/api/v1/history", HX_WEB_GET, 0, 0, hx_api_history},
    {"/api/v1/history/recent", HX_WEB_GET, 0, 0, hx_api_history_recent},
    {"/api/v1/log", HX_WEB_GET, 0, 0, hx_api_log},
    {"/api/v1/restart", HX_WEB_POST, 0, 0, hx_api_restart},
    {"/api/v1/factory-reset", HX_WEB_POST, HX_ROUTE_BODY, 256, hx_api_factory_reset},
    {"/api/v1/backup", HX_WEB_GET, 0, 0, hx_api_backup},
    {"/api/v1/backup", HX_WEB_POST, HX_ROUTE_BODY, 1024, hx_api_backup_secrets},
    {"/api/v1/backup", HX_WEB_PUT, HX_ROUTE_BODY, HX_WEB_BACKUP, hx_api_restore},
    {"/api/v1/mqtt/test", HX_WEB_POST, HX_ROUTE_BODY, HX_WEB_BODY, hx_api_mqtt_test},
    {"/api/v1/network", HX_WEB_GET, 0, 0, hx_api_network},
    {"/api/v1/network/confirm", HX_WEB_POST, 0, 0, hx_api_network_confirm},
    {"/metrics", HX_WEB_GET, 0, 0, hx_api_metrics},
    {"/health", HX_WEB_GET, HX_ROUTE_OPEN, 0, hx_api_health},
    {"/han2x.crt", HX_WEB_GET, HX_ROUTE_OPEN, 0, hx_api_certificate},
};
const size_t hx_web_route_count = sizeof hx_web_routes / sizeof *hx_web_routes;
