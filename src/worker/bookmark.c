/* bookmark — see bookmark.h. */
#include "src/worker/bookmark.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
bookmark_print(const struct bookmark *bookmark, char out[BOOKMARK_BYTES + 1])
{
    const uint64_t ms = (uint64_t)bookmark->time_ms;
    int n;

    assert(bookmark->time_ms >= 0);
    n = snprintf(out, BOOKMARK_BYTES + 1, "%08" PRIx32 "-%08" PRIx32 "-%08x-%032" PRIx64, (uint32_t)(ms >> 32), (uint32_t)ms,
                 (unsigned)bookmark->mode, bookmark->seq);
    assert(n == BOOKMARK_BYTES);
}

static bool
hex_take(const char *at, size_t len, uint64_t *out)
{
    char digits[17];

    assert(len < sizeof digits);
    memcpy(digits, at, len);
    digits[len] = '\0';
    *out = strtoull(digits, NULL, 16);
    return strspn(digits, "0123456789abcdef") == len;
}

bool
bookmark_parse(struct bytes text, struct bookmark *out_bookmark)
{
    const char *at = (const char *)text.data;
    uint64_t high, low, mode, zero, seq;

    if (text.len != BOOKMARK_BYTES || at[8] != '-' || at[17] != '-' || at[26] != '-' || !hex_take(at, 8, &high) || !hex_take(at + 9, 8, &low) ||
        !hex_take(at + 18, 8, &mode) || !hex_take(at + 27, 16, &zero) || !hex_take(at + 43, 16, &seq) || zero != 0 || high >= UINT32_C(1) << 31 ||
        mode >= RECALL_AT_LIST)
        return false;
    *out_bookmark = (struct bookmark){ .time_ms = (int64_t)(high << 32 | low), .mode = (enum recall_at_mode)mode, .seq = seq };
    return true;
}
