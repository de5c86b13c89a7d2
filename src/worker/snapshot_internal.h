/* snapshot_internal — what snapshot.c and snapshot_restore.c share. */
#ifndef DORMOUSE_WORKER_SNAPSHOT_INTERNAL_H
#define DORMOUSE_WORKER_SNAPSHOT_INTERNAL_H

#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct agent;
struct agent_id;
struct snapshot_id;

#define SNAPSHOT_PATH_BYTES 4096
#define SNAPSHOT_COMMIT UINT64_MAX     /* image_label.commit: the snapshot says which */

/* What the agent's code is told of ERR: paths are for the log. */
const char *snapshot_code_text(const struct err *err);
/* The folder that AGENT's is in is there, durably: snapshots and heaps stand beside it. */
MUST_USE bool snapshot_folders_above(const struct agent *agent, struct err *err);
const char *snapshot_path(struct bytes class_name, const struct agent_id *agent, const struct snapshot_id *id, char out[SNAPSHOT_PATH_BYTES]);
/* Where a restored or cloned agent's heap waits for its first event. */
const char *snapshot_heap_path(const struct agent *agent, char out[SNAPSHOT_PATH_BYTES]);

#endif
