/* backup_admin — one question to a running Dormouse over its admin socket, waited for. */
#ifndef DORMOUSE_BACKUP_ADMIN_H
#define DORMOUSE_BACKUP_ADMIN_H

#include <jansson.h>

#include "lib/base/err.h"

/* The answer, owned by the caller; one with ok false becomes err. */
MUST_USE bool admin_ask(const char *socket, const char *op, json_t **out_answer, struct err *err);

#endif
