/*
 * supervisor_watch — looks at the memory of the workers and of what is around them, and tells each worker how short it is (PRESSURE).
 * Rooms see no /proc and no cgroup. Others than workers hold little, and nothing that they could give back.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_house.h"
#include "src/supervisor/supervisor_pressure.h"

/* The limits that we run under ourselves: those of the groups above the rooms' (a service's, a container's), and the machine. */
static enum pressure
node_pressure(struct house *house, bool *is_far)
{
    struct memory_state state;
    enum pressure worst = PRESSURE_EASE, now = house->node_pressure;
    char folder[PATH_MAX] = "";

    if (memory_state_of_system(&state)) {
        worst = pressure_next(now, &state);
        *is_far = *is_far && pressure_is_far(&state);
    }
    if (!jail_cgroup_memory_folder("", folder, sizeof folder))
        (void)snprintf(folder, sizeof folder, "/sys/fs/cgroup");     /* as a container shows it */
    for (char *end; (end = strrchr(folder, '/')) != NULL && end != folder; *end = '\0') {
        enum pressure level;

        if (!memory_state_of_group(folder, &state))
            continue;
        level = pressure_next(now, &state);
        worst = level > worst ? level : worst;
        *is_far = *is_far && pressure_is_far(&state);
    }
    return worst;
}

static void
say(struct house_room *room, const struct memory_state *state, enum pressure level)
{
    static const char *const names[] = { "at ease again", "tight: idle agents go to sleep", "starving: sleeping agents go to disk" };
    char label[ROOM_LABEL_MAX];

    room_label(room, label);
    if (state != NULL)
        house_log(room->house, 1, "the memory of %s is %s (%llu of %llu MB in use)", label, names[level], (unsigned long long)(state->used_bytes >> 20),
                  (unsigned long long)(state->limit_bytes >> 20));
    else
        house_log(room->house, 1, "the memory of %s is %s (the machine's, or of the group that we run in)", label, names[level]);
}

static void
room_look(struct house_room *room, bool *is_far)
{
    struct memory_state state;
    char label[ROOM_LABEL_MAX], folder[PATH_MAX];
    enum pressure level = room->house->node_pressure;
    bool has_own;

    room_label(room, label);
    has_own = jail_cgroup_memory_folder(label, folder, sizeof folder) && memory_state_of_group(folder, &state);
    if (has_own) {
        room->own_pressure = pressure_next(room->own_pressure, &state);
        level = room->own_pressure > level ? room->own_pressure : level;
        *is_far = *is_far && pressure_is_far(&state);
    }
    if (level == room->told_pressure)
        return;
    say(room, has_own && room->own_pressure == level ? &state : NULL, level);
    room->told_pressure = level;
    msg_PRESSURE_pack(link_out(room->link), &(struct msg_PRESSURE){ (uint8_t)level });
}

static void
look(void *owner)
{
    struct house *house = owner;
    struct house_room *room;
    int64_t now_ms = clock_mono_ms();
    bool is_far = true;

    if (now_ms - house->node_looked_ms >= PRESSURE_FAR_MS || !house->node_is_far) {
        house->node_is_far = true;
        house->node_pressure = node_pressure(house, &house->node_is_far);
        house->node_looked_ms = now_ms;
    }
    list_each (room, &house->rooms, struct house_room, in_house)
        if (room->role == ROLE_WORKER && room->build_conf == NULL && room->link != NULL && room->life.state == LIFE_SERVING)
            room_look(room, &is_far);
    loop_timer_arm(house->watch, is_far && house->node_is_far ? PRESSURE_FAR_MS : PRESSURE_NEAR_MS);
}

void
watch_begin(struct house *house)
{
    house->watch = loop_timer_create(house->loop, look, house);
    house->node_is_far = true;
    house->node_looked_ms = clock_mono_ms() - PRESSURE_FAR_MS;
    loop_timer_arm(house->watch, PRESSURE_FAR_MS);
}
