/* backup_sum — see backup_sum.h. */
#include "src/backup/backup_sum.h"

#include <assert.h>
#include <string.h>

#include <openssl/evp.h>

void
sum_of(struct bytes data, uint8_t out[SUM_BYTES])
{
    unsigned len = 0;
    const int ok = EVP_Digest(data.data, data.len, out, &len, EVP_sha256(), NULL);

    assert(ok == 1);                       /* it can only want memory */
    assert(len == SUM_BYTES);
}

void
hex_print(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

static int
digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
hex_parse(const char *text, uint8_t *out, size_t len)
{
    if (text == NULL || strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
