/*
 * control_admin — the admin socket: lines of JSON in, lines of JSON out.
 *
 * Promise: a connection that breaks the rules (too long a line, no JSON, too many connections) is told so and closed; it
 * harms no other. Answers are addressed by number, so that an answer to a connection that has gone is dropped safely.
 * Threads: none; belongs to one loop.
 */
#ifndef DORMOUSE_CONTROL_ADMIN_H
#define DORMOUSE_CONTROL_ADMIN_H

#include <jansson.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct admin;
struct loop;

struct admin_ref {                 /* a question: which connection asked, and its own number for it */
    uint64_t connection;
    int64_t  id;
};

struct admin_events {
    /* A request line. REQUEST is borrowed. Answer now or later with admin_ok or admin_fail. */
    void (*request)(void *owner, struct admin_ref from, const char *op, const json_t *request);
    /* Bytes asked for with admin_expect_bytes, as they come. */
    void (*bytes)(void *owner, uint64_t connection, struct bytes data);
    void (*closed)(void *owner, uint64_t connection);
};

/* Takes FD, a listening AF_UNIX socket. */
struct admin *admin_create(struct loop *loop, int fd, const struct admin_events *events, void *owner);
void admin_destroy(struct admin **admin);

/* FIELDS is stolen and may be NULL: {"id":…,"ok":true,…fields}. */
void admin_ok(struct admin *admin, struct admin_ref to, json_t *fields);
/* DETAIL (borrowed, may be NULL) is merged into the error object: "stack" and the like. */
void admin_fail(struct admin *admin, struct admin_ref to, const struct err *err, const json_t *detail);
/* {"id":…,"event":NAME,…fields}; FIELDS is stolen. */
void admin_event(struct admin *admin, struct admin_ref to, const char *name, json_t *fields);
/* The next LEN bytes of the connection are no lines; they go to the bytes event. */
void admin_expect_bytes(struct admin *admin, uint64_t connection, uint64_t len);
/* Closes once everything said so far is written. */
void admin_hang_up(struct admin *admin, uint64_t connection);
/* How much of what was said to it has not been taken by the kernel; SIZE_MAX when it is gone. */
size_t admin_unsent_bytes(const struct admin *admin, uint64_t connection);

#endif
