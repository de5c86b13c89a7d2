/* store_be — big-endian words, as SQLite's files have them (https://www.sqlite.org/fileformat2.html). */
#ifndef DORMOUSE_STORE_BE_H
#define DORMOUSE_STORE_BE_H

#include <stdint.h>

static inline uint32_t
be_get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void
be_put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void
be_put32(uint8_t *at, uint32_t value)
{
    be_put16(at, value >> 16);
    be_put16(at + 2, value & 0xffff);
}

#endif
