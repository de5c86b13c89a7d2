/*
 * control_core — see control_core.h.
 */
#include "src/control/control_core.h"

#include <assert.h>

struct step {
    enum deploy_state  next;
    enum deploy_effect effect;
};

#define BUG  { DEPLOY_BUG, DEPLOY_NOTHING }
#define STAY(state) { state, DEPLOY_NOTHING }

static const struct step steps[DEPLOY_STATES][DEPLOY_EVENTS] = {
    [DEPLOY_RECEIVING] = {
        [DEPLOY_FILES_CAME]       = { DEPLOY_BUILDING, DEPLOY_BUILD },
        [DEPLOY_FILES_CAME_BUILT] = { DEPLOY_TAKING, DEPLOY_OFFER },
        [DEPLOY_BUILT]            = BUG,
        [DEPLOY_ALL_TOOK]         = BUG,
        [DEPLOY_WENT_WRONG]       = { DEPLOY_FAILED, DEPLOY_REPORT },
    },
    [DEPLOY_BUILDING] = {
        [DEPLOY_FILES_CAME]       = BUG,
        [DEPLOY_FILES_CAME_BUILT] = BUG,
        [DEPLOY_BUILT]            = { DEPLOY_TAKING, DEPLOY_OFFER },
        [DEPLOY_ALL_TOOK]         = BUG,
        [DEPLOY_WENT_WRONG]       = { DEPLOY_FAILED, DEPLOY_REPORT },
    },
    [DEPLOY_TAKING] = {
        [DEPLOY_FILES_CAME]       = BUG,
        [DEPLOY_FILES_CAME_BUILT] = BUG,
        [DEPLOY_BUILT]            = STAY(DEPLOY_TAKING),      /* the build worker said it, then the supervisor */
        [DEPLOY_ALL_TOOK]         = { DEPLOY_DONE, DEPLOY_COMMIT },
        [DEPLOY_WENT_WRONG]       = { DEPLOY_FAILED, DEPLOY_ROLL_BACK },
    },
    [DEPLOY_DONE] = {
        [DEPLOY_FILES_CAME]       = BUG,
        [DEPLOY_FILES_CAME_BUILT] = BUG,
        [DEPLOY_BUILT]            = STAY(DEPLOY_DONE),
        [DEPLOY_ALL_TOOK]         = STAY(DEPLOY_DONE),
        [DEPLOY_WENT_WRONG]       = STAY(DEPLOY_DONE),        /* a timer that fired in the same iteration */
    },
    [DEPLOY_FAILED] = {
        [DEPLOY_FILES_CAME]       = BUG,
        [DEPLOY_FILES_CAME_BUILT] = BUG,
        [DEPLOY_BUILT]            = STAY(DEPLOY_FAILED),
        [DEPLOY_ALL_TOOK]         = STAY(DEPLOY_FAILED),
        [DEPLOY_WENT_WRONG]       = STAY(DEPLOY_FAILED),
    },
};

enum deploy_effect
deploy_step(enum deploy_state *state, enum deploy_event event)
{
    struct step step;

    assert(*state < DEPLOY_STATES);
    assert(event < DEPLOY_EVENTS);
    step = steps[*state][event];
    assert(step.next != DEPLOY_BUG);
    *state = step.next;
    return step.effect;
}
