/*
 * cli_client — a connection to control's admin socket: questions out, answers and events in, as JSON lines.
 * Threads: none; belongs to one loop.
 */
#ifndef DORMOUSE_CLI_CLIENT_H
#define DORMOUSE_CLI_CLIENT_H

#include <jansson.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct client;
struct loop;

struct client_events {
    /* An answer or an event; "id" says to which question. MESSAGE is borrowed. */
    void (*message)(void *owner, const json_t *message);
    /* The other side closed, or broke the format. The owner still destroys the client. */
    void (*closed)(void *owner);
};

/* Fails with a sentence that says what to start when nobody listens at SOCKET. */
MUST_USE bool client_open(struct client **out_client, struct loop *loop, const char *socket, const struct client_events *events,
                          void *owner, struct err *err);
void client_destroy(struct client **client);
/* Asks; FIELDS is stolen and may be NULL. Returns the id of the question. */
int64_t client_ask(struct client *client, const char *op, json_t *fields);
/* Sends bytes that are no line (files of a deploy), copied; DONE when the kernel has taken them. */
void client_send(struct client *client, struct bytes data, void (*done)(void *owner), void *owner);

/* One question and its answer, waited for. *out_answer is owned by the caller. An answer with ok false becomes err. */
MUST_USE bool client_call(const char *socket, const char *op, json_t *fields, json_t **out_answer, struct err *err);
/* The "error" of an answer as err. */
void client_error(const json_t *answer, struct err *err);

#endif
