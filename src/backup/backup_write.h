/* backup_write — files of a backup are written below a folder, every chunk compared with its sum. */
#ifndef DORMOUSE_BACKUP_WRITE_H
#define DORMOUSE_BACKUP_WRITE_H

#include "src/backup/backup_job.h"
#include "src/backup/backup_list.h"
#include "src/backup/backup_manifest.h"

struct writer {
    struct packs   *packs;
    int             dir;
    struct buf      chunk;                 /* owned: buf_fini */
    struct progress progress;
    /* Called before a chunk is read; NULL. */
    void          (*before)(void *owner, struct pack *pack);
    void           *owner;
};

/* A new file, with the folders above it; synced by the caller. */
MUST_USE bool write_entry(struct writer *writer, const struct entry *entry, struct err *err);
/* Reads the file's chunks and writes nothing. */
MUST_USE bool read_entry(struct writer *writer, const struct entry *entry, struct err *err);
/* The list of GROUP's files; the caller ends it with list_fini(). */
MUST_USE bool read_list(struct packs *packs, const struct group *group, struct list *out_list, struct err *err);

#endif
