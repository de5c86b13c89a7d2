/*
 * ident — see ident.h. libcrypto's one-shot EVP functions; they fail only without memory, which is fatal here.
 */
#include "lib/ident/ident.h"

#include <assert.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/sys/sys.h"

enum { BASE_BYTES = 16, MAC_BYTES = 16 };

static_assert(BASE_BYTES + MAC_BYTES == sizeof(struct agent_id), "an id is its base and the MAC of its base");

static void
hmac_sha256(const struct ident_key *key, const void *data, size_t len, uint8_t out_mac[32])
{
    unsigned int mac_len = 0;
    const unsigned char *mac =
        HMAC(EVP_sha256(), key->bytes, (int)sizeof key->bytes, data, len, out_mac, &mac_len);

    assert(mac != NULL);
    assert(mac_len == 32);
}

static void
id_sign(const struct ident_key *key, struct agent_id *id)
{
    uint8_t mac[32];

    hmac_sha256(key, id->bytes, BASE_BYTES, mac);
    memcpy(id->bytes + BASE_BYTES, mac, MAC_BYTES);
}

void
ident_key_init(struct ident_key *out_key, struct bytes app, struct bytes class_name)
{
    struct buf text = { 0 };
    unsigned int len = 0;
    int ok;

    buf_append_bytes(&text, app);
    buf_append_byte(&text, '-');
    buf_append_bytes(&text, class_name);
    ok = EVP_Digest(text.data, text.len, out_key->bytes, &len, EVP_sha256(), NULL);
    buf_fini(&text);
    assert(ok == 1);
    assert(len == sizeof out_key->bytes);
}

void
ident_from_name(const struct ident_key *key, struct bytes name, struct agent_id *out_id)
{
    static const uint8_t empty;
    uint8_t mac[32];

    /* HMAC() takes a NULL pointer for "no data given", so an empty name needs an address. */
    hmac_sha256(key, name.len > 0 ? name.data : &empty, name.len, mac);
    memcpy(out_id->bytes, mac, BASE_BYTES);
    id_sign(key, out_id);
}

void
ident_new(const struct ident_key *key, struct agent_id *out_id)
{
    rng_bytes(out_id->bytes, BASE_BYTES);
    id_sign(key, out_id);
}

bool
ident_is_of(const struct ident_key *key, const struct agent_id *id)
{
    struct agent_id expected = *id;

    id_sign(key, &expected);
    return CRYPTO_memcmp(expected.bytes, id->bytes, sizeof id->bytes) == 0;
}
