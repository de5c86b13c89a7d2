/* alarm_scan — see alarm_scan.h. */
#include "src/worker/alarm_scan.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/commits.h"
#include "src/worker/engine.h"
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

enum { LEVEL_CLASSES, LEVEL_PAIRS, LEVEL_AGENTS, LEVELS };     /* DATA/apps/APP/agents / CLASS / ab / abcd… */

struct pending {                       /* an agent that could not be looked at yet */
    struct list_node in_pending;
    struct agent_id  id;
    size_t           class_len;
    uint8_t          class_name[];
};

static struct {
    struct loop_timer *timer;          /* NULL: never asked */
    bool               is_on, is_walked;
    uint32_t           number;         /* the scheduler's */
    DIR               *levels[LEVELS]; /* open down to where the walk is */
    char               class_name[NAME_MAX_BYTES + 1];
    struct list_node   pending;
    size_t             pending_count;
} scan;

static struct link *
scheduler(void)
{
    return room_link(worker.room, ROLE_SCHEDULER, 0, NULL);
}

/* ---- one agent ---- */

static bool
tell(struct store *store, const struct agent_id *id, struct bytes class_name, struct err *err)
{
    struct msg_ALARM_FOUND m = { .agent = *id, .class_name = class_name };
    struct buf name = { 0 };
    bool has_name = false, ok;

    ok = store_alarm_get(store, &m.due_ms, err) && (m.due_ms == STORE_ALARM_NONE || store_name_get(store, &name, &has_name, err));
    if (ok && m.due_ms > 0) {
        m.name = name.len <= AGENT_NAME_MAX_BYTES ? buf_view(&name) : BYTES_NONE;
        msg_ALARM_FOUND_pack(link_out(scheduler()), &m);
    }
    buf_fini(&name);
    return ok;
}

static bool
tell_from_file(const struct agent_id *id, struct bytes class_name, struct err *err)
{
    struct store_options options = { .is_journaled = true };
    struct store *store = NULL;
    char folder[4096];
    bool ok;

    ok = store_open(&store, agent_folder_of(class_name, id, folder, sizeof folder), &options, err) && tell(store, id, class_name, err);
    store_close(&store);
    return ok;
}

/* False: not now. */
static bool
look(const struct agent_id *id, struct bytes class_name)
{
    struct agent *a = agent_find(class_name, id);
    struct err err = { 0 };
    bool ok;

    if (a != NULL && (a->is_leaving || a->state == AGENT_RECALLING || a->is_running))
        return false;
    if (a != NULL && a->store != NULL) {
        /* What is on its way may be refused, and nobody would take it back. */
        if (store_is_broken(a->store) || store_is_dirty(a->store) || !commits_are_durable(a))
            return false;
        ok = tell(a->store, id, class_name, &err);
    } else if (recall_failed(class_name, id) == ERR_CORRUPT) {
        ok = err_set(&err, ERR_CORRUPT, 0, "its database is damaged");
    } else if (recall_is_suspect(class_name, id)) {
        return false;
    } else {
        ok = tell_from_file(id, class_name, &err);
    }
    if (ok || err.code != ERR_CORRUPT)
        return ok;
    worker_log_agent(NULL, 3, "its alarm, if it has one, is not known: %s", err.message);
    return true;                       /* nothing will come of trying again */
}

/* ---- those that have to wait ---- */

static void
pending_add(const struct agent_id *id, struct bytes class_name)
{
    struct pending *p = calloc(1, sizeof *p + class_name.len);

    assert(p != NULL);
    p->id = *id;
    p->class_len = class_name.len;
    memcpy(p->class_name, class_name.data, class_name.len);
    list_push_back(&scan.pending, &p->in_pending);
    scan.pending_count++;
}

static void
pending_remove(struct pending *p)
{
    list_remove(&p->in_pending);
    scan.pending_count--;
    free(p);
}

/* ---- the walk ---- */

static void
level_close(int level)
{
    if (scan.levels[level] != NULL)
        (void)closedir(scan.levels[level]);
    scan.levels[level] = NULL;
}

/* Opens the folder NAME of LEVEL - 1. One that has just gone is empty. False: it cannot be read now. */
static bool
level_open(int level, const char *name)
{
    int above = level > 0 ? dirfd(scan.levels[level - 1]) : AT_FDCWD;
    int fd = sys_openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    scan.levels[level] = fdopendir(fd);
    if (scan.levels[level] == NULL)
        (void)sys_close(fd);
    return scan.levels[level] != NULL;
}

/* Agents in memory may have no folder yet: all they ever wrote is in the journal and in their WAL. */
static void
pending_add_all(void)
{
    size_t cursor = 0;
    struct bytes key;
    void *value;

    while (bmap_next(worker.agents, &cursor, &key, &value)) {
        const struct agent *a = value;

        if (!a->is_entry && (a->store != NULL || recall_is_suspect(bytes_of(a->class_name), &a->id)))
            pending_add(&a->id, bytes_of(a->class_name));
    }
}

