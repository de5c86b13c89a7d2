/*
 * supervisor_core — see supervisor_core.h.
 */
#include "src/supervisor/supervisor_core.h"

#include <assert.h>

#include "src/supervisor/supervisor_limits.h"

/* A room may say READY twice, or while it is being stopped: that is its affair, not our bug. */
static const enum life_state next_state[LIFE_STATES][LIFE_EVENTS] = {
    /*                  START          READY          DIED           DUE            STOP          */
    [LIFE_NEW]      = { LIFE_STARTING, LIFE_BUG,      LIFE_BUG,      LIFE_BUG,      LIFE_GONE     },
    [LIFE_STARTING] = { LIFE_BUG,      LIFE_SERVING,  LIFE_WAITING,  LIFE_STARTING, LIFE_STOPPING },
    [LIFE_SERVING]  = { LIFE_BUG,      LIFE_SERVING,  LIFE_WAITING,  LIFE_SERVING,  LIFE_STOPPING },
    [LIFE_WAITING]  = { LIFE_BUG,      LIFE_BUG,      LIFE_BUG,      LIFE_STARTING, LIFE_GONE     },
    [LIFE_STOPPING] = { LIFE_BUG,      LIFE_STOPPING, LIFE_GONE,     LIFE_STOPPING, LIFE_STOPPING },
    [LIFE_GONE]     = { LIFE_BUG,      LIFE_BUG,      LIFE_BUG,      LIFE_BUG,      LIFE_BUG      },
};

uint32_t
backoff_ms(uint32_t failures)
{
    uint32_t doublings = failures > 0 ? failures - 1 : 0;

    assert(failures >= 1);
    if (doublings >= 7)                                      /* 100 ms << 7 is beyond the most */
        return BACKOFF_MAX_MS;
    return BACKOFF_FIRST_MS << doublings;
}

static enum life_effect
step_start(struct life *life, int64_t now_ms)
{
    life->due_ms = now_ms + START_LIMIT_MS;
    return LIFE_SPAWN;
}

static enum life_effect
step_died(struct life *life, enum life_state before, int64_t now_ms)
{
    const bool was_healthy = before == LIFE_SERVING && now_ms - life->since_ms >= HEALTHY_MS;

    if (before == LIFE_STOPPING || life->kind == LIFE_ONCE) {
        life->state = LIFE_GONE;
        return LIFE_FORGET;
    }
    life->failures = was_healthy ? 1 : life->failures + 1;
    life->due_ms = now_ms + backoff_ms(life->failures);
    return LIFE_WAIT;
}

static enum life_effect
step_due(struct life *life, enum life_state before, int64_t now_ms)
{
    if (before != LIFE_WAITING)
        return LIFE_KILL;
    life->restarts++;
    return step_start(life, now_ms);
}

static enum life_effect
step_stop(struct life *life, enum life_state before, int64_t now_ms, uint32_t grace_ms)
{
    if (life->state == LIFE_GONE)
        return LIFE_FORGET;
    if (before == LIFE_STOPPING && grace_ms > 0)
        return LIFE_NOTHING;
    if (grace_ms == 0)
        return LIFE_KILL;
    life->due_ms = now_ms + grace_ms + KILL_MARGIN_MS;
    return LIFE_SEND_STOP;
}

enum life_effect
life_step(struct life *life, enum life_event event, int64_t now_ms, uint32_t grace_ms)
{
    const enum life_state before = life->state;
    const int64_t due_before_ms = life->due_ms;
    enum life_effect effect = LIFE_NOTHING;

    assert(before < LIFE_STATES);
    assert(event < LIFE_EVENTS);
    assert(next_state[before][event] != LIFE_BUG);

    if (event == LIFE_READY && life->kind == LIFE_ONCE)      /* a build is not done before it ends; its time limit stays */
        return LIFE_NOTHING;
    life->state = next_state[before][event];
    life->due_ms = 0;
    switch (event) {
    case LIFE_START: effect = step_start(life, now_ms); break;
    case LIFE_DIED:  effect = step_died(life, before, now_ms); break;
    case LIFE_DUE:   effect = step_due(life, before, now_ms); break;
    case LIFE_STOP:  effect = step_stop(life, before, now_ms, grace_ms); break;
    case LIFE_READY:
    case LIFE_EVENTS: break;
    }
    if (life->state != before)
        life->since_ms = now_ms;
    else if (effect == LIFE_NOTHING)
        life->due_ms = due_before_ms;
    return effect;
}

const char *
life_state_name(enum life_state state)
{
    static const char *const names[LIFE_STATES] = {
        [LIFE_NEW] = "new",         [LIFE_STARTING] = "starting", [LIFE_SERVING] = "ready",
        [LIFE_WAITING] = "waiting", [LIFE_STOPPING] = "stopping", [LIFE_GONE] = "gone",
    };

    assert(state < LIFE_STATES);
    return names[state];
}

bool
rooms_are_linked(enum role a, enum role b, bool same_app)
{
    const enum role low = a < b ? a : b;
    const enum role high = a < b ? b : a;

    switch (low) {
    case ROLE_GATEWAY:
        return high == ROLE_WORKER || high == ROLE_CONTROL;
    case ROLE_WORKER:
        return high == ROLE_WORKER ? same_app : high == ROLE_EGRESS || high == ROLE_SCHEDULER || high == ROLE_CONTROL || high == ROLE_JOURNAL;
    case ROLE_EGRESS:
        return high == ROLE_CONTROL;
    case ROLE_SCHEDULER:
        return high == ROLE_CONTROL || high == ROLE_JOURNAL;
    case ROLE_CONTROL:
        return high == ROLE_JOURNAL;
    default:
        return false;
    }
}

int
stop_phase(enum role role)
{
    switch (role) {
    case ROLE_GATEWAY: return 0;
    case ROLE_WORKER:  return 1;
    case ROLE_CONTROL: return 3;
    default:           return 2;
    }
}

bool
app_name_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len > APP_NAME_MAX || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}
