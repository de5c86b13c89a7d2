/*
 * control_disk — the files of control: its state, the apps' deploys, and one upload at a time per deploy.
 *
 * Promise: a deploy's folder exists under its hash only when every file in it is complete, verified and synced; the state
 * file is replaced whole. A name from outside becomes a path only after app_name_is_valid, hash_is_valid or path_is_valid.
 */
#ifndef DORMOUSE_CONTROL_DISK_H
#define DORMOUSE_CONTROL_DISK_H

#include <jansson.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct disk {
    char *data;                    /* owned; absolute */
    int   fd;                      /* of data */
};

MUST_USE bool disk_open(struct disk *disk, const char *data, struct err *err);
void disk_close(struct disk *disk);

/* The state file's text; empty when there is none yet. */
MUST_USE bool disk_state_read(const struct disk *disk, struct buf *out, struct err *err);
MUST_USE bool disk_state_write(const struct disk *disk, const char *text, struct err *err);

/* Makes DATA/apps/APP and the folders in it. */
MUST_USE bool disk_app_prepare(const struct disk *disk, const char *app, struct err *err);
/* The manifest of a deploy that is there; the caller owns *out. */
MUST_USE bool disk_manifest_read(const struct disk *disk, const char *app, const char *hash, json_t **out, struct err *err);
/* The mark that a deploy's template was built, and by which engine (text compared as a whole). */
bool disk_is_built(const struct disk *disk, const char *app, const char *hash, const char *engine);
MUST_USE bool disk_set_built(const struct disk *disk, const char *app, const char *hash, const char *engine, struct err *err);
/* Removes all but the newest DEPLOYS_KEPT deploys, and never KEEP, and what unfinished uploads left. */
void disk_deploys_trim(const struct disk *disk, const char *app, const char *keep);

/* Removes one that is not in use. */
void disk_deploy_remove(const struct disk *disk, const char *app, const char *hash);

/* Relative, no empty, "." or ".." part, no control characters; lengths within DEPLOY_PATH_MAX_BYTES and DEPLOY_PART_MAX_BYTES. */
bool path_is_valid(struct bytes path);

/* ---- an upload -------------------------------------------------------------------------------------------------- */
struct upload;

/*
 * FILES is the client's list [{"path","bytes","sha256"}], borrowed and checked here. Files that the deploy BASE (a hash, or
 * "") has already are linked from there. *out_need receives the indexes of the files whose bytes must come, in order, and
 * *out_bytes their sum; both are 0 and empty when this very deploy is complete on disk.
 */
MUST_USE bool upload_begin(struct upload **out_upload, const struct disk *disk, const char *app, const char *hash, const char *base,
                           const json_t *files, json_t **out_need, uint64_t *out_bytes, struct err *err);
/* The next bytes, at most what is still needed. */
MUST_USE bool upload_bytes(struct upload *upload, struct bytes data, struct err *err);
bool upload_is_complete(const struct upload *upload);
/* Syncs, and gives the folder its name. The upload is gone afterwards, whatever happened. */
MUST_USE bool upload_finish(struct upload **upload, struct err *err);
/* Removes what came so far; NULL is fine. */
void upload_abandon(struct upload **upload);

#endif
