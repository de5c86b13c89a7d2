/*
 * supervisor_pressure — how short of memory a group of processes is: read from its cgroup or the system, and judged with hysteresis.
 *
 * Promise: pressure_next() is pure; a level is left only when clearly more is free than what led to it. The reading goes through lib/sys.
 */
#ifndef DORMOUSE_SUPERVISOR_PRESSURE_H
#define DORMOUSE_SUPERVISOR_PRESSURE_H

#include "lib/ipc/message.h"

struct memory_state {
    uint64_t used_bytes;               /* that the kernel cannot simply take back: without the file cache */
    uint64_t limit_bytes;              /* 0: there is none */
    uint32_t stalled_percent;          /* of the last 10 s some process waited for memory; 0 also where the kernel does not tell */
};

enum pressure pressure_next(enum pressure now, const struct memory_state *state);
/* So much is left that nothing can happen within PRESSURE_FAR_MS. */
bool pressure_is_far(const struct memory_state *state);

/* The cgroup in FOLDER, v1 or v2. False: it is none, or has no limit. */
MUST_USE bool memory_state_of_group(const char *folder, struct memory_state *out);
/* The whole machine. False: /proc does not tell. */
MUST_USE bool memory_state_of_system(struct memory_state *out);

#endif
