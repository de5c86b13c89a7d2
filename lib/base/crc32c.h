/* crc32c — the Castagnoli checksum (RFC 3720, section 12.1): finds damage, proves nothing against an attacker. */
#ifndef DORMOUSE_BASE_CRC32C_H
#define DORMOUSE_BASE_CRC32C_H

#include "lib/base/macros.h"

/* The checksum of what came before (SEED; 0 at the start) and DATA. */
uint32_t crc32c(uint32_t seed, const void *data, size_t len);
/* The same without the processor's instruction, for processors that lack it and for the test that compares both. */
uint32_t crc32c_portable(uint32_t seed, const void *data, size_t len);

#endif
