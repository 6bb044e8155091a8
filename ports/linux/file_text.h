/* file_text.h - a small file's whole text in memory. */
#ifndef FILE_TEXT_H
#define FILE_TEXT_H

#include "hx/base.h"

/** Read the file @p path.
 * @param max  octets that it may have.
 * @param[out] memory  to be freed by the caller; a NUL follows the text.
 * @param[out] text    the text, inside @p memory.
 * @return true; false with errno set (EFBIG when it is longer than @p max). */
bool file_text_read(const char *path, size_t max, uint8_t **memory, struct hx_span *text);

#endif
