/* stack_map — see stack_map.h. Decoded at the first error, since most deployments never need it. */
#include "src/worker/stack_map.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX (8u << 20)
#define BUNDLE_NAME "bundle.js:"

struct segment {
    uint32_t line, column;             /* in the bundle, from 0 */
    uint32_t source, source_line, source_column;
};

struct stack_map {
    json_t         *json;
    struct segment *segments;
    size_t          count, cap;
    bool            is_decoded;
};

struct stack_map *
stack_map_create(struct bytes text)
{
    struct stack_map *m;
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);

    if (!json_is_string(json_object_get(json, "mappings")) || !json_is_array(json_object_get(json, "sources"))) {
        json_decref(json);
        return NULL;
    }
    m = calloc(1, sizeof *m);
    assert(m != NULL);
    m->json = json;
    return m;
}

void
stack_map_destroy(struct stack_map **map)
{
    struct stack_map *m = STEAL(*map);

    if (m == NULL)
        return;
    json_decref(m->json);
    free(m->segments);
    free(m);
}

static int
digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One base64 VLQ number; false at anything else. */
static bool
vlq(const char **at, int64_t *out)
{
    int64_t value = 0;
    int shift = 0, d;

    do {
        d = digit(**at);
        if (d < 0 || shift > 40)
            return false;
        (*at)++;
        value |= (int64_t)(d & 31) << shift;
        shift += 5;
    } while (d & 32);
    *out = (value & 1) ? -(value >> 1) : value >> 1;
    return true;
}

static void
add(struct stack_map *m, struct segment s)
{
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 4096 : m->cap * 2;
        m->segments = realloc(m->segments, m->cap * sizeof *m->segments);
        assert(m->segments != NULL);
    }
    m->segments[m->count++] = s;
}

static void
decode(struct stack_map *m)
{
    const char *at = json_string_value(json_object_get(m->json, "mappings"));
    int64_t field[5] = { 0 };          /* column, source, source line, source column, name: each relative to the one before */
    uint32_t line = 0;

    m->is_decoded = true;
    while (*at != '\0' && m->count < SEGMENTS_MAX) {
        int n = 0;

        if (*at == ';' || *at == ',') {
            if (*at++ == ';') {
                line++;
                field[0] = 0;
            }
            continue;
        }
        for (int64_t delta; n < 5 && vlq(&at, &delta); n++)
            field[n] += delta;
        if (n == 0)
            return;                    /* not a digit: the rest is not a map */
        if (n >= 4 && field[0] >= 0 && field[1] >= 0 && field[2] >= 0 && field[3] >= 0)
            add(m, (struct segment){ line, (uint32_t)field[0], (uint32_t)field[1], (uint32_t)field[2], (uint32_t)field[3] });
    }
}

/* The last segment at or before the position, on its line. */
static const struct segment *
find(const struct stack_map *m, uint32_t line, uint32_t column)
{
    size_t lo = 0, hi = m->count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct segment *s = &m->segments[mid];

        if (s->line < line || (s->line == line && s->column <= column))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > 0 && m->segments[lo - 1].line == line ? &m->segments[lo - 1] : NULL;
}

static size_t
read_number(struct bytes text, size_t at, uint32_t *out)
{
    size_t n = 0;

    *out = 0;
    while (at + n < text.len && n < 9 && text.data[at + n] >= '0' && text.data[at + n] <= '9')
        *out = *out * 10 + (uint32_t)(text.data[at + n++] - '0');
    return n;
}

void
stack_map_text(const struct stack_map *map, struct bytes stack, struct buf *out)
{
    struct stack_map *m = (struct stack_map *)(uintptr_t)map;   /* decoding on demand does not change what it means */
    const size_t name_len = sizeof BUNDLE_NAME - 1;

    if (!m->is_decoded)
        decode(m);
    for (size_t at = 0; at < stack.len;) {
        uint32_t line, column;
        const struct segment *s;
        const char *source;
        size_t n, k;

        if (stack.len - at < name_len || memcmp(stack.data + at, BUNDLE_NAME, name_len) != 0 ||
            (n = read_number(stack, at + name_len, &line)) == 0 || line == 0) {
            buf_append_byte(out, stack.data[at++]);
            continue;
        }
        k = at + name_len + n;
        column = 1;
        if (k < stack.len && stack.data[k] == ':' && (n = read_number(stack, k + 1, &column)) > 0)
            k += 1 + n;
        s = find(m, line - 1, column > 0 ? column - 1 : 0);
        source = s != NULL ? json_string_value(json_array_get(json_object_get(m->json, "sources"), s->source)) : NULL;
        if (source != NULL)
            buf_printf(out, "%s:%u:%u", source, s->source_line + 1, s->source_column + 1);
        else
            buf_append(out, stack.data + at, k - at);
        at = k;
    }
}
