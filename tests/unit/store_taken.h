/* store_taken — journaled stores without the test journal of store_helper.h: opened with redo, committed by hand, their page sets taken. */
#ifndef DORMOUSE_TESTS_STORE_TAKEN_H
#define DORMOUSE_TESTS_STORE_TAKEN_H

#include "tests/unit/store_helper.h"

static UNUSED struct store *
open_with(const char *name, struct bytes redo, uint64_t redo_seq)
{
    struct store_options options = { .is_journaled = true, .redo = redo, .redo_seq = redo_seq };
    struct store *store = NULL;
    struct err err;

    err_clear(&err);
    if (!store_open(&store, agent_folder(name), &options, &err))
        fail_msg("open: %s", err.message);
    assert_true(store_seq(store) >= redo_seq);
    return store;
}

static UNUSED void
exec(struct store *store, const char *sql)
{
    if (!run(store, sql))
        fail_msg("%s: %s", sql, answer(store, sql));
}

static UNUSED uint64_t
plain_commit(struct store *store)
{
    uint64_t seq = 0;
    struct err err;

    err_clear(&err);
    if (!store_commit(store, &seq, &err))
        fail_msg("commit: %s", err.message);
    return seq;
}

/* What store_take_pages() gives. */
struct taken {
    struct buf   bytes;
    unsigned     parts;
    unsigned     commits;
    size_t       part_max;
};

static UNUSED void
taken_add(void *owner, struct bytes pages, bool more)
{
    struct taken *taken = owner;

    buf_append_bytes(&taken->bytes, pages);
    taken->parts++;
    taken->commits += !more;
    taken->part_max = pages.len > taken->part_max ? pages.len : taken->part_max;
}

#endif
