/* agent_store — see agent.h: where an agent's database is, and who opens it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/store/store.h"
#include "src/worker/agent.h"
#include "src/worker/alarms.h"
#include "src/worker/engine.h"
#include "src/worker/history.h"
#include "src/worker/log.h"
#include "src/worker/worker.h"

const char *
agent_folder_of(struct bytes class_name, const struct agent_id *id, char out[], size_t size)
{
    char hex[65];
    int n;

    agent_id_to_hex(id, hex);
    n = snprintf(out, size, "%s/agents/%.*s/%.2s/%s", worker.data, (int)class_name.len, (const char *)class_name.data, hex, hex);
    assert(n > 0 && (size_t)n < size);
    return out;
}

const char *
agent_folder(const struct agent *a, char out[], size_t size)
{
    return agent_folder_of(bytes_of(a->class_name), &a->id, out, size);
}

const char *
agent_storage_text(enum err_code code)
{
    switch (code) {
    case ERR_CORRUPT:
        return "Durable Object's storage is damaged; restore it from a backup.";
    case ERR_DISK_FULL:
        return "database or disk is full: SQLITE_FULL";        /* as a write says */
    default:
        return TEXT_STORAGE_FAILED;
    }
}

static bool
tick(void *owner)
{
    return !engine_cpu_is_over();
}

bool
agent_open_store(struct agent *a, struct bytes redo, uint64_t redo_seq, struct err *err)
{
    struct store_options options = { .tick = tick, .is_journaled = true, .redo = redo, .redo_seq = redo_seq, .is_new = a->is_folderless };
    char folder[4096];

    assert(a->store == NULL);
    a->is_folderless = false;          /* what is opened may make it */
    if (!store_open(&a->store, agent_folder(a, folder, sizeof folder), &options, err))
        return false;
    a->sent_seq = store_seq(a->store);
    alarms_remind(a);
    history_store_opened(a);
    return true;
}

struct store *
agent_current_store(void)
{
    struct agent *a = agent_current();
    struct err err = { 0 };
    bool may_restore;

    if (a == NULL || a->is_entry) {
        js_throw_error("Storage belongs to Durable Objects: the entry of an app has none.");
        return NULL;
    }
    if (a->store != NULL)
        return a->store;
    may_restore = a->may_restore;
    if (!agent_open_store(a, BYTES_NONE, 0, &err)) {
        worker_log_agent(a, 3, "open its database: %s", err.message);
        js_throw_error("%s", agent_storage_text(err.code));
        return NULL;
    }
    if (a->may_restore && !may_restore && history_is_late(a)) {
        /* This session must not go on without it. */
        free(a->abort_message);
        a->abort_message = bytes_dup(BYTES_LIT("Durable Object reset because its storage is being restored."));
        engine_trap(TRAP_ABORT);
    }
    return a->store;
}
