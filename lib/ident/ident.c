/*
 * ident — see ident.h. libcrypto's EVP functions; they fail only without memory, which is fatal here. Threads: none.
 */
#include "lib/ident/ident.h"

#include <assert.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "lib/sys/sys.h"

enum { BASE_BYTES = 16, MAC_BYTES = 16 };

static_assert(BASE_BYTES + MAC_BYTES == sizeof(struct agent_id), "an id is its base and the MAC of its base");

/* Ready for a message under KEY. Kept for the key that was used last: to set one up takes five times as long as to use it, and a process
 * that makes ids from names (a worker) has few keys. */
static EVP_MAC_CTX *
mac_begin(const struct ident_key *key)
{
    static EVP_MAC_CTX *kept;
    static struct ident_key kept_key;
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
    bool is_same = kept != NULL && memcmp(&kept_key, key, sizeof kept_key) == 0;
    int ok;

    if (kept == NULL) {
        EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

        kept = EVP_MAC_CTX_new(hmac);
        EVP_MAC_free(hmac);                /* the context has a reference */
        assert(kept != NULL);
    }
    ok = is_same ? EVP_MAC_init(kept, NULL, 0, NULL) : EVP_MAC_init(kept, key->bytes, sizeof key->bytes, params);
    assert(ok == 1);
    kept_key = *key;
    return kept;
}

static void
hmac_sha256(const struct ident_key *key, const void *data, size_t len, uint8_t out_mac[32])
{
    EVP_MAC_CTX *mac = mac_begin(key);
    size_t mac_len = 0;
    int ok = EVP_MAC_update(mac, data, len) == 1 && EVP_MAC_final(mac, out_mac, &mac_len, 32) == 1;

    assert(ok);
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
    uint8_t mac[32];

    hmac_sha256(key, name.data, name.len, mac);
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
