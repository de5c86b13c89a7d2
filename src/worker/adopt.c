/* adopt — see adopt.h. */
#include "src/worker/adopt.h"

#include <stdio.h>

#include "lib/store/store.h"
#include "src/worker/agent.h"
#include "src/worker/commits.h"
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/sql.h"
#include "src/worker/worker_limits.h"

bool
adopt_begin(struct agent *a, const char *why, uint64_t *out_seq, struct err *err)
{
    if (a->is_leaving || (a->state == AGENT_RECALLING && a->store == NULL))
        return err_set(err, ERR_UNAVAILABLE, 0, "the agent is being restored, deleted or started; try again");
    if (a->state != AGENT_ABSENT && a->state != AGENT_RECALLING)
        agent_reset(a, ERR_UNAVAILABLE, FAIL_RESET | FAIL_RETRYABLE, why);
    if (a->store == NULL && !agent_open_store(a, BYTES_NONE, 0, err))
        return false;
    *out_seq = store_seq(a->store) + 1;
    sql_drop_cursors(a);
    store_rollback(a->store);
    (void)commits_checkpoint(a);           /* else it is recalled */
    commits_close_store(a);
    a->is_leaving = true;
    return true;
}

/* What STORE says of itself must not be taken for the present's: a restore that waited then. */
static bool
state_prepare(struct store *store, const struct adoption *adoption, struct err *err)
{
    struct buf waiting = { 0 };
    bool ok = store_restore_get(store, &waiting, err);
    uint64_t seq;

    if (ok && waiting.len > 0)
        ok = store_restore_set(store, BYTES_NONE, err);
    buf_fini(&waiting);
    if (ok && adoption->prepare != NULL)
        ok = adoption->prepare(store, adoption->owner, err);
    return ok && (!store_is_dirty(store) || store_commit(store, &seq, err));
}

static bool
state_send(struct agent *a, struct store *store, uint64_t seq, const struct adoption *adoption, struct err *err)
{
    struct commits_image image = {
        .from = store, .flags = COMMIT_RESTORED | COMMIT_ALARM, .seq = seq, .done = adoption->done, .owner = adoption->owner,
    };
    int64_t alarm_ms = STORE_ALARM_NONE;

    if (store_image_bytes(store) > RESTORE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, 0, "its database was %lld MiB then, more than the %lld MiB that can be restored in place; restore it from a backup",
                       (long long)(store_image_bytes(store) >> 20), (long long)(RESTORE_BYTES_MAX >> 20));
    if (!state_prepare(store, adoption, err) || !store_alarm_get(store, &alarm_ms, err))
        return false;
    image.alarm_ms = alarm_ms == STORE_ALARM_NONE ? 0 : alarm_ms;
    return commits_send_image(a, &image, err);
}

/* Builds the state beside the agent's folder. */
bool
adopt_send(struct agent *a, uint64_t seq, const struct adoption *adoption, struct err *err)
{
    /* Pages of a database without a commit are nobody's state. */
    struct store_options options = { .is_journaled = true, .redo = adoption->records_seq > 0 ? adoption->records : BYTES_NONE, .redo_seq = adoption->records_seq };
    char own[4096], folder[4096 + 16];
    struct store *store = NULL;
    struct err ignored = { 0 };
    bool ok;

    (void)snprintf(folder, sizeof folder, "%s.restore", agent_folder(a, own, sizeof own));
    ok = store_remove(folder, err) && store_open(&store, folder, &options, err) && state_send(a, store, seq, adoption, err);
    store_close(&store);
    if (!store_remove(folder, &ignored))
        worker_log_agent(a, 2, "%s; the next restore tries again", ignored.message);
    if (ok)
        recall_suspect(a);
    return ok;
}

void
adopt_end(struct agent *a, const struct err *failure)
{
    a->is_leaving = false;
    if (failure != NULL)
        return;
    a->alarm_changed = false;              /* the state's commit told it */
    a->is_born_told = false;               /* a state before the first commit has no name */
}
