/* admin_ops — what the files of administrators' questions share: admin.c, admin_snapshot.c. */
#ifndef DORMOUSE_WORKER_ADMIN_OPS_H
#define DORMOUSE_WORKER_ADMIN_OPS_H

#include <jansson.h>

#include "lib/base/err.h"

struct agent;

/* The agent a question is about: its structure when in memory, or one made for this question. */
struct subject {
    struct agent *agent;
    uint32_t      request;
    bool          is_answered_later;
};

/* Answers a question that is answered later: with FIELDS (taken), or FAILURE when it is not NULL. */
void admin_answer(uint32_t request, json_t *fields, const struct err *failure);

/* Each answers question Q about S: fields into OUT, or false with ERR, or is_answered_later. */
bool op_snapshot(const json_t *q, struct subject *s, json_t *out, struct err *err);
bool op_snapshots(const json_t *q, struct subject *s, json_t *out, struct err *err);
bool op_find(const json_t *q, struct subject *s, json_t *out, struct err *err);
bool op_forget(const json_t *q, struct subject *s, json_t *out, struct err *err);
bool op_rollback(const json_t *q, struct subject *s, json_t *out, struct err *err);
bool op_clone(const json_t *q, struct subject *s, json_t *out, struct err *err);

#endif
