/*
 * ident — from a name to an agent's id, the way workerd derives it.
 *
 * id = HMAC-SHA256(K, name)[0..16] ‖ HMAC-SHA256(K, id[0..16])[0..16], with K = SHA256(uniqueKey) and
 * uniqueKey = "<app>-<ClassName>" (wrangler's and miniflare's format, so that existing .sqlite files keep their names).
 *
 * Promise: same app, class and name give the same id in every room and on every machine. Pure, but for ident_new (rng).
 */
#ifndef DORMOUSE_IDENT_H
#define DORMOUSE_IDENT_H

#include "lib/ipc/message.h"

struct ident_key {                 /* a namespace's key; compute once, keep */
    uint8_t bytes[32];
};

void ident_key_init(struct ident_key *out_key, struct bytes app, struct bytes class_name);
/* NAME may be empty and may hold any bytes. */
void ident_from_name(const struct ident_key *key, struct bytes name, struct agent_id *out_id);
/* A random id of this namespace (newUniqueId). */
void ident_new(const struct ident_key *key, struct agent_id *out_id);
/* Does ID belong to this namespace? (idFromString: "Durable Object ID is not valid for this namespace.") */
bool ident_is_of(const struct ident_key *key, const struct agent_id *id);

#endif
