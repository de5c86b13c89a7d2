/*
 * wire_ws_fuzz — hostile frames: the outcome does not depend on how the bytes are cut; text is UTF-8; no message
 * exceeds its limit.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/ws_frame.h"
#include "lib/wire/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MESSAGE_MAX 300

static void
run(struct buf *log, struct bytes in, size_t piece)
{
    struct ws_decoder d = { .message_bytes_max = MESSAGE_MAX };
    struct ws_piece p = { 0 };
    struct buf message = { 0 };
    uint8_t *copy = malloc(in.len + 1);

    assert(copy != NULL);
    memcpy(copy, in.data, in.len);
    for (size_t at = 0; at < in.len; at += piece) {
        uint8_t *data = copy + at;
        size_t len = in.len - at < piece ? in.len - at : piece;
        enum ws_step step;
        while ((step = ws_decode(&d, &data, &len, &p)) != WS_STEP_MORE && step != WS_STEP_BAD) {
            uint16_t code;
            struct bytes reason;
            if (step == WS_STEP_CONTROL) {
                assert(p.data.len <= WS_CONTROL_MAX_BYTES);
                (void)ws_close_parse(p.data, &code, &reason); /* must only not crash */
                buf_printf(log, "c%u:%zu;", p.opcode, p.data.len);
                continue;
            }
            buf_append_bytes(&message, p.data);
            assert(message.len <= MESSAGE_MAX);
            if (!p.is_last)
                continue;
            assert(p.opcode != WS_OP_TEXT || utf8_is_valid(buf_view(&message)));
            buf_printf(log, "m%u:", p.opcode);
            buf_append_bytes(log, buf_view(&message));
            buf_clear(&message);
        }
        if (step == WS_STEP_BAD) {
            assert(p.close_code == 1002 || p.close_code == 1007 || p.close_code == 1009);
            buf_printf(log, "bad%u", p.close_code);
            break;
        }
        assert(len == 0);
    }
    buf_fini(&message);
    free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf whole = { 0 }, pieces = { 0 };
    char accept[WS_ACCEPT_BYTES + 1];

    if (len < 1)
        return 0;
    run(&whole, bytes_from(data + 1, len - 1), len);
    run(&pieces, bytes_from(data + 1, len - 1), (size_t)(data[0] % 16) + 1);
    assert(bytes_equal(buf_view(&whole), buf_view(&pieces)));
    (void)ws_handshake_check(bytes_from(data + 1, len - 1), accept); /* must only not crash */
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
