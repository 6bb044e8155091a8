/* web_mqtt_none.c - in place of the broker trial in a program built without MQTT. */
#include "web_inside.h"

void hx_api_mqtt_test(struct hx_web_request *r)
{
    hx_web_fail(r, 503, "not_available", "this program was built without MQTT");
}

void hx_web_mqtt_test_init(struct hx_web *w)
{
    (void)w;
}
