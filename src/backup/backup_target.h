/*
 * backup_target — where backups are: a folder or a bucket, as names with bytes.
 *
 * Promise: target_put() is whole and durable when it returns true, and never leaves half an object under its name. Reading again after a
 * failure that may pass is this noun's work: what fails here has failed for good. Names are made of a–z, 0–9, "-", "." and "/".
 * Memory: one object at a time.
 */
#ifndef DORMOUSE_BACKUP_TARGET_H
#define DORMOUSE_BACKUP_TARGET_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct target;

struct target_spec {
    const char *place;                     /* a folder, or "s3://BUCKET/PREFIX" */
    const char *endpoint, *region;         /* S3; NULL: from the environment, else Amazon's */
    const char *credentials;               /* S3; a file; NULL: from the environment, else ~/.aws/credentials */
    bool        is_made;                   /* make the folder when it is absent */
    /* Called while something takes long, at least each second. */
    void      (*tick)(void *owner);
    void       *owner;
};

MUST_USE bool target_open(struct target **out_target, const struct target_spec *spec, struct err *err);
void target_close(struct target **target);
const char *target_place(const struct target *target);

MUST_USE bool target_put(struct target *target, const char *name, struct bytes data, struct err *err);
/* Appends to OUT: all of it (len 0), or LEN bytes from AT on. ERR_NOT_FOUND: there is none; ERR_LIMIT: more than BYTES_MAX; ERR_CORRUPT:
 * it is shorter than AT + LEN. */
struct span { uint64_t at, len; };
MUST_USE bool target_get(struct target *target, const char *name, struct span span, uint64_t bytes_max, struct buf *out, struct err *err);
/* Every object whose name begins with PREFIX ("packs/"), in no order. FN must not use the target. */
MUST_USE bool target_list(struct target *target, const char *prefix, void (*fn)(void *owner, const char *name, uint64_t bytes), void *owner,
                          struct err *err);
/* An absent one is gone already. */
MUST_USE bool target_delete(struct target *target, const char *name, struct err *err);

/* ---- for the kinds of targets ---- */
struct target_kind {
    bool (*put)(struct target *target, const char *name, struct bytes data, struct err *err);
    bool (*get)(struct target *target, const char *name, struct span span, uint64_t bytes_max, struct buf *out, struct err *err);
    bool (*list)(struct target *target, const char *prefix, void (*fn)(void *owner, const char *name, uint64_t bytes), void *owner,
                 struct err *err);
    bool (*remove)(struct target *target, const char *name, struct err *err);
    void (*close)(struct target *target);
};
struct target {                            /* the first member of each kind's own */
    const struct target_kind *kind;
    char                     *place;
};
MUST_USE bool folder_target_open(struct target **out_target, const struct target_spec *spec, struct err *err);
MUST_USE bool s3_target_open(struct target **out_target, const struct target_spec *spec, struct err *err);

#endif
