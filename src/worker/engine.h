/*
 * engine — the JavaScript engine: one generated module instance whose memory is switched from heap to heap.
 *
 * Promise: guest code reaches nothing but the memory of the heap that is entered; whatever it does ends as a JavaScript
 * result, a JavaScript exception, or a trap that ends that heap only.
 * Threads: one guest thread per process: the instance, its stack pointer and the trap target are process globals.
 */
#ifndef DORMOUSE_WORKER_ENGINE_H
#define DORMOUSE_WORKER_ENGINE_H

#include <setjmp.h>

#include "build/engine/quickjs.h"
#include "src/worker/guest.h"

extern Z_qjs_instance_t engine_q;  /* the one instance */
extern uint32_t engine_ctx;        /* JSContext* and JSRuntime* of the current heap, in its memory */
extern uint32_t engine_rt;

/* Once per process: signal handler on its own stack, function table with our natives. */
void engine_init(void);
/* The engine's own start-up in the current (fresh, zeroed) memory: data segments, runtime, context. */
void engine_boot(void);
/* Adds the natives to the object OBJ; table indices follow natives.def. */
MUST_USE bool engine_add_natives(jsval obj);

/* Runs FN(ARG) with traps caught; TRAP_NONE when it returned. Not nestable. */
enum trap engine_run(void (*fn)(void *arg), void *arg);
/* Why the last trap happened, for logs: "out of bounds memory access". */
const char *trap_text(enum trap trap);

/* Frees all scratch memory (between turns). */
void guest_scratch_reset(void);

/* The turn's CPU limit: checked by the interrupt handler. 0: none. */
void engine_cpu_limit(int64_t until_cpu_us);
bool engine_cpu_is_over(void);     /* for C code that runs long on the guest's behalf (a SQL statement) */
/* Runs pending jobs until none is left; false: one threw (the exception is dropped after REJECTION handling). */
void engine_run_jobs(void);

/* ---- what the heap module gives the engine ---- */
/* The current heap wants DELTA pages of 64 KiB more; false at its limit. */
bool heap_grow_current(uint32_t delta);
bool heap_growth_is_forbidden(void);
/* Address range of the current heap, for telling a guest's fault from a bug of ours. */
bool heap_owns_address(const void *addr);

/* ---- table indices of host callbacks (engine.c) ---- */
enum engine_callback {
    CALLBACK_ALS_TRAMPOLINE, CALLBACK_ALS_JOB, CALLBACK_REJECTION, CALLBACK_MODULE_LOAD, CALLBACK_MODULE_INIT, ENGINE_CALLBACKS
};
uint32_t engine_callback_index(enum engine_callback which);

/* ---- atoms ---- */
enum atom {
#define ATOM(id, text) ATOM_##id,
#include "src/worker/atoms.def"
#undef ATOM
    ATOMS
};
extern uint32_t engine_atoms[ATOMS];   /* atom numbers, the same in every heap of a template */
MUST_USE bool engine_make_atoms(void);
#define A(id) engine_atoms[ATOM_##id]

#endif
