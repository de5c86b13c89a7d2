/*
 * deploy — one deployment of the app: its manifest, its template, its source map.
 *
 * Promise: turns in flight finish on the deployment they started on; the template is unmapped with the last heap of it.
 */
#ifndef DORMOUSE_WORKER_DEPLOY_H
#define DORMOUSE_WORKER_DEPLOY_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct stack_map;
struct template;

struct deploy {
    char            *hash;
    struct template *template;
    char            *env_json, *compat_json;   /* for BOOT_* */
    char           **classes;                  /* exported Durable Object classes, NULL-terminated */
    bool             discards_all;             /* no class keeps its heap asleep */
    char           **discarding;               /* classes that do not, NULL-terminated; NULL: none */
    struct stack_map *map;                     /* source positions; NULL: none */
    unsigned         refs;
};

/* Opens DATA/apps/APP/deploys/HASH: template and manifest. MANIFEST is the manifest's JSON text. */
MUST_USE bool deploy_open(struct deploy **out_deploy, const char *dir, const char *hash, struct bytes manifest, struct err *err);
void deploy_ref(struct deploy *d);
void deploy_unref(struct deploy **d);
/* Could CLASS_NAME be a class at all? (It becomes a folder's name.) */
bool deploy_may_have_class(struct bytes class_name);
/* Is it one of the manifest's classes? */
bool deploy_has_class(const struct deploy *d, struct bytes class_name);
/* Does it sleep with its heap, or start anew from its database, as on the platform? (The manifest's "heap".) */
bool deploy_keeps_heap(const struct deploy *d, struct bytes class_name);
/* Its number for images (image_label.kin); 0: none. */
unsigned deploy_kin(const struct deploy *d, struct bytes class_name);

/* Build mode: evaluates DIR/bundle.js and writes DIR/template. On ERR_BUILD *out_json tells {"message", "stack"} for people. */
MUST_USE bool deploy_build(const char *dir, struct bytes manifest, struct buf *out_json, struct err *err);

/* The runtime library's text (js/runtime.js), read before the sandbox closes. */
MUST_USE bool runtime_library_load(const char *path, struct err *err);
struct bytes runtime_library(void);

#endif
