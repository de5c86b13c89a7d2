/*
 * heap — the memory of one JavaScript world, and the template that worlds start from.
 *
 * Promise: a heap is a private copy-on-write view of its template's image; heap_give_back returns every dirty page to the kernel.
 * A template is made once per deployment and never changes; heaps of different templates live side by side.
 */
#ifndef DORMOUSE_WORKER_HEAP_H
#define DORMOUSE_WORKER_HEAP_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "src/worker/engine.h"

struct template;
struct heap;

/* ---- templates ---- */
struct template_source {
    struct bytes runtime_js;       /* the runtime library */
    struct bytes bundle_js;        /* the app, an ES module */
    struct bytes app_hash;         /* names the deployment */
    struct bytes env_json, compat_json;    /* for PREPARE, before the app's module runs; empty: not told */
};
/* What the heap says at template time when the app's code throws: message and stack as JavaScript gives them. */
struct template_error {
    struct buf message, stack;
};
/* Runs the bundle once and writes the image to FD (a file opened for reading and writing). False: err; *out_error holds the app's own
 * exception when code is ERR_BUILD. */
MUST_USE bool template_build(int fd, const struct template_source *source, struct template_error *out_error, struct err *err);
/* Maps an image. FD stays the caller's. Fails with ERR_VERSION when another engine or runtime library made it. */
MUST_USE bool template_open(struct template **out_template, int fd, struct bytes runtime_js, struct err *err);
void template_ref(struct template *t);
void template_unref(struct template **t);          /* unmapped with the last reference */
void template_retire(struct template *t);          /* no new heaps: the pool lets go of it */
size_t template_bytes(const struct template *t);

/* ---- heaps ---- */
/* Refs T. NULL: the process is out of address space, 4 GiB of which each heap reserves. */
struct heap *heap_create(struct template *t, uint32_t bytes_max);
size_t heaps_possible(size_t wanted);              /* for how many heaps this process has addresses, at most WANTED; at least 1 */
void heap_destroy(struct heap **heap);             /* must not be entered */
enum heap_pool_rest { HEAP_POOL_IN_USE, HEAP_POOL_ALL };
void heap_pool_rest(enum heap_pool_rest which);    /* from time to time: what destroyed heaps left for the next ones goes back; IN_USE: unless it is */
struct template *heap_template(struct heap *heap);
/* Gives back the private pages that are equal to the template's again (counters that went up and down) and those with nothing but freed
 * memory or dead stack: returns how many. 0 without heap_use_pagemap(). */
size_t heap_share_again(struct heap *heap);
void heap_use_pagemap(int fd);                     /* takes FD: this process's /proc/PID/pagemap */
/* Private bytes (pages that differ from the template), as the kernel counts them. */
size_t heap_private_bytes(const struct heap *heap);

/* Makes HEAP current until heap_leave. Natives find their owner by heap_user(). */
void heap_enter(struct heap *heap);
void heap_leave(void);
struct heap *heap_current(void);
void heap_set_user(struct heap *heap, void *user);
void *heap_user(const struct heap *heap);
static inline void *heap_current_user(void) { return heap_user(heap_current()); }

/* Inside engine_run with a heap entered: calls the runtime library's dispatch(event, args…), then runs all jobs.
 * Takes the arguments. */
void heap_dispatch(int event, int argc, const jsval *argv);
/* The dispatch function and module table, handed over by __host.install; the app's exports (module namespace). */
void heap_install(jsval dispatch, jsval modules);
jsval heap_modules(void);          /* borrowed */
jsval heap_exports(void);          /* borrowed; undefined while the bundle is evaluated */
bool heap_is_global_scope(void);   /* the template is being made: no I/O, no timers, no randomness */

#endif
