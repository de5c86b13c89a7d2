/*
 * backup_list — the files of one folder of the data, as a backup has them: paths, sizes, times, and where their chunks lie.
 *
 * As bytes: a line of JSON per file, [path, size, mode, mtime_ns, ctime_ns, inode, fresh, [[pack, at, len, sum], …]], paths rising.
 * Bytes from a target are checked: list_unpack() takes only relative paths that stay below the data folder.
 */
#ifndef DORMOUSE_BACKUP_LIST_H
#define DORMOUSE_BACKUP_LIST_H

#include <jansson.h>

#include "src/backup/backup_packs.h"

struct entry {
    char       *path;                      /* below the data folder; owned */
    uint64_t    size;
    uint32_t    mode;                      /* permissions */
    int64_t     mtime_ns, ctime_ns;        /* as it was looked at before it was read */
    uint64_t    inode;
    bool        is_fresh;                  /* it had changed just before: its times may stay the same at the next change */
    struct ref *refs;                      /* owned */
    uint32_t    refs_count;
};

struct list {                              /* zeroed: empty */
    struct entry *entries;
    size_t        count, cap;
};

/* Takes ENTRY; paths come rising, or list_sort() is called. */
void list_push(struct list *list, struct entry *entry);
void list_sort(struct list *list);
void list_cut(struct list *list, size_t count);                         /* forgets what is beyond */
const struct entry *list_find(const struct list *list, const char *path);   /* NULL: none; the list is sorted */
void list_fini(struct list *list);
void entry_fini(struct entry *entry);
void entry_ref(struct entry *entry, const struct ref *ref);             /* another chunk */
/* A copy of FROM's chunks. */
void entry_reuse(struct entry *entry, const struct entry *from);
bool entry_is_usable(const struct entry *entry);                        /* a new manifest can refer to all of its chunks */
void list_use(const struct list *list);                                 /* packs_use() for all */

/* [pack, at, len, sum] of a target, whose pack is then known to PACKS. */
MUST_USE bool ref_unpack(struct ref *ref, const json_t *json, struct packs *packs);
void list_pack(const struct list *list, struct buf *out);
MUST_USE bool list_unpack(struct list *out_list, struct bytes bytes, struct packs *packs, struct err *err);

/* Is it a path that a restore may write? Relative, without "." and "..", below apps/ or journal/, or control.json. */
bool path_is_ours(const char *path);

#endif
