/* crc32c — see crc32c.h. */
#include "lib/base/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u         /* reflected */

static uint32_t
table_entry(uint32_t byte)
{
    for (int bit = 0; bit < 8; bit++)
        byte = (byte >> 1) ^ ((byte & 1) != 0 ? POLYNOMIAL : 0);
    return byte;
}

uint32_t
crc32c_portable(uint32_t seed, const void *data, size_t len)
{
    static uint32_t table[256];
    const uint8_t *p = data;
    uint32_t crc = ~seed;

    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++)
            table[i] = table_entry(i);
    for (size_t i = 0; i < len; i++)
        crc = (crc >> 8) ^ table[(crc ^ p[i]) & 0xff];
    return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
crc32c_by_instruction(uint32_t seed, const uint8_t *p, size_t len)
{
    uint64_t crc = ~seed & 0xffffffffu, word;

    for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
        memcpy(&word, p, sizeof word);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; len > 0; p++, len--)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *p);
    return ~(uint32_t)crc;
}
#endif

uint32_t
crc32c(uint32_t seed, const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_by_instruction(seed, data, len);
#endif
    return crc32c_portable(seed, data, len);
}
