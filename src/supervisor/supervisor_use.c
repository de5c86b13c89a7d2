/* supervisor_use — see supervisor_use.h. */
#include "src/supervisor/supervisor_use.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sys/sys.h"

#define STATUS_BYTES 4096              /* /proc/PID/status is about 1.5 KB */
#define STAT_BYTES   1024

bool
field_read(const char *text, const char *key, uint64_t *out)
{
    const size_t len = strlen(key);

    for (const char *line = text; line != NULL; line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL) {
        if (strncmp(line, key, len) != 0 || (line[len] != ' ' && line[len] != '\t'))
            continue;
        *out = strtoull(line + len, NULL, 10);
        return true;
    }
    return false;
}

bool
process_use_read(pid_t pid, struct process_use *out)
{
    char path[64], text[STATUS_BYTES];
    uint64_t anon_kb = 0;
    unsigned long long user = 0, system = 0;
    const char *at;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!sys_read_text(path, text, STAT_BYTES) || (at = strrchr(text, ')')) == NULL ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (!sys_read_text(path, text, sizeof text))
        return false;
    if (!field_read(text, "RssAnon:", &anon_kb))
        return false;                                        /* it just ended */
    out->cpu_us = (user + system) * 1000000ull / (unsigned long long)sysconf(_SC_CLK_TCK);
    out->memory_bytes = anon_kb * 1024;
    return true;
}
