/*
 * message — see message.h. Every function here is made from the table by the preprocessor.
 *
 * Threads: none; pure.
 */
#include "lib/ipc/message.h"

#include <assert.h>
#include <string.h>

/* ---- numbers on the wire ------------------------------------------------------------------------------------ */

static inline uint8_t *
put_le(uint8_t *at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + len;
}

static inline uint64_t
get_le(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static inline uint8_t *
put_bytes(uint8_t *at, struct bytes b)
{
    at = put_le(at, b.len, 4);
    if (b.len > 0)
        memcpy(at, b.data, b.len);
    return at + b.len;
}

/* What is left of a payload while it is read. */
struct reader {
    const uint8_t *at;
    size_t left;
    const char *message; /* for errors */
};

static bool
read_short(const struct reader *r, const char *field, struct err *err)
{
    return err_set(err, ERR_MALFORMED, 0, "message %s ends within field '%s'", r->message, field);
}

static inline bool
read_number(struct reader *r, uint64_t *out, size_t len, const char *field, struct err *err)
{
    if (r->left < len)
        return read_short(r, field, err);
    *out = get_le(r->at, len);
    r->at += len;
    r->left -= len;
    return true;
}

static inline bool
read_id(struct reader *r, struct agent_id *out, const char *field, struct err *err)
{
    if (r->left < sizeof out->bytes)
        return read_short(r, field, err);
    memcpy(out->bytes, r->at, sizeof out->bytes);
    r->at += sizeof out->bytes;
    r->left -= sizeof out->bytes;
    return true;
}

static inline bool
read_bytes(struct reader *r, struct bytes *out, size_t max, const char *field, struct err *err)
{
    uint64_t len = 0;

    if (!read_number(r, &len, 4, field, err))
        return false;
    if (len > max)
        return err_set(err, ERR_MALFORMED, 0, "message %s: field '%s' has %llu bytes, at most %zu are allowed",
                       r->message, field, (unsigned long long)len, max);
    if (len > r->left)
        return read_short(r, field, err);
    *out = bytes_from(len == 0 ? NULL : r->at, (size_t)len);
    r->at += len;
    r->left -= len;
    return true;
}

/* ---- pack --------------------------------------------------------------------------------------------------- */

/* Three passes over the same fields: check the maxima, add up the size, write. */
#define MESSAGE(name, code, fields)                                                                                    \
    static inline size_t msg_##name##_size(const struct msg_##name *msg)                                               \
    {                                                                                                                  \
        size_t size = 0;                                                                                               \
        fields;                                                                                                        \
        return size;                                                                                                   \
    }
#define U8(x)         size += 1;
#define U16(x)        size += 2;
#define U32(x)        size += 4;
#define U64(x)        size += 8;
#define I64(x)        size += 8;
#define ID(x)         size += sizeof msg->x.bytes;
#define BYTES(x, max) assert(msg->x.len <= (max)); size += 4 + msg->x.len;
#include "lib/ipc/messages.def"

#define MESSAGE(name, code, fields)                                                                                    \
    void msg_##name##_pack(struct buf *out, const struct msg_##name *msg)                                              \
    {                                                                                                                  \
        size_t payload_len = msg_##name##_size(msg);                                                                   \
        uint8_t *at;                                                                                                   \
                                                                                                                       \
        assert(payload_len <= FRAME_MAX_BYTES);                                                                        \
        buf_reserve(out, FRAME_HEADER_BYTES + payload_len);                                                            \
        at = out->data + out->len;                                                                                     \
        at = put_le(at, payload_len, 4);                                                                               \
        at = put_le(at, (code), 2);                                                                                    \
        at = put_le(at, 0, 2);                                                                                         \
        fields;                                                                                                        \
        out->len += FRAME_HEADER_BYTES + payload_len;                                                                  \
        assert(at == out->data + out->len);                                                                            \
    }
#define U8(x)         at = put_le(at, msg->x, 1);
#define U16(x)        at = put_le(at, msg->x, 2);
#define U32(x)        at = put_le(at, msg->x, 4);
#define U64(x)        at = put_le(at, msg->x, 8);
#define I64(x)        at = put_le(at, (uint64_t)msg->x, 8);
#define ID(x)         memcpy(at, msg->x.bytes, sizeof msg->x.bytes); at += sizeof msg->x.bytes;
#define BYTES(x, max) at = put_bytes(at, msg->x);
#include "lib/ipc/messages.def"

/* ---- unpack ------------------------------------------------------------------------------------------------- */

#define READ_NUMBER(x, type, len)                                                                                      \
    if (!read_number(&r, &number, (len), #x, err))                                                                     \
        return false;                                                                                                  \
    out_msg->x = (type)number;

#define MESSAGE(name, code, fields)                                                                                    \
    bool msg_##name##_unpack(struct msg_##name *out_msg, struct bytes payload, struct err *err)                        \
    {                                                                                                                  \
        struct reader r = { payload.data, payload.len, #name };                                                        \
        UNUSED uint64_t number = 0;                                                                                    \
                                                                                                                       \
        fields;                                                                                                        \
        if (r.left > 0)                                                                                                \
            return err_set(err, ERR_MALFORMED, 0, "message " #name " has %zu bytes too many", r.left);                 \
        return true;                                                                                                   \
    }
#define U8(x)         READ_NUMBER(x, uint8_t, 1)
#define U16(x)        READ_NUMBER(x, uint16_t, 2)
#define U32(x)        READ_NUMBER(x, uint32_t, 4)
#define U64(x)        READ_NUMBER(x, uint64_t, 8)
#define I64(x)        READ_NUMBER(x, int64_t, 8)
#define ID(x)         if (!read_id(&r, &out_msg->x, #x, err)) return false;
#define BYTES(x, max) if (!read_bytes(&r, &out_msg->x, (max), #x, err)) return false;
#include "lib/ipc/messages.def"

/* No message may be able to exceed a frame: the sum of its maxima is known when this is compiled. */
#define MESSAGE(name, code, fields) static_assert(0 fields <= FRAME_MAX_BYTES, #name " can exceed a frame");
#define U8(x)         + 1
#define U16(x)        + 2
#define U32(x)        + 4
#define U64(x)        + 8
#define I64(x)        + 8
#define ID(x)         + 32
#define BYTES(x, max) + 4 + (max)
#include "lib/ipc/messages.def"

/* ---- names and ids ------------------------------------------------------------------------------------------ */

const char *
message_name(uint16_t type)
{
    switch (type) {
#define MESSAGE(name, code, fields)                                                                                    \
    case code:                                                                                                         \
        return #name;
#include "lib/ipc/messages.def"
    default:
        return NULL;
    }
}

void
count_put(struct buf *json, const char *name, uint64_t value)
{
    buf_printf(json, "%s\"%s\":%llu", json->len > 1 ? "," : "", name, (unsigned long long)value);
}

const char *
role_name(enum role role)
{
    static const char *const names[ROLES] = {
        [ROLE_SUPERVISOR] = "supervisor", [ROLE_GATEWAY] = "gateway",     [ROLE_WORKER] = "worker",
        [ROLE_EGRESS] = "egress",         [ROLE_SCHEDULER] = "scheduler", [ROLE_CONTROL] = "control",
        [ROLE_JOURNAL] = "journal",       [ROLE_WORKSPACE] = "workspace", [ROLE_TELEMETRY] = "telemetry",
        [ROLE_CLUSTER] = "cluster",
    };

    if ((unsigned)role >= ROLES || names[role] == NULL)
        return "unknown";
    return names[role];
}

bool
agent_id_equal(const struct agent_id *a, const struct agent_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void
agent_id_to_hex(const struct agent_id *id, char out_hex[65])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof id->bytes; i++) {
        out_hex[2 * i] = digits[id->bytes[i] >> 4];
        out_hex[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    out_hex[64] = '\0';
}

static int
hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool
agent_id_from_hex(struct agent_id *out_id, struct bytes hex)
{
    struct agent_id id;

    if (hex.len != 2 * sizeof id.bytes)
        return false;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        int high = hex_value(hex.data[2 * i]);
        int low = hex_value(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out_id = id;
    return true;
}

uint16_t
agent_id_slot(const struct agent_id *id, uint16_t slots)
{
    uint64_t first = 0;

    assert(slots > 0);
    for (int i = 0; i < 8; i++)
        first = first << 8 | id->bytes[i];
    return (uint16_t)(first % slots);
}
