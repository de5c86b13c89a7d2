/* prop_note — the transcript: what passes between the worker and the world, in words. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/crc32c.h"
#include "tests/prop/prop_world.h"

#define QUOTED_MAX 3000
#define BORN_MAX   64               /* agents and facets of one program */

void
say(const char *fmt, ...)
{
    char *at = shared->text + shared->text_len;
    const size_t room = TEXT_BYTES - shared->text_len;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(at, room, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n + 2 > room)
        prop_fail("the transcript is full");
    at[n] = '\n';
    shared->text_len += (size_t)n + 1;
}

NORETURN void
prop_fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(shared->failure, sizeof shared->failure, fmt, args);
    va_end(args);
    _exit(1);
}

static const char *
quoted(struct bytes b)
{
    static char texts[4][QUOTED_MAX + 40];
    static unsigned turn;
    char *out = texts[turn++ % 4];
    size_t n = 0;

    for (size_t i = 0; i < b.len && n < QUOTED_MAX; i++)
        out[n++] = (char)(isprint(b.data[i]) ? b.data[i] : b.data[i] == '\n' ? '|' : '.');
    out[n] = '\0';
    return out;
}

/* Facets are told apart by their ids. */
static int
index_of(const struct agent_id *id, struct bytes class_name)
{
    const struct prop_agent *a = agent_id_is_none(id) ? NULL : world_agent(id, class_name);

    return a == NULL ? -1 : a->is_part ? 1000 + id->bytes[0] + 256 * id->bytes[1] : (int)(a - shared->agents);
}

/* Who may have missed that an agent was born is told again; that depends on whether its database has been a file since. */
static bool
is_told_again(struct bytes payload)
{
    static struct agent_id told[BORN_MAX];
    static size_t count;
    struct msg_AGENT_BORN born;

    if (!msg_AGENT_BORN_unpack(&born, payload, NULL))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&told[i], &born.agent, sizeof born.agent) != 0)
            continue;
        if (born.deleted)
            told[i] = told[--count];
        return !born.deleted;
    }
    if (!born.deleted && count < BORN_MAX)
        told[count++] = born.agent;
    return false;
}

/* What sleeping may change: when a database is closed and opened, what its agent is told of at a start. */
static bool
is_unseen(uint16_t type, struct bytes payload)
{
    struct msg_COMMIT commit;

    switch (type) {
    case MSG_COMMIT:
        return msg_COMMIT_unpack(&commit, payload, NULL) && (commit.flags & COMMIT_BASE) != 0;
    case MSG_AGENT_BORN:
        return is_told_again(payload);
    case MSG_CHECKPOINTED:
    case MSG_ALARM_FOUND:
    case MSG_RECALL:
    case MSG_RECORD:
    case MSG_RECALLED:
    case MSG_CHECKPOINT_WANTED:
    case MSG_PRESSURE:
    case MSG_WS_LIST:
    case MSG_WS_SOCKET:
    case MSG_WS_LISTED:
        return true;
    default:
        return false;
    }
}

static void
note_call(struct bytes payload, char *out, size_t size)
{
    struct msg_CALL m;

    if (msg_CALL_unpack(&m, payload, NULL))
        (void)snprintf(out, size, "%u kind %u flags %u to %.*s %s %s %s", m.call, m.kind, m.flags, (int)m.name.len,
                       (const char *)m.name.data, quoted(m.method), quoted(m.url), quoted(m.body));
}

static void
note_answer(uint16_t type, struct bytes payload, char *out, size_t size)
{
    struct msg_REPLY reply;
    struct msg_FAIL fail;
    struct msg_DATA data;
    struct msg_END end;
    struct msg_CREDIT credit;
    struct msg_CANCEL cancel;

    if (type == MSG_REPLY && msg_REPLY_unpack(&reply, payload, NULL))
        (void)snprintf(out, size, "%u status %u flags %u socket %" PRIx64 " %s", reply.call, reply.status, reply.flags, reply.socket, quoted(reply.body));
    else if (type == MSG_FAIL && msg_FAIL_unpack(&fail, payload, NULL))
        (void)snprintf(out, size, "%u code %u flags %u %s", fail.call, fail.code, fail.flags, quoted(fail.message));
    else if (type == MSG_DATA && msg_DATA_unpack(&data, payload, NULL))
        (void)snprintf(out, size, "%u %s", data.call, quoted(data.bytes));
    else if (type == MSG_END && msg_END_unpack(&end, payload, NULL))
        (void)snprintf(out, size, "%u %s", end.call, quoted(end.message));
    else if (type == MSG_CREDIT && msg_CREDIT_unpack(&credit, payload, NULL))
        (void)snprintf(out, size, "%u %u", credit.call, credit.bytes);
    else if (type == MSG_CANCEL && msg_CANCEL_unpack(&cancel, payload, NULL))
        (void)snprintf(out, size, "%u %s", cancel.call, quoted(cancel.message));
}

