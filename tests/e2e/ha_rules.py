"""What Home Assistant accepts in an MQTT discovery message of the device form.

Written from its documentation (MQTT integration, "Device discovery payload", sensor, binary
sensor; sensor entity, "Available device classes" and "Available state classes"), for the platforms
and classes that an electricity meter can need. complaints() gives what it would reject.
"""
import re

UNITS = {  # device class → allowed units of measurement
    "apparent_power": {"mVA", "VA", "kVA"},
    "current": {"A", "mA"},
    "duration": {"d", "h", "min", "s", "ms", "µs"},
    "energy": {"J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal",
               "Mcal", "Gcal"},
    "frequency": {"Hz", "kHz", "MHz", "GHz"},
    "power": {"mW", "W", "kW", "MW", "GW", "TW", "BTU/h"},
    "power_factor": {None, "%"},
    "reactive_energy": {"varh", "kvarh"},
    "reactive_power": {"mvar", "var", "kvar"},
    "temperature": {"°C", "°F", "K"},
    "timestamp": {None},
    "voltage": {"V", "mV", "µV", "kV", "MV"},
}
STATE_CLASSES = {  # device class → allowed state classes
    **{name: {"measurement"} for name in UNITS},
    "duration": {"measurement", "total", "total_increasing"},
    "energy": {"total", "total_increasing"},
    "reactive_energy": {"total", "total_increasing"},
    "timestamp": set(),
}
ANY_STATE_CLASS = {"measurement", "measurement_angle", "total", "total_increasing"}
BINARY_CLASSES = {"connectivity", "door", "opening", "power", "problem", "running", "safety",
                  "window"}

ROOT = {"device", "origin", "components", "availability", "availability_mode",
        "availability_topic", "payload_available", "payload_not_available", "state_topic",
        "command_topic", "qos", "encoding"}
DEVICE = {"identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version",
          "sw_version", "serial_number", "suggested_area", "via_device", "configuration_url"}
ORIGIN = {"name", "sw_version", "support_url"}
ENTITY = {"p", "platform", "name", "unique_id", "default_entity_id", "state_topic",
          "value_template", "device_class", "entity_category", "icon", "expire_after",
          "force_update", "qos", "enabled_by_default", "json_attributes_topic",
          "json_attributes_template", "availability", "availability_topic"}
SENSOR = ENTITY | {"unit_of_measurement", "state_class", "suggested_display_precision", "options",
                   "last_reset_value_template"}
BINARY_SENSOR = ENTITY | {"payload_on", "payload_off", "off_delay"}


def is_topic(text):
    return isinstance(text, str) and 0 < len(text.encode()) <= 65535 and not set("+#\0") & set(text)


def extra(where, given, allowed):
    return ["%s: %s is not known" % (where, key) for key in sorted(set(given) - allowed)]


def of_sensor(name, c):
    found = extra(name, c, SENSOR)
    unit, device_class, state_class = (
        c.get("unit_of_measurement"), c.get("device_class"), c.get("state_class"))
    if device_class is not None and device_class not in UNITS:
        found.append("%s: device class %s is not known" % (name, device_class))
    elif device_class is not None and unit not in UNITS[device_class]:
        found.append("%s: unit %s does not go with %s" % (name, unit, device_class))
    if state_class is not None:
        if state_class not in STATE_CLASSES.get(device_class, ANY_STATE_CLASS):
            found.append("%s: state class %s does not go with %s"
                         % (name, state_class, device_class))
    precision = c.get("suggested_display_precision", 0)
    if type(precision) is not int or precision < 0:
        found.append("%s: precision %r" % (name, precision))
    return found


def of_binary_sensor(name, c):
    found = extra(name, c, BINARY_SENSOR)
    if c.get("device_class") not in BINARY_CLASSES | {None}:
        found.append("%s: device class %s is not known" % (name, c["device_class"]))
    if c.get("payload_on", "ON") == c.get("payload_off", "OFF"):
        found.append("%s: on and off are the same" % name)
    return found


REMOVED = [{"p": "sensor"}, {"p": "binary_sensor"}]  # the platform alone removes a component
PLATFORMS = {"sensor": of_sensor, "binary_sensor": of_binary_sensor}


def of_component(name, c):
    platform = c.get("p", c.get("platform"))
    if platform not in PLATFORMS:
        return ["%s: platform %s is not known" % (name, platform)]
    found = PLATFORMS[platform](name, c)
    if not is_topic(c.get("state_topic")):
        found.append("%s: state_topic %r" % (name, c.get("state_topic")))
    if not c.get("unique_id"):
        found.append("%s: no unique_id, needed in the device form" % name)
    if c.get("entity_category") not in (None, "diagnostic"):
        found.append("%s: entity_category %r on something that is only read"
                     % (name, c["entity_category"]))
    template = c.get("value_template", "{{ value }}")
    if template.count("{{") != 1 or template.count("}}") != 1:
        found.append("%s: value_template %r" % (name, template))
    if "expire_after" in c and (type(c["expire_after"]) is not int or c["expire_after"] < 1):
        found.append("%s: expire_after %r" % (name, c["expire_after"]))
    return found


def complaints(topic, message):
    """What Home Assistant would say to a decoded message on this topic; empty when it is good."""
    found = extra("message", message, ROOT)
    if not re.fullmatch(r".+/device/([A-Za-z0-9_-]+/)?[A-Za-z0-9_-]+/config", topic):
        found.append("topic %s is not of the device form" % topic)
    device, origin = message.get("device", {}), message.get("origin", {})
    found += extra("device", device, DEVICE) + extra("origin", origin, ORIGIN)
    if not device.get("identifiers") and not device.get("connections"):
        found.append("device: nothing identifies it")
    if not origin.get("name"):
        found.append("origin: no name, needed in the device form")
    for place in message.get("availability", []):
        if not is_topic(place.get("topic")):
            found.append("availability: topic %r" % place.get("topic"))
    components = message.get("components")
    if not components:
        return found + ["no components"]
    components = {n: c for n, c in components.items() if c not in REMOVED}
    for name, c in components.items():
        found += of_component(name, c)
    ids = [c.get("unique_id") for c in components.values()]
    found += ["unique_id %s comes twice" % i for i in sorted({i for i in ids if ids.count(i) > 1})]
    return found
