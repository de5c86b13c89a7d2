/* natives_history — bookmarks for JavaScript: states of the agent's database by name (surface spec 3.4). */
#include <math.h>

#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/history.h"
#include "src/worker/natives.h"
#include "src/worker/worker_limits.h"

static jsval
bookmark_new(const struct bookmark *bookmark)
{
    char text[BOOKMARK_BYTES + 1];

    bookmark_print(bookmark, text);
    return js_new_string(bytes_from(text, BOOKMARK_BYTES));
}

/* The state that this turn has made so far. */
jsval
native_bookmark(NATIVE_PARAMS)
{
    struct store *store = agent_current_store();

    if (store == NULL)
        return JSV_EXCEPTION;
    return bookmark_new(&(struct bookmark){ .time_ms = clock_wall_ms(), .mode = RECALL_AT_COMMIT, .seq = store_seq(store) + store_is_dirty(store) });
}

static bool
time_is_kept(int64_t ms)
{
    const int64_t now_ms = clock_wall_ms();

    if (ms > now_ms)
        js_throw_error("The time of a bookmark must not be in the future.");
    else if (ms < now_ms - BOOKMARK_AGE_MS_MAX)
        js_throw_error("The time of a bookmark must be within the last 30 days.");
    return ms <= now_ms && ms >= now_ms - BOOKMARK_AGE_MS_MAX;
}

jsval
native_bookmark_for_time(NATIVE_PARAMS)
{
    double ms = js_get_double(ARG(0));

    if (agent_current_store() == NULL)
        return JSV_EXCEPTION;
    if (!isfinite(ms) || fabs(ms) > 8.64e15)
        return js_throw_type("getBookmarkForTime() takes a Date or a number of milliseconds since 1970.");
    if (!time_is_kept((int64_t)ms))
        return JSV_EXCEPTION;
    return bookmark_new(&(struct bookmark){ .time_ms = (int64_t)ms, .mode = RECALL_AT_TIME });
}

/* The next session begins with that state. Gives the bookmark that undoes it. */
jsval
native_bookmark_restore(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct store *store = agent_current_store();
    struct bookmark bookmark;
    struct err err = { 0 };
    struct bytes text;

    if (store == NULL || !js_to_utf8(ARG(0), &text))
        return JSV_EXCEPTION;
    if (!bookmark_parse(text, &bookmark))
        return js_throw_error("The bookmark is not valid.");
    if (!time_is_kept(bookmark.time_ms))
        return JSV_EXCEPTION;
    if (store_depth(store) > 0)
        return js_throw_error("onNextSessionRestoreBookmark() cannot be called within a transaction.");
    if (!history_ask_restore(a, &bookmark, &err))
        return js_throw_error("%s", err.message);
    return bookmark_new(&(struct bookmark){ .time_ms = clock_wall_ms(), .mode = RECALL_AT_UNDO });
}
