/*
 * message — messages.def as C: one struct per message, pack and unpack.
 *
 * Promise: unpack checks every length and leaves views into the given bytes (valid as long as those are); what it accepts,
 * pack reproduces byte for byte. A frame on the wire is u32 payload length, u16 type, u16 zero, then the payload.
 */
#ifndef DORMOUSE_IPC_MESSAGE_H
#define DORMOUSE_IPC_MESSAGE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/ipc/ipc_limits.h"

#define FRAME_HEADER_BYTES 8

struct agent_id {
    uint8_t bytes[32];             /* all zero: no agent */
};

enum message_type {
#define MESSAGE(name, code, fields) MSG_##name = code,
#include "lib/ipc/messages.def"
};

/* struct msg_CALL, struct msg_REPLY, … with the fields of the table in order. */
#define U8(x)          uint8_t x;
#define U16(x)         uint16_t x;
#define U32(x)         uint32_t x;
#define U64(x)         uint64_t x;
#define I64(x)         int64_t x;
#define ID(x)          struct agent_id x;
#define BYTES(x, max)  struct bytes x;
#define MESSAGE(name, code, fields) struct msg_##name { fields };
#include "lib/ipc/messages.def"

/* Appends the whole frame (header and payload) to OUT. Asserts the table's maxima: exceeding one is our bug. */
#define MESSAGE(name, code, fields)                                                                                    \
    void msg_##name##_pack(struct buf *out, const struct msg_##name *msg);                                             \
    MUST_USE bool msg_##name##_unpack(struct msg_##name *out_msg, struct bytes payload, struct err *err);
#include "lib/ipc/messages.def"

/* One more member of COUNTED.json, which begins with its brace. NAME is our own text: nothing in it is escaped. */
void count_put(struct buf *json, const char *name, uint64_t value);

const char *message_name(uint16_t type);          /* "CALL", or NULL when the table has no such type */

enum role {                        /* HELLO.role, LINK.role */
    ROLE_SUPERVISOR = 1, ROLE_GATEWAY, ROLE_WORKER, ROLE_EGRESS, ROLE_SCHEDULER, ROLE_CONTROL, ROLE_JOURNAL,
    ROLE_WORKSPACE, ROLE_TELEMETRY, ROLE_CLUSTER, ROLES
};
const char *role_name(enum role role);            /* "gateway" */

enum pressure { PRESSURE_EASE, PRESSURE_TIGHT, PRESSURE_STARVING, PRESSURES };

enum call_kind {
    CALL_ENTRY = 1, CALL_FETCH, CALL_RPC, CALL_ALARM, CALL_OUT, CALL_ASSETS, CALL_SCHEDULED, CALL_EMAIL, CALL_KINDS
};
enum call_flag { CALL_BODY_MORE = 1, CALL_HAS_BODY = 2, CALL_UPGRADE = 4 };   /* UPGRADE: the caller asked for a WebSocket */
enum fail_flag { FAIL_RETRYABLE = 1, FAIL_OVERLOADED = 2, FAIL_RESET = 4, FAIL_REMOTE = 8 };
enum commit_flag { COMMIT_MORE = 1, COMMIT_ALARM = 2, COMMIT_GONE = 4, COMMIT_AGAIN = 8, COMMIT_BASE = 16, COMMIT_RESTORED = 32 };
enum recall_at_mode { RECALL_AT_TIME, RECALL_AT_COMMIT, RECALL_AT_UNDO, RECALL_AT_LIST, RECALL_AT_MODES };
enum suspects_flag { SUSPECTS_MORE = 1 };
enum recalled { RECALLED_DAMAGED, RECALLED_OK, RECALLED_NOT_NOW };
enum ws_mode { WS_HIBERNATABLE = 1, WS_LIVE = 2 };
enum ws_flag { WS_TEXT = 1, WS_FIN = 2 };

static inline bool agent_id_is_none(const struct agent_id *id)
{
    for (size_t i = 0; i < sizeof id->bytes; i++)
        if (id->bytes[i] != 0)
            return false;
    return true;
}
bool agent_id_equal(const struct agent_id *a, const struct agent_id *b);
void agent_id_to_hex(const struct agent_id *id, char out_hex[65]);              /* lower case, NUL-terminated */
MUST_USE bool agent_id_from_hex(struct agent_id *out_id, struct bytes hex);     /* exactly 64 hex digits */
/* Which of SLOTS workers runs this agent: the first 8 bytes, big-endian, modulo SLOTS. */
uint16_t agent_id_slot(const struct agent_id *id, uint16_t slots);

#endif
