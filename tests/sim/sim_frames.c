/*
 * sim_frames — what passes by, for the trace and for the count of what was seen: frames between rooms, batches of the journal.
 */
#include <stdio.h>
#include <string.h>

#include "src/journal/journal_record.h"
#include "tests/sim/sim.h"

static void
commit_look(struct bytes payload)
{
    struct msg_COMMIT m;

    if (!msg_COMMIT_unpack(&m, payload, NULL))
        return;
    if ((m.flags & COMMIT_AGAIN) != 0)
        sim_saw(SAW_RESEND);
    if ((m.flags & COMMIT_GONE) != 0)
        sim_saw(SAW_GONE);
    if ((m.flags & COMMIT_MORE) != 0)
        sim_saw(SAW_MORE);
}

/* What a reader of the trace wants to know of a frame. */
void
frame_tell(const char *who, const struct msg_HELLO *peer, uint16_t type, struct bytes payload)
{
    struct msg_COMMIT commit;
    struct msg_CHECKPOINTED checkpointed;
    struct msg_RECALL recall;
    struct msg_RECORD record;
    struct msg_RECALLED recalled;
    struct msg_DURABLE durable;
    struct msg_SUSPECTS suspects;
    struct msg_LOG said;
    char text[400] = "";

    if (type == MSG_COMMIT && msg_COMMIT_unpack(&commit, payload, NULL))
        (void)snprintf(text, sizeof text, "agent %d ticket %llu seq %llu flags %u", world_agent(&commit.agent), (unsigned long long)commit.ticket,
                       (unsigned long long)commit.seq, commit.flags);
    else if (type == MSG_CHECKPOINTED && msg_CHECKPOINTED_unpack(&checkpointed, payload, NULL))
        (void)snprintf(text, sizeof text, "agent %d", world_agent(&checkpointed.agent));
    else if (type == MSG_RECALL && msg_RECALL_unpack(&recall, payload, NULL))
        (void)snprintf(text, sizeof text, "agent %d question %u", world_agent(&recall.agent), recall.request);
    else if (type == MSG_RECORD && msg_RECORD_unpack(&record, payload, NULL))
        (void)snprintf(text, sizeof text, "question %u seq %llu flags %u", record.request, (unsigned long long)record.seq, record.flags);
    else if (type == MSG_RECALLED && msg_RECALLED_unpack(&recalled, payload, NULL))
        (void)snprintf(text, sizeof text, "question %u ok %u last %llu %.*s", recalled.request, recalled.ok, (unsigned long long)recalled.last_seq,
                       (int)recalled.message.len, (const char *)recalled.message.data);
    else if (type == MSG_DURABLE && msg_DURABLE_unpack(&durable, payload, NULL))
        (void)snprintf(text, sizeof text, "ticket %llu", (unsigned long long)durable.ticket);
    else if (type == MSG_SUSPECTS && msg_SUSPECTS_unpack(&suspects, payload, NULL))
        (void)snprintf(text, sizeof text, "era %u flags %u", suspects.era, suspects.flags);
    else if (type == MSG_LOG && msg_LOG_unpack(&said, payload, NULL))
        (void)snprintf(text, sizeof text, "agent %d: %.*s", world_agent(&said.agent), (int)said.text.len, (const char *)said.text.data);
    sim_trace("%s < %s %u: %s, %zu bytes %s", who, role_name(peer->role), peer->index, message_name(type), payload.len, text);
}

/* Of a list that is not the first. */
static bool
is_new_era(uint32_t era)
{
    static uint32_t known;
    static bool is_known;
    const bool is_new = is_known && era != known;

    known = era;
    is_known = true;
    return is_new;
}

bool
frame_ends_agent(uint16_t type, struct bytes payload)
{
    struct msg_COMMIT commit;

    return type == MSG_COMMIT && msg_COMMIT_unpack(&commit, payload, NULL) && (commit.flags & COMMIT_GONE) != 0;
}

void
frame_look(uint16_t type, struct bytes payload)
{
    static const struct { uint16_t type; enum sim_sight sight; } sights[] = {
        { MSG_REFUSED, SAW_REFUSED }, { MSG_RECORD, SAW_RECALL }, { MSG_CHECKPOINT_WANTED, SAW_WANTED },
        { MSG_ALARM_SCAN, SAW_ALARM_SCAN },
    };
    struct msg_SUSPECTS suspects;
    struct msg_ALARM_FEED feed;

    for (size_t i = 0; i < ARRAY_LEN(sights); i++)
        if (sights[i].type == type)
            sim_saw(sights[i].sight);
    if (type == MSG_COMMIT)
        commit_look(payload);
    if (type == MSG_SUSPECTS && msg_SUSPECTS_unpack(&suspects, payload, NULL) && is_new_era(suspects.era))
        sim_saw(SAW_VOID);
    if (type == MSG_ALARM_FEED && msg_ALARM_FEED_unpack(&feed, payload, NULL) && feed.gap != 0)
        sim_saw(SAW_ALARM_GAP);
}

/* What a batch of the journal has in it. */
void
segment_look(const uint8_t *data, size_t len, off_t at)
{
    for (size_t i = 0; at > 0 && i + RECORD_HEAD_BYTES <= len;) {
        struct record_head head;

        memcpy(&head, data + i, sizeof head);      /* as journal_record.h has it */
        if ((head.marks & ~(uint32_t)MARKS_ALL) != 0 || head.length > len)
            return;
        if ((head.marks & MARK_CARRY) != 0)
            sim_saw(SAW_CARRY);
        if ((head.marks & MARK_INDEX) != 0)
            sim_saw(SAW_SEALED);
        i += record_stride(head.length);
    }
}
