/*
 * backup_manifest — one backup: when, which folders, which packs. Written last: without it there is no backup.
 *
 * "backups/ID" is a line of JSON and a line with its SHA-256. "unfinished" is the same of a backup on its way, with the chunks that are
 * in the target already and in no list yet; it goes when the backup is complete.
 */
#ifndef DORMOUSE_BACKUP_MANIFEST_H
#define DORMOUSE_BACKUP_MANIFEST_H

#include "src/backup/backup_packs.h"

#define BACKUP_ID_BYTES 40                 /* 00000012-20261120T171500Z */
#define UNFINISHED_NAME "unfinished"

struct group {                             /* the files of one folder */
    char      *name;                       /* owned */
    uint64_t   files, bytes;
    struct ref list;                       /* list.len 0: no files */
};

struct manifest {                          /* zeroed: empty */
    char          id[BACKUP_ID_BYTES];
    char         *data, *host;             /* where it was made; owned */
    int64_t       started_ms, cut_ms, touched_ms;    /* touched: finished, or when the unfinished one was written */
    bool          is_live;                 /* the node was running */
    uint64_t      files, bytes, written_bytes;
    struct group *groups;                  /* owned */
    size_t        groups_count, groups_cap;
    struct ref   *recent;                  /* owned; of an unfinished one */
    size_t        recent_count, recent_cap;
};

void manifest_begin(struct manifest *manifest, const char *data, int64_t now_ms);
/* Gives it an id behind NEWEST (NULL: the first): ids order as backups were made, whatever the clock did. */
void manifest_name(struct manifest *manifest, const char *newest);
void manifest_fini(struct manifest *manifest);
/* GROUP's name is taken. */
void manifest_group(struct manifest *manifest, struct group *group);
const struct group *manifest_find(const struct manifest *manifest, const char *name);
void manifest_recent(struct manifest *manifest, const struct ref *ref);

/* PACKS: those that are used, or new, go with it. */
void manifest_pack(const struct manifest *manifest, const struct packs *packs, struct buf *out);
/* ERR_CORRUPT: not as it was written; ERR_VERSION: of a later Dormouse. */
MUST_USE bool manifest_unpack(struct manifest *out_manifest, struct bytes bytes, struct packs *packs, struct err *err);

struct target;
MUST_USE bool manifest_write(const struct manifest *manifest, const struct packs *packs, struct target *target, const char *name, struct err *err);
MUST_USE bool manifest_read(struct manifest *out_manifest, struct packs *packs, struct target *target, const char *name, struct err *err);

/* The ids of all backups, oldest first; the caller frees each and the array. */
MUST_USE bool backups_list(struct target *target, char ***out_ids, size_t *out_count, struct err *err);
void backups_free(char ***ids, size_t count);
void backup_name(const char *id, char out[BACKUP_ID_BYTES + 16]);

#endif
