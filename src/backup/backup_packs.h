/*
 * backup_packs — chunks of files, gathered into objects of the target ("packs/ab/ID"), and found again.
 *
 * Promise: a chunk that packs_add() took is in the target when the next packs_flush() returned true; packs_read() gives exactly the bytes
 * that were added, or ERR_CORRUPT. Equal chunks of one run are stored once. Memory: two open packs, PACKS_CACHED read ones, the table.
 */
#ifndef DORMOUSE_BACKUP_PACKS_H
#define DORMOUSE_BACKUP_PACKS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "src/backup/backup_sum.h"

struct packs;
struct target;

#define PACK_ID_BYTES 16
#define PACK_ID_HEX   (2 * PACK_ID_BYTES + 1)

struct pack {
    char     id[PACK_ID_HEX];
    uint8_t  sum[SUM_BYTES];               /* of all of it */
    uint64_t bytes;
    uint64_t used_bytes;                   /* that the present manifest refers to: counted by packs_use() */
    bool     is_there;                     /* the target has it, as long as it should be */
    bool     is_thin;                      /* little of it is in use: the next backup does without it */
    bool     is_known;                     /* a manifest tells its length and sum, or we wrote it */
    bool     is_new;                       /* we wrote it */
    bool     is_checked;                   /* packs_check() has had it */
};

struct ref {                               /* where a chunk lies */
    struct pack *pack;                     /* the table's */
    uint32_t     at, len;
    uint8_t      sum[SUM_BYTES];
};

enum pack_kind { PACK_FILES, PACK_LISTS, PACK_KINDS };   /* lists apart: each backup reads those of the one before */

/* PACK_BYTES: when a pack is full. */
struct packs *packs_create(struct target *target, uint32_t pack_bytes);
void packs_destroy(struct packs **packs);

/* The pack of that name, made when it is new; NULL: ID is none. */
struct pack *packs_get(struct packs *packs, const char *id);
bool packs_next(const struct packs *packs, size_t *cursor, struct pack **out_pack);
/* Looks which packs the target has. */
MUST_USE bool packs_look(struct packs *packs, struct err *err);
void packs_use(const struct ref *ref);
/* Can a new manifest refer to it? */
bool packs_is_usable(const struct ref *ref);

MUST_USE bool packs_add(struct packs *packs, enum pack_kind kind, struct bytes chunk, struct ref *out_ref, struct err *err);
MUST_USE bool packs_flush(struct packs *packs, struct err *err);
/* A chunk that lies at REF already: an equal one is not stored again. */
void packs_know(struct packs *packs, const struct ref *ref);
uint64_t packs_written_bytes(const struct packs *packs);

/* Appends the chunk. PACKS_ONE asks the target for these bytes alone, PACKS_ALL for the pack, whose other chunks are wanted too. */
enum packs_read { PACKS_ONE, PACKS_ALL };
MUST_USE bool packs_read(struct packs *packs, const struct ref *ref, enum packs_read how, struct buf *out, struct err *err);
/* Reads the whole pack and compares its sum, once. */
MUST_USE bool packs_check(struct packs *packs, struct pack *pack, struct err *err);

#define PACK_NAME_BYTES 64
void pack_name(const struct pack *pack, char out[PACK_NAME_BYTES]);

#endif
