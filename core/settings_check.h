/* settings_check.h - checks of text values, for settings.c alone.
 * Source: RFC 3629 (UTF-8), RFC 1123 (names), RFC 4291 (IPv6), MQTT 3.1.1 (topics). */
#ifndef SETTINGS_CHECK_H
#define SETTINGS_CHECK_H

#include "hx/settings.h"

/** @return true when @p text has the form that @p check asks for. */
bool setting_check(enum hx_setting_check check, struct hx_span text);
/** @return that form in words. */
const char *setting_check_words(enum hx_setting_check check);
/** @return true when @p s is UTF-8 (RFC 3629) without control characters. */
bool setting_is_text(struct hx_span s);

#endif
