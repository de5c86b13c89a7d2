/*
 * supervisor_shell — the house: rooms as processes, their links, listening sockets, and the orderly stop.
 */
#ifndef DORMOUSE_SUPERVISOR_SHELL_H
#define DORMOUSE_SUPERVISOR_SHELL_H

#include "src/supervisor/supervisor_config.h"

struct house;

/* Opens folders and sockets, probes the sandbox, starts the rooms. CONFIG stays the caller's and outlives the house. */
MUST_USE bool house_open(struct house **out_house, const struct supervisor_config *config, struct err *err);
/* Until SIGTERM or SIGINT, and all rooms have ended. Returns the exit status: 0, or 1 when rooms had to be killed. */
int house_run(struct house *house);
void house_close(struct house **house);

#endif
