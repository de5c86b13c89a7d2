/* journal_rig — core and log together in this process, as the room has them, for tests that own the disk. Included once per program. */
#ifndef DORMOUSE_JOURNAL_RIG_H
#define DORMOUSE_JOURNAL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/journal/journal_log.h"

#define RIG_SEGMENT_BYTES 8192
#define RIG_SEQS_MAX      4096

struct rig {
    struct core      *core;
    struct core_link *link;
    struct log       *log;
    struct buf        batch;
    uint64_t          ticket;
    uint32_t          generation;
};

static unsigned rig_said;                  /* lines for the operator */

static void
rig_say(int level, const char *text)
{
    rig_said++;
}

static struct core_key
rig_key(unsigned n)
{
    struct core_key key = { .app = BYTES_LIT("shop"), .class_name = BYTES_LIT("Counter") };

    key.agent.bytes[0] = (uint8_t)n;
    key.agent.bytes[31] = 1;
    return key;
}

static bool
rig_open(struct rig *rig, const char *folder, struct err *err)
{
    const struct log_spec spec = { .folder = folder, .segment_bytes = RIG_SEGMENT_BYTES, .say = rig_say };

    *rig = (struct rig){ .core = core_create() };
    if (!log_open(&rig->log, &spec, rig->core, err)) {
        core_destroy(&rig->core);
        return false;
    }
    core_check(rig->core);
    rig->link = core_link_up(rig->core, BYTES_LIT("shop"));
    return true;
}

/* As a kill does: nothing is finished. */
static void
rig_close(struct rig *rig)
{
    if (rig->core == NULL)
        return;
    if (!core_batch_is_empty(rig->core))
        core_batch_refused(rig->core);
    core_link_down(rig->core, &rig->link);
    core_destroy(&rig->core);
    log_close(&rig->log);
    buf_fini(&rig->batch);
}

/* One part of a commit: LEN bytes of FILL. */
static enum core_verdict
rig_send(struct rig *rig, unsigned n, uint64_t seq, uint8_t flags, uint8_t fill, size_t len)
{
    static uint8_t pages[4096];
    struct core_commit commit = { .key = rig_key(n), .seq = seq, .generation = rig->generation, .flags = flags, .offset = (uint32_t)rig->batch.len };
    struct record record = { .app = commit.key.app, .class_name = commit.key.class_name, .agent = commit.key.agent, .seq = seq, .pid = 1, .epoch = 1,
                             .ticket = core_link_part(rig->link) > 0 ? rig->ticket : rig->ticket + 1, .part = core_link_part(rig->link), .flags = flags & (uint8_t)~COMMIT_AGAIN, .pages = bytes_from(pages, len) };
    struct err err = { 0 };
    enum core_verdict verdict;

    assert_true(len <= sizeof pages);
    memset(pages, fill, len);
    commit.ticket = core_link_part(rig->link) > 0 ? rig->ticket : ++rig->ticket;
    record_pack(&rig->batch, &record, 0, &commit.length, &commit.sum);
    verdict = core_commit(rig->core, rig->link, &commit, &err);
    if (verdict != CORE_APPEND)
        rig->batch.len = commit.offset;
    return verdict;
}

static UNUSED void
rig_commit(struct rig *rig, unsigned n, uint64_t seq, uint8_t flags, uint8_t fill, size_t len)
{
    assert_int_equal(rig_send(rig, n, seq, flags, fill, len), CORE_APPEND);
}

static enum log_outcome
rig_flush(struct rig *rig, struct err *err)
{
    uint32_t segment, offset;
    enum log_outcome outcome;

    if (core_batch_is_empty(rig->core))
        return LOG_DURABLE;
    outcome = log_write(rig->log, &rig->batch, &segment, &offset, err);

    buf_clear(&rig->batch);
    if (outcome == LOG_DURABLE) {
        core_batch_durable(rig->core, segment, offset);
    } else {
        core_batch_refused(rig->core);
        rig->generation++;
    }
    core_check(rig->core);
    return outcome;
}

/* The agent is checkpointed, and its database synced. */
static UNUSED void
rig_forget(struct rig *rig, unsigned n)
{
    const struct core_key key = rig_key(n);

    core_claim(rig->core, &key);
    core_sync_begin(rig->core);
    core_sync_end(rig->core, true);
    log_retire(rig->log, rig->core, LOG_RETIRE_CLOSED);
}

/* Writes the agent's records again at the head, each in a batch of its own, and retires what that frees. */
static UNUSED void
rig_carry(struct rig *rig, unsigned n)
{
    const struct core_key key = rig_key(n);
    struct core_agent *agent = core_agent_hold(rig->core, &key);
    struct buf body = { 0 };
    struct err err = { 0 };
    size_t count;

    if (agent == NULL)
        return;
    count = core_agent_count(agent);
    for (size_t i = 0; i < count; i++) {
        const struct core_record record = *core_agent_record(agent, i);

        assert_true(log_read(rig->log, &record, &body, &err));
        record_pack_body(&rig->batch, buf_view(&body), core_carry_marks(agent, i), record.sum);
        core_carry(rig->core, agent, i, 0);
        if (rig_flush(rig, &err) != LOG_DURABLE)
            break;
    }
    core_agent_release(rig->core, &agent);
    log_retire(rig->log, rig->core, LOG_RETIRE_CLOSED);
    buf_fini(&body);
}

struct rig_kept {
    size_t   count;
    uint64_t seq[RIG_SEQS_MAX];
    uint8_t  flags[RIG_SEQS_MAX], fill[RIG_SEQS_MAX];
    size_t   len[RIG_SEQS_MAX];
    bool     is_ok;                        /* all of it could be read, and none is missing */
};

static void
rig_recall(struct rig *rig, unsigned n, struct rig_kept *out)
{
    const struct core_key key = rig_key(n);
    struct core_agent *agent = core_agent_hold(rig->core, &key);
    struct buf body = { 0 };
    struct err err = { 0 };

    out->count = 0;
    out->is_ok = true;
    if (agent == NULL)
        return;
    out->is_ok = !core_agent_is_broken(agent);
    for (size_t i = 0; i < core_agent_count(agent) && out->is_ok; i++) {
        struct record record;

        out->is_ok = log_read(rig->log, core_agent_record(agent, i), &body, &err) && record_unpack(&record, buf_view(&body));
        if (!out->is_ok)
            break;
        assert_true(out->count < RIG_SEQS_MAX);
        out->seq[i] = record.seq;
        out->flags[i] = record.flags;
        out->fill[i] = record.pages.len > 0 ? record.pages.data[0] : 0;
        out->len[i] = record.pages.len;
        for (size_t at = 1; at < record.pages.len; at++)
            assert_int_equal(record.pages.data[at], record.pages.data[0]);
        out->count++;
    }
    buf_fini(&body);
    core_agent_release(rig->core, &agent);
}

#endif
