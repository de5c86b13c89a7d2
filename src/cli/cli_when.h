/* cli_when — times as people write them. */
#ifndef DORMOUSE_CLI_WHEN_H
#define DORMOUSE_CLI_WHEN_H

#include "lib/base/err.h"

/* "2026-11-20T14:30[:05[.250]][Z|+01:00]" (without a zone: local time), "2026-11-20", or "-10m" (s, m, h, d) before NOW_MS. */
MUST_USE bool when_parse(const char *text, int64_t now_ms, int64_t *out_ms, struct err *err);
/* A time in UTC, to the second. */
#define WHEN_BYTES 32
void when_print(int64_t ms, char out[WHEN_BYTES]);

#endif
