/* snapshot_internal — what snapshot.c and snapshot_restore.c share. */
#ifndef DORMOUSE_WORKER_SNAPSHOT_INTERNAL_H
#define DORMOUSE_WORKER_SNAPSHOT_INTERNAL_H

#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "src/worker/snapshot.h"
#include "src/worker/snapshot_pages.h"

struct agent;

#define SNAPSHOT_PATH_BYTES 4096
#define SNAPSHOT_COMMIT UINT64_MAX     /* image_label.commit: the snapshot says which */

/* What the agent's code is told of ERR: paths are for the log. */
const char *snapshot_code_text(const struct err *err);
/* The folder that AGENT's is in is there, durably: snapshots and heaps stand beside it. */
MUST_USE bool snapshot_folders_above(const struct agent *agent, struct err *err);
const char *snapshot_folder_of(struct bytes class_name, const struct agent_id *id, char out[SNAPSHOT_PATH_BYTES]);
const char *snapshot_path(struct bytes class_name, const struct agent_id *agent, const struct snapshot_id *id, char out[SNAPSHOT_PATH_BYTES]);

/* The packs of AGENT's newest snapshot that has any, in *CHAIN, and what their pages are known by; NULL and none when they cannot be used. */
struct snapshot_known *snapshot_newest_known(const struct agent *agent, struct snapshot_chain *chain);
/* Whether a snapshot that is not told yet needs PACK. */
bool snapshot_is_on_its_way(const struct agent *agent, const struct snapshot_id *pack);
bool snapshot_is_storing(const struct agent *agent);   /* files of one are being written */
void snapshot_doom_all(struct agent *agent);           /* none that is on its way is to stay: the agent is being deleted */
/* Makes room for one more of BYTES: the oldest without a label go. Those made for clones do not count; they go when their time is over. */
MUST_USE bool snapshot_make_room(const struct agent *agent, const struct snapshot_wish *wish, int64_t bytes, struct err *err);

/* Where a restored or cloned agent's heap waits for its first event. */
const char *snapshot_heap_path(const struct agent *agent, char out[SNAPSHOT_PATH_BYTES]);

#endif