/* How large a snapshot is depends on what its heap has been through. */
static void
note_told(uint32_t request, const char *json, char *out, size_t size)
{
    static const char key[] = "\"bytes\":";
    int n = snprintf(out, size, "%u ", request);

    for (const char *at = json, *next; at != NULL && (size_t)n < size; at = next) {
        next = strstr(at, key);
        n += snprintf(out + n, size - (size_t)n, "%.*s", next == NULL ? (int)strlen(at) : (int)(next - at), at);
        if (next != NULL)
            next += sizeof key - 1 + strspn(next + sizeof key - 1, "0123456789");
    }
}

/* Whether transcripts have PAYLOAD's checksum: what is as above, or counts bases, is told in words only. */
static bool
has_checksum(uint16_t type)
{
    return type != MSG_COMMIT && type != MSG_DURABLE && type != MSG_ADMIN_REPLY;
}

static void
note_other(uint16_t type, struct bytes payload, char *out, size_t size)
{
    struct msg_WS_MESSAGE message;
    struct msg_WS_CAST cast;
    struct msg_WS_CLOSE closing;
    struct msg_COMMIT commit;
    struct msg_DURABLE durable;
    struct msg_LOG said;
    struct msg_ADMIN asked;
    struct msg_ADMIN_REPLY told;

    if (type == MSG_WS_MESSAGE && msg_WS_MESSAGE_unpack(&message, payload, NULL))
        (void)snprintf(out, size, "%" PRIx64 " flags %u %s", message.socket, message.flags, quoted(message.data));
    else if (type == MSG_WS_CAST && msg_WS_CAST_unpack(&cast, payload, NULL))
        (void)snprintf(out, size, "%zu sockets flags %u %s", cast.sockets.len / 8, cast.flags, quoted(cast.data));
    else if (type == MSG_WS_CLOSE && msg_WS_CLOSE_unpack(&closing, payload, NULL))
        (void)snprintf(out, size, "%" PRIx64 " %u %s", closing.socket, closing.code, quoted(closing.reason));
    else if (type == MSG_COMMIT && msg_COMMIT_unpack(&commit, payload, NULL))
        (void)snprintf(out, size, "ticket %" PRIu64 " agent %d seq %" PRIu64 " flags %u alarm %" PRId64, journal_ticket_shown(commit.ticket), index_of(&commit.agent, commit.class_name),
                       commit.seq, commit.flags, commit.alarm_ms);
    else if (type == MSG_DURABLE && msg_DURABLE_unpack(&durable, payload, NULL))
        (void)snprintf(out, size, "ticket %" PRIu64, journal_ticket_shown(durable.ticket));
    else if (type == MSG_LOG && msg_LOG_unpack(&said, payload, NULL))
        (void)snprintf(out, size, "agent %d %s", index_of(&said.agent, said.class_name), quoted(said.text));
    else if (type == MSG_ADMIN && msg_ADMIN_unpack(&asked, payload, NULL))
        (void)snprintf(out, size, "%u %s", asked.request, quoted(asked.json));
    else if (type == MSG_ADMIN_REPLY && msg_ADMIN_REPLY_unpack(&told, payload, NULL))
        note_told(told.request, quoted(told.json), out, size);
}

void
world_note(const char *indent, enum prop_peer peer, struct bytes frame)
{
    struct bytes payload = bytes_from(frame.data + FRAME_HEADER_BYTES, frame.len - FRAME_HEADER_BYTES);
    char text[4 * QUOTED_MAX] = "";
    uint16_t type;

    memcpy(&type, frame.data + 4, sizeof type);
    if (is_unseen(type, payload))
        return;
    note_call(type == MSG_CALL ? payload : BYTES_NONE, text, sizeof text);
    note_answer(type, payload, text, sizeof text);
    note_other(type, payload, text, sizeof text);
    say("%s%s %s %08x %s", indent, peer_names[peer], message_name(type), has_checksum(type) ? crc32c(0, payload.data, payload.len) : 0, text);
}
