/*
 * err — the one error type, and the table of errors (errors.def).
 *
 * A function that can fail takes `struct err *` last and returns false. The first failure says what happened to what
 * (err_set); callers add context on the way up (err_add: "context: message"). Nobody logs and returns.
 */
#ifndef DORMOUSE_BASE_ERR_H
#define DORMOUSE_BASE_ERR_H

#include "lib/base/macros.h"

#define ERR_MESSAGE_MAX 512        /* a sentence with a path; longer texts are cut with "…" */

enum err_code {
#define ERROR(name, http, close, retry, sentence) name,
#include "lib/base/errors.def"
#undef ERROR
    ERR_CODES
};

struct err {
    enum err_code code;            /* ERR_NONE when nothing failed */
    int           sys_errno;       /* 0, or errno of the syscall that failed */
    char          message[ERR_MESSAGE_MAX];
};

struct err_info {
    const char *name;              /* "ERR_LIMIT" */
    int         http_status;       /* what an HTTP caller sees */
    int         close_code;        /* what a WebSocket sees */
    bool        may_retry;         /* the same request may succeed later, and is safe to send again */
    const char *sentence;          /* for the operator: what happened and what to do */
};

/* Both return false, so that `return err_set(...)` reads well. A NULL err is allowed. sys_errno 0: not a syscall. */
bool err_set(struct err *err, enum err_code code, int sys_errno, const char *fmt, ...) PRINTF(4, 5);
bool err_add(struct err *err, const char *fmt, ...) PRINTF(2, 3);
void err_clear(struct err *err);
const struct err_info *err_info(enum err_code code);

#endif