static bool
walk_begin(void)
{
    struct buf path = { 0 };
    bool ok;

    pending_add_all();
    buf_printf(&path, "%s/agents", worker.data);
    ok = level_open(LEVEL_CLASSES, buf_cstr(&path));
    buf_fini(&path);
    scan.is_walked = ok && scan.levels[LEVEL_CLASSES] == NULL;
    return ok;
}

static bool
enter(int level, const char *name)
{
    struct agent_id id;

    switch (level) {
    case LEVEL_CLASSES:
        if (name[0] == '.' || strlen(name) > NAME_MAX_BYTES)
            return true;
        memcpy(scan.class_name, name, strlen(name) + 1);
        return level_open(LEVEL_PAIRS, name);
    case LEVEL_PAIRS:
        return name[0] == '.' || strlen(name) != 2 || level_open(LEVEL_AGENTS, name);
    default:
        if (!agent_id_from_hex(&id, bytes_of(name)) || agent_id_slot(&id, worker.slots) != worker.slot)
            return true;               /* another worker's, or being deleted */
        if (look(&id, bytes_of(scan.class_name)))
            return true;
        pending_add(&id, bytes_of(scan.class_name));
        recall_sweep_again(bytes_of(scan.class_name), &id);
        return true;
    }
}

/* One entry of the innermost open folder. False: the disk does not answer. */
static bool
walk_step(void)
{
    int level = LEVELS - 1;
    struct dirent *e;

    while (scan.levels[level] == NULL)
        level--;
    errno = 0;
    e = readdir(scan.levels[level]);
    if (e != NULL)
        return enter(level, e->d_name);
    if (errno != 0)
        return false;
    level_close(level);
    scan.is_walked = level == 0;
    return true;
}

/* ---- slices ---- */

static void
reset(void)
{
    for (int level = 0; level < LEVELS; level++)
        level_close(level);
    while (!list_is_empty(&scan.pending))
        pending_remove(list_entry(scan.pending.next, struct pending, in_pending));
    scan.is_walked = false;
}

static void
finish(void)
{
    msg_ALARM_SCANNED_pack(link_out(scheduler()), &(struct msg_ALARM_SCANNED){ .scan = scan.number, .slots = worker.slots });
    scan.is_on = false;
    store_give_back();
    (void)malloc_trim(0);              /* what so many databases took, one after the other */
}

static bool
is_over(int64_t until_us)
{
    return clock_mono_us() >= until_us || link_is_backed_up(scheduler());
}

/* Those that had to wait, each once. */
static void
look_again(int64_t until_us)
{
    for (size_t left = scan.pending_count; left > 0 && !is_over(until_us); left--) {
        struct pending *p = list_first(&scan.pending, struct pending, in_pending);

        if (look(&p->id, bytes_from(p->class_name, p->class_len))) {
            pending_remove(p);
        } else {
            list_remove(&p->in_pending);
            list_push_back(&scan.pending, &p->in_pending);
        }
    }
}

static void
slice(void *owner)
{
    int64_t until_us = clock_mono_us() + SCAN_SLICE_US;
    uint64_t pause_ms = SCAN_PAUSE_MS;

    engine_cpu_limit(0);               /* nobody's turn */
    if (!scan.is_on || worker.is_stopping || scheduler() == NULL)
        return;
    if (!recall_sweep()) {          /* that is the same disk, and makes them readable */
        loop_timer_arm(scan.timer, SCAN_WAIT_MS);
        return;
    }
    if (scan.levels[LEVEL_CLASSES] == NULL && !scan.is_walked && !walk_begin()) {
        reset();
        pause_ms = SCAN_WAIT_MS;
    }
    while (!scan.is_walked && scan.levels[LEVEL_CLASSES] != NULL && !is_over(until_us)) {
        if (walk_step())
            continue;
        worker_log_agent(NULL, 3, "the folders of agents cannot be read; their alarms are looked for again");
        reset();
        pause_ms = SCAN_WAIT_MS;
    }
    if (scan.is_walked) {
        look_again(until_us);
        if (scan.pending_count == 0) {
            finish();
            return;
        }
        pause_ms = SCAN_WAIT_MS;
    }
    loop_timer_arm(scan.timer, pause_ms);
}

bool
alarm_scan_message(struct bytes payload, struct err *err)
{
    struct msg_ALARM_SCAN m;

    if (!msg_ALARM_SCAN_unpack(&m, payload, err))
        return false;
    if (scan.timer == NULL) {
        list_init(&scan.pending);
        scan.timer = loop_timer_create(worker.loop, slice, NULL);
    }
    reset();
    scan.number = m.scan;
    scan.is_on = true;
    loop_timer_arm(scan.timer, 0);
    return true;
}

void
alarm_scan_stop(void)
{
    if (scan.timer == NULL)
        return;
    loop_timer_disarm(scan.timer);
    reset();
    scan.is_on = false;
}
