/*
 * control_apps — what control knows of each app, and the JSON that other rooms are told about it.
 *
 * Pure: no files, no links, no clock. Promise: what apps_save() wrote, apps_load() reads back the same; text that it did not
 * write is refused with a sentence, never trusted.
 */
#ifndef DORMOUSE_CONTROL_APPS_H
#define DORMOUSE_CONTROL_APPS_H

#include <jansson.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/list.h"
#include "src/control/control_limits.h"

struct deployment;                 /* control.h */
struct waiting;                    /* control_deploy.c */

struct app {
    struct list_node   in_apps;
    char               name[APP_NAME_MAX_BYTES + 1];
    char               hash[HASH_BYTES_MAX + 1];       /* the deploy in force; "" before the first */
    json_t            *manifest;                       /* of that deploy; owned, NULL before the first */
    uint16_t           workers;                        /* that run it; 0: assets only */
    uint16_t           workers_wanted;                 /* by the operator for this app; 0: as many as the node gives */
    bool               is_default_wanted;              /* the operator named it */
    char               listen[128];                    /* its own address as asked for, "127.0.0.1:9000", or "" */
    char               listening[128];                 /* what that became (port 0); "" while it is not open */
    bool               is_down;                        /* it could not be brought up again after a restart */
    struct deployment *deployment;                     /* one at a time; owned by control_deploy.c */
    struct waiting    *waiting;                        /* the deploy that comes next; owned by control_deploy.c */
    char               taken[APP_WORKERS_MAX][HASH_BYTES_MAX + 1];   /* what each worker said it runs; "" unknown */
};

struct apps {
    struct list_node list;         /* in the order of their first deploys */
    size_t           count;
};

void apps_init(struct apps *apps);
void apps_fini(struct apps *apps);
struct app *apps_find(const struct apps *apps, struct bytes name);
/* NULL at APPS_MAX. NAME is valid (app_name_is_valid). */
struct app *apps_add(struct apps *apps, const char *name);
void apps_remove(struct apps *apps, struct app **app);
/* The app that answers what no other claims: the named one, else the first. NULL when there is none. */
struct app *apps_default(const struct apps *apps);
/* Lower-case letters, digits, '-' and '_', at most APP_NAME_MAX_BYTES, beginning and ending with a letter or digit. */
bool app_name_is_valid(struct bytes name);
bool hash_is_valid(struct bytes hash);
/* Takes the new deploy in force. MANIFEST is stolen. */
void app_take(struct app *app, const char *hash, uint16_t workers, json_t *manifest);
bool app_has_class(const struct app *app, struct bytes class_name);
/* Do all workers run the deploy HASH? True for none. */
bool app_all_took(const struct app *app, uint16_t workers, const char *hash);

/* The state file's text; the caller frees. Manifests are not in it: they are beside their deploys. */
char *apps_save(const struct apps *apps);
MUST_USE bool apps_load(struct apps *apps, struct bytes text, struct err *err);

/* What a manifest must have, checked before anything else reads it. */
MUST_USE bool manifest_check(const json_t *manifest, const char *app, const char *hash, struct err *err);
bool manifest_has_code(const json_t *manifest);

struct conf_facts {                /* where the node keeps things, borrowed */
    const char   *data;            /* absolute */
    const json_t *limits;          /* the node's; a manifest's come over them */
};
/* CONF of a worker: mode "serve" or "build". The caller frees. */
char *conf_for_worker(const struct conf_facts *facts, const char *mode, const char *app, const char *hash, const json_t *manifest);
/* ROUTES of the app for the gateway. The caller frees. */
char *routes_for_gateway(const struct conf_facts *facts, const struct app *app, bool is_default);
/* Host names that lead to the app, as a new array. */
json_t *app_hosts(const struct app *app);

#endif
