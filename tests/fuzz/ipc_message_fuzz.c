/*
 * ipc_message_fuzz — the bytes choose a message type and are its payload: unpack accepts or refuses without a fault, and
 * what it accepts pack reproduces byte for byte.
 */
#include <assert.h>
#include <string.h>

#include "lib/ipc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MESSAGE(name, number, fields)                                                                                  \
    static void try_##name(struct bytes payload)                                                                       \
    {                                                                                                                  \
        struct msg_##name msg;                                                                                         \
        struct err err = { 0 };                                                                                        \
        struct buf out = { 0 };                                                                                        \
                                                                                                                       \
        if (!msg_##name##_unpack(&msg, payload, &err)) {                                                               \
            assert(err.code == ERR_MALFORMED);                                                                         \
            return;                                                                                                    \
        }                                                                                                              \
        msg_##name##_pack(&out, &msg);                                                                                 \
        assert(bytes_equal(bytes_from(out.data + FRAME_HEADER_BYTES, out.len - FRAME_HEADER_BYTES), payload));         \
        buf_fini(&out);                                                                                                \
    }
#include "lib/ipc/messages.def"

static void (*const tries[])(struct bytes payload) = {
#define MESSAGE(name, number, fields) try_##name,
#include "lib/ipc/messages.def"
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    tries[data[0] % ARRAY_LEN(tries)](bytes_from(data + 1, len - 1));
    return 0;
}
