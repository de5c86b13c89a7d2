/*
 * supervisor_core — the life of a room and the rules of the house, as pure functions.
 *
 * Promise: no clock, no descriptor, no process here; the shell (supervisor_shell.c) does what life_step() says.
 */
#ifndef DORMOUSE_SUPERVISOR_CORE_H
#define DORMOUSE_SUPERVISOR_CORE_H

#include "lib/base/bytes.h"
#include "lib/ipc/message.h"

enum life_state { LIFE_NEW, LIFE_STARTING, LIFE_SERVING, LIFE_WAITING, LIFE_STOPPING, LIFE_GONE, LIFE_STATES, LIFE_BUG = LIFE_STATES };
enum life_event { LIFE_START, LIFE_READY, LIFE_DIED, LIFE_DUE, LIFE_STOP, LIFE_EVENTS };
enum life_kind { LIFE_FOREVER, LIFE_ONCE };    /* ONCE: a build; when it ends, it is gone */

enum life_effect {
    LIFE_NOTHING,
    LIFE_SPAWN,                    /* start the process; DUE at due_ms says that it took too long */
    LIFE_WAIT,                     /* nothing runs; DUE at due_ms starts it again */
    LIFE_SEND_STOP,                /* ask it to finish; DUE at due_ms ends the patience */
    LIFE_KILL,                     /* SIGKILL; DIED follows */
    LIFE_FORGET,                   /* nothing runs and nothing will */
};

struct life {
    enum life_kind  kind;
    enum life_state state;
    uint32_t        restarts;      /* since the supervisor started */
    uint32_t        failures;      /* in a row, each soon after its start */
    int64_t         since_ms;      /* when the state was entered; monotonic */
    int64_t         due_ms;        /* when DUE is due; 0: never */
};

/* Feeds EVENT at NOW. grace_ms counts for LIFE_STOP only. The caller cancels the pending DUE and arms due_ms when it is not 0. */
enum life_effect life_step(struct life *life, enum life_event event, int64_t now_ms, uint32_t grace_ms);
const char *life_state_name(enum life_state state);   /* "ready": the names that STATUS uses */

/* How long to wait before start number FAILURES + 1; failures ≥ 1. */
uint32_t backoff_ms(uint32_t failures);

/* Who talks to whom. same_app: both are workers of one app. */
bool rooms_are_linked(enum role a, enum role b, bool same_app);

/* In which order the house stops: 0 first. Rooms of one phase stop together. */
enum { STOP_PHASES = 4 };
int stop_phase(enum role role);

/* Names that become folders and host labels: letters, digits, '-', '_' and '.', not starting with a dot. */
bool app_name_is_valid(struct bytes name);

#endif
