/* supervisor_pressure — see supervisor_pressure.h. */
#include "src/supervisor/supervisor_pressure.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_limits.h"
#include "src/supervisor/supervisor_use.h"

#define STAT_BYTES  8192               /* memory.stat is about 2 KB */
#define NO_LIMIT    (1ull << 60)       /* v1 writes none as a number near 2^63 */

static uint64_t
at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
at_least(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Below so much left, the level begins. Small limits keep a larger part: what a worker can take until the next look does not shrink with them. */
static uint64_t
left_of_level(enum pressure level, uint64_t limit)
{
    if (level == PRESSURE_STARVING)
        return at_least(limit / STARVING_PART, at_most(STARVING_LEFT_BYTES, limit / 4));
    return at_least(limit / TIGHT_PART, at_most(TIGHT_LEFT_BYTES, limit / 2));
}

static uint64_t
left_of(const struct memory_state *s)
{
    return s->used_bytes < s->limit_bytes ? s->limit_bytes - s->used_bytes : 0;
}

static bool
is_at(enum pressure level, enum pressure now, const struct memory_state *s)
{
    uint64_t from = left_of_level(level, s->limit_bytes);

    return left_of(s) < (now >= level ? from + from / PRESSURE_EASE_PART : from);
}

/* Waiting for memory counts only while little is left: else it is somebody else's. */
static bool
is_stalled(enum pressure now, const struct memory_state *s)
{
    uint32_t from = now >= PRESSURE_TIGHT ? STALLED_PERCENT / 2 : STALLED_PERCENT;

    return s->stalled_percent >= from && left_of(s) < s->limit_bytes / STALLED_LEFT_PART;
}

enum pressure
pressure_next(enum pressure now, const struct memory_state *s)
{
    if (s->limit_bytes == 0)
        return PRESSURE_EASE;
    if (is_at(PRESSURE_STARVING, now, s))
        return PRESSURE_STARVING;
    return is_at(PRESSURE_TIGHT, now, s) || is_stalled(now, s) ? PRESSURE_TIGHT : PRESSURE_EASE;
}

bool
pressure_is_far(const struct memory_state *s)
{
    return s->limit_bytes == 0 || left_of(s) > PRESSURE_NEAR_TIMES * left_of_level(PRESSURE_TIGHT, s->limit_bytes);
}

/* ---- reading ---- */

static bool
number_read(const char *folder, const char *name, uint64_t *out)
{
    char path[PATH_MAX], text[64], *end;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!sys_read_text(path, text, sizeof text))
        return false;
    *out = strtoull(text, &end, 10);   /* "max" is no number */
    return end != text;
}

/* "some avg10=1.23 avg60=…" */
static uint32_t
stalled_percent(const char *folder, const char *name)
{
    char path[PATH_MAX], text[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!sys_read_text(path, text, sizeof text) || strncmp(text, "some avg10=", 11) != 0)
        return 0;
    return (uint32_t)strtoul(text + 11, NULL, 10);
}

static uint64_t
file_cache(const char *folder, bool is_v2)
{
    char path[PATH_MAX], text[STAT_BYTES];
    uint64_t active = 0, inactive = 0;

    (void)snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (!sys_read_text(path, text, sizeof text) || !field_read(text, is_v2 ? "active_file" : "total_active_file", &active) ||
        !field_read(text, is_v2 ? "inactive_file" : "total_inactive_file", &inactive))
        return 0;
    return active + inactive;
}

bool
memory_state_of_group(const char *folder, struct memory_state *out)
{
    const bool is_v2 = number_read(folder, "memory.current", &out->used_bytes);
    uint64_t cache;

    if (!is_v2 && !number_read(folder, "memory.usage_in_bytes", &out->used_bytes))
        return false;
    if (!number_read(folder, is_v2 ? "memory.max" : "memory.limit_in_bytes", &out->limit_bytes) || out->limit_bytes == 0 ||
        out->limit_bytes >= NO_LIMIT)
        return false;
    out->stalled_percent = 0;
    if (pressure_is_far(out))
        return true;                   /* whatever the rest says: it costs more to read */
    cache = file_cache(folder, is_v2);
    out->used_bytes -= at_most(cache, out->used_bytes);
    if (is_v2)
        out->stalled_percent = stalled_percent(folder, "memory.pressure");
    return true;
}

bool
memory_state_of_system(struct memory_state *out)
{
    char text[STAT_BYTES];
    uint64_t total_kb = 0, available_kb = 0;

    if (!sys_read_text("/proc/meminfo", text, sizeof text) || !field_read(text, "MemTotal:", &total_kb) ||
        !field_read(text, "MemAvailable:", &available_kb) || available_kb > total_kb || total_kb > UINT64_MAX / 1024)
        return false;
    *out = (struct memory_state){ .used_bytes = (total_kb - available_kb) * 1024, .limit_bytes = total_kb * 1024 };
    if (!pressure_is_far(out))
        out->stalled_percent = stalled_percent("/proc/pressure", "memory");
    return true;
}
