/* ws_handshake — see the header. */
#include "lib/wire/ws_handshake.h"

#include <assert.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/wire/http_reader.h"

static bool
key_is_valid(struct bytes key)
{
    if (key.len != 24 || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        uint8_t c = key.data[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!ok)
            return false;
    }
    return true;
}

bool
ws_accept(struct bytes key, char out_accept[WS_ACCEPT_BYTES + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[24 + sizeof guid - 1], digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    int ok;

    if (!key_is_valid(key))
        return false;
    memcpy(text, key.data, 24);
    memcpy(text + 24, guid, sizeof guid - 1);
    ok = EVP_Digest(text, sizeof text, digest, &digest_len, EVP_sha1(), NULL);
    assert(ok == 1);
    assert(digest_len == 20);
    EVP_EncodeBlock((unsigned char *)out_accept, digest, (int)digest_len);
    return true;
}

enum ws_handshake
ws_handshake_check(struct bytes headers, char out_accept[WS_ACCEPT_BYTES + 1])
{
    struct bytes key, version;

    if (!http_header_find(headers, "sec-websocket-version", &version) || !bytes_equal_str(version, "13"))
        return WS_HANDSHAKE_VERSION;
    if (!http_header_find(headers, "sec-websocket-key", &key) || !ws_accept(key, out_accept))
        return WS_HANDSHAKE_BAD;
    return WS_HANDSHAKE_OK;
}
