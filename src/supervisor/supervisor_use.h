/* supervisor_use — what the kernel says that a process uses, and how much memory there is. Reads /proc through lib/sys. */
#ifndef DORMOUSE_SUPERVISOR_USE_H
#define DORMOUSE_SUPERVISOR_USE_H

#include <sys/types.h>

#include "lib/base/macros.h"

struct process_use {
    uint64_t cpu_us;                   /* in user and kernel mode */
    uint64_t memory_bytes;             /* its own and no file's: heaps but for what they share with the template, images, caches */
};

/* False: the process is gone. */
MUST_USE bool process_use_read(pid_t pid, struct process_use *out);
/* The number behind KEY ("MemAvailable:") in the text of a file of /proc or a cgroup; false: it is not there. */
MUST_USE bool field_read(const char *text, const char *key, uint64_t *out);

#endif
