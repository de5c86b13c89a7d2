/*
 * backup_copy — files of the data folder become chunks in packs.
 *
 * Promise: a file whose size, times and inode are those of the last backup is not read; of one that changed, only chunks that are not
 * those of the last backup are stored. A database with a file beside it that holds a part of it (-wal, -journal) is copied with it as of one
 * moment. What is derived (sleep images), half-made or no plain file is left out. A file that goes while it is looked at is not there.
 */
#ifndef DORMOUSE_BACKUP_COPY_H
#define DORMOUSE_BACKUP_COPY_H

#include "src/backup/backup_job.h"
#include "src/backup/backup_list.h"
#include "src/backup/backup_manifest.h"

struct copier {
    const struct job *job;
    struct packs     *packs;
    int               dir;                 /* of the data */
    const struct list *before[2];          /* what earlier backups have of this folder; sorted; NULL */
    struct manifest  *manifest;            /* chunks that are in no list yet are noted there */
    struct progress   progress;
    bool              is_agents;           /* the folder is one of agents */
    uint8_t          *chunk;               /* job->chunk_bytes */
    int64_t           began_ms;            /* monotonic; for the rate */
    /* Called between chunks; false ends it. */
    bool            (*tick)(void *owner, struct err *err);
    void             *owner;
};

/* Everything beneath folder PATH, or PATH itself when it is a file. */
MUST_USE bool copy_tree(struct copier *copier, const char *path, struct list *out_list, struct err *err);
/* A segment of the journal, whose bytes never change, under the name AS. *out_found false: it is not there. */
MUST_USE bool copy_segment(struct copier *copier, const char *path, const char *as, struct list *out_list, bool *out_found, struct err *err);
/* Bytes as the file AS. */
MUST_USE bool copy_bytes(struct copier *copier, struct bytes bytes, const char *as, struct list *out_list, struct err *err);

#endif
