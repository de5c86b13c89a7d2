/*
 * control_logs — the last lines of all rooms and agents, and who reads along.
 *
 * Promise: memory is bounded (LOG_LINES_MAX, LOG_BYTES_MAX); a reader who is too slow loses lines and is told how many,
 * it never slows anything down.
 */
#ifndef DORMOUSE_CONTROL_LOGS_H
#define DORMOUSE_CONTROL_LOGS_H

#include <jansson.h>

#include "lib/ipc/message.h"
#include "src/control/control_admin.h"

struct logs;

struct log_filter {                /* an empty member matches all; strings are copied */
    struct bytes app, class_name, name;
    struct agent_id agent;
    uint8_t level_min;
};

struct logs *logs_create(void);
void logs_destroy(struct logs **logs);
/* Keeps the line and tells the readers. APP "" for lines of rooms without an app; ROOM says who wrote it ("worker"). */
void logs_add(struct logs *logs, struct admin *admin, struct bytes app, const char *room, const struct msg_LOG *line);
/* Sends the last BACKLOG matching lines to TO. */
void logs_replay(const struct logs *logs, struct admin *admin, struct admin_ref to, const struct log_filter *filter, size_t backlog);
/* From now on TO gets every matching line, until logs_unfollow. */
void logs_follow(struct logs *logs, struct admin_ref to, const struct log_filter *filter);
void logs_unfollow(struct logs *logs, uint64_t connection);

#endif
