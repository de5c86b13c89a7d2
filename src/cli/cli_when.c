/* cli_when — see cli_when.h. */
#include "src/cli/cli_when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool
ago_parse(const char *text, int64_t now_ms, int64_t *out_ms)
{
    static const struct { char unit; int64_t ms; } units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
    char *end;
    long count;

    if (text[0] != '-' || text[1] < '0' || text[1] > '9')
        return false;
    count = strtol(text + 1, &end, 10);
    if (count > 1000000 || end[0] == '\0' || end[1] != '\0')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (end[0] == units[i].unit) {
            *out_ms = now_ms - count * units[i].ms;
            return true;
        }
    return false;
}

/* "Z", "+01:00", "-0530", or nothing. */
static bool
zone_parse(const char *text, bool *out_is_local, int *out_minutes)
{
    int hours, minutes, n = 0;

    *out_is_local = text[0] == '\0';
    *out_minutes = 0;
    if (*out_is_local || strcmp(text, "Z") == 0)
        return true;
    if ((text[0] != '+' && text[0] != '-') || (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 && sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &n) != 2) ||
        text[1 + n] != '\0' || hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
        return false;
    *out_minutes = (text[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

static bool
date_parse(const char *text, int64_t *out_ms)
{
    struct tm tm = { .tm_isdst = -1 };
    struct tm check;
    const char *rest = strptime(text, "%Y-%m-%d", &tm);
    bool is_local = true;
    int zone = 0;
    int64_t ms = 0;
    time_t seconds;

    if (rest == NULL)
        return false;
    if (*rest == 'T' || *rest == ' ') {
        const char *minutes = strptime(rest + 1, "%H:%M", &tm);
        const char *full = minutes != NULL && *minutes == ':' ? strptime(minutes + 1, "%S", &tm) : minutes;

        if (full == NULL)
            return false;
        rest = full;
        if (*rest == '.') {
            int64_t scale = 100;

            for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
                ms += (*rest - '0') * scale;
        }
    }
    if (!zone_parse(rest, &is_local, &zone))
        return false;
    check = tm;
    seconds = is_local ? mktime(&check) : timegm(&check);
    if (check.tm_mday != tm.tm_mday)
        return false;                      /* the 31st of a month of 30 days */
    *out_ms = ((int64_t)seconds - zone * 60) * 1000 + ms;
    return true;
}

bool
when_parse(const char *text, int64_t now_ms, int64_t *out_ms, struct err *err)
{
    if (!ago_parse(text, now_ms, out_ms) && !date_parse(text, out_ms))
        return err_set(err, ERR_USAGE, 0, "'%s' is no time. Say 2026-11-20T14:30, with Z or +01:00 when it is not local time, or -10m (s, m, h, d).", text);
    if (*out_ms > now_ms)
        return err_set(err, ERR_USAGE, 0, "'%s' is in the future.", text);
    return true;
}

void
when_print(int64_t ms, char out[WHEN_BYTES])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(out, WHEN_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
