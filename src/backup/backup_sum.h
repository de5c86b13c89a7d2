/* backup_sum — SHA-256, and bytes as hex digits. Pure. */
#ifndef DORMOUSE_BACKUP_SUM_H
#define DORMOUSE_BACKUP_SUM_H

#include "lib/base/bytes.h"

#define SUM_BYTES     32
#define SUM_HEX_BYTES (2 * SUM_BYTES + 1)

void sum_of(struct bytes data, uint8_t out[SUM_BYTES]);
/* 2 * LEN digits and a NUL. */
void hex_print(const uint8_t *data, size_t len, char *out);
/* False: TEXT is not exactly 2 * LEN lower-case digits. NULL is fine. */
MUST_USE bool hex_parse(const char *text, uint8_t *out, size_t len);

#endif
