/* utf8 — see the header. */
#include "lib/wire/utf8.h"

#include <string.h>

static bool
lead(struct utf8_check *u, uint8_t c)
{
    u->low = 0x80;
    u->high = 0xbf;
    if (c < 0xc2 || c > 0xf4)
        return false;
    if (c < 0xe0) {
        u->need = 1;
    } else if (c < 0xf0) {
        u->need = 2;
        u->low = c == 0xe0 ? 0xa0 : 0x80;
        u->high = c == 0xed ? 0x9f : 0xbf;
    } else {
        u->need = 3;
        u->low = c == 0xf0 ? 0x90 : 0x80;
        u->high = c == 0xf4 ? 0x8f : 0xbf;
    }
    return true;
}

static size_t
ascii_run(struct bytes b, size_t at)
{
    uint64_t word;

    while (b.len - at >= sizeof word) {
        memcpy(&word, b.data + at, sizeof word);
        if (word & 0x8080808080808080u)
            break;
        at += sizeof word;
    }
    return at;
}

bool
utf8_feed(struct utf8_check *u, struct bytes piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        uint8_t c = piece.data[i];
        if (u->need > 0) {
            if (c < u->low || c > u->high)
                return false;
            u->need--;
            u->low = 0x80;
            u->high = 0xbf;
        } else if (c < 0x80) {
            size_t next = ascii_run(piece, i);
            i = next > i ? next - 1 : i;
        } else if (!lead(u, c)) {
            return false;
        }
    }
    return true;
}

bool
utf8_is_valid(struct bytes text)
{
    struct utf8_check u = { 0 };

    return utf8_feed(&u, text) && utf8_is_complete(&u);
}
