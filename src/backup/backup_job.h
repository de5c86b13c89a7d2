/*
 * backup_job — what the command line asks for, and what it is told: one JSON object as the program's argument, lines of JSON on stdout.
 *
 * {"do": "backup"|"restore"|"verify"|"list"|"prune", "target", "data", "socket", "endpoint", "region", "credentials", "keep", "no_history",
 * "rate_mb", "at", "at_ms", "checksums"}; tests also set "chunk_bytes", "pack_bytes", "checkpoint_ms". Secrets come by the environment or a file, never here.
 */
#ifndef DORMOUSE_BACKUP_JOB_H
#define DORMOUSE_BACKUP_JOB_H

#include <jansson.h>

#include "lib/base/err.h"

struct job {
    json_t     *json;                      /* owned; the texts below are its */
    const char *verb, *target, *data, *socket, *endpoint, *region, *credentials;
    const char *at;                        /* which backup: an id, or the beginning of one; NULL */
    int64_t     at_ms;                     /* … or the newest up to this moment; 0: the newest */
    int64_t     keep;                      /* 0: all */
    int64_t     rate_bytes;                /* per second; 0: no limit */
    uint32_t    chunk_bytes, pack_bytes;
    int64_t     checkpoint_ms;
    bool        has_history;
    bool        is_opening;                /* verify: databases are opened, too */
};

MUST_USE bool job_read(struct job *out_job, const char *text, struct err *err);
void job_fini(struct job *job);

/* A pipe that nobody reads is an error like others. From now on SIGTERM and SIGINT ask for an orderly end: what holds the journal or fills a scratch folder goes first. The second one ends at once. */
void interrupts_take(void);
/* False, with err set, once that was asked for. Whatever takes long looks now and then. */
MUST_USE bool go_on(struct err *err);

/* A line for the command line; FIELDS is stolen. */
void say_event(const char *name, json_t *fields);
/* TEXT for it, whatever is in it: a store may say anything. If that is no UTF-8, what is not ASCII becomes '?'. */
json_t *json_words(const char *text);
/* "progress" with these fields, not too often unless IS_LAST. */
struct progress {
    const char *phase;
    uint64_t    files, bytes;              /* looked at */
    uint64_t    copied_bytes;              /* of them written to the target, or to the new folder */
    uint64_t    files_all, bytes_all;      /* 0: not known */
};
void say_progress(const struct progress *progress, bool is_last);

struct target;
MUST_USE bool job_target(struct target **out_target, const struct job *job, bool is_made, void (*tick)(void *owner), void *owner, struct err *err);
/* The backup that the job means. The id is a copy. */
MUST_USE bool job_pick(const struct job *job, struct target *target, char **out_id, struct err *err);

/* ---- the verbs ---- */
bool make_run(const struct job *job, struct err *err);
bool restore_run(const struct job *job, struct err *err);
bool verify_run(const struct job *job, struct err *err);
bool list_run(const struct job *job, struct err *err);
bool prune_run(const struct job *job, struct err *err);
/* All but the newest KEEP backups go, and the packs that no other needs. */
MUST_USE bool prune(struct target *target, int64_t keep, struct err *err);

#endif
