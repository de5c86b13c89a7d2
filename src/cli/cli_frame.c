/*
 * cli_frame — see cli_frame.h.
 */
#include "src/cli/cli_frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/cli/cli_limits.h"

enum { FRAME_LINES = 3, LINE_BYTES_SHOWN = 200 };

struct place {
    char     file[CLI_PATH_BYTES];
    unsigned line, column;
};

static bool
number_before(struct bytes text, size_t *end, unsigned *out)
{
    size_t start = *end;
    unsigned scale = 1;

    *out = 0;
    while (start > 0 && text.data[start - 1] >= '0' && text.data[start - 1] <= '9' && *end - start < 7) {
        *out += (unsigned)(text.data[--start] - '0') * scale;
        scale *= 10;
    }
    if (start == *end || start == 0 || text.data[start - 1] != ':')
        return false;
    *end = start - 1;
    return true;
}

/* "    at name (FILE:LINE:COLUMN)" or "    at FILE:LINE:COLUMN". */
static bool
place_parse(struct bytes line, struct place *out)
{
    size_t end = line.len, start;

    while (end > 0 && (line.data[end - 1] == ')' || line.data[end - 1] == ' ' || line.data[end - 1] == '\r'))
        end--;
    if (!number_before(line, &end, &out->column) || !number_before(line, &end, &out->line))
        return false;
    start = end;
    while (start > 0 && line.data[start - 1] != '(' && line.data[start - 1] != ' ')
        start--;
    if (end == start || end - start >= sizeof out->file || memchr(line.data + start, '\0', end - start) != NULL)
        return false;
    memcpy(out->file, line.data + start, end - start);
    out->file[end - start] = '\0';
    return out->line > 0 && out->column > 0 && strstr(out->file, "node_modules") == NULL;
}

static void
line_append(struct buf *out, unsigned number, struct bytes text)
{
    buf_printf(out, "%6u │ ", number);
    buf_append(out, text.data, text.len < LINE_BYTES_SHOWN ? text.len : LINE_BYTES_SHOWN);
    buf_append_byte(out, '\n');
}

static bool
frame_append(struct bytes source, const struct place *place, struct buf *out)
{
    const uint8_t *at = source.data, *end = source.data + source.len;

    for (unsigned number = 1; at < end && number <= place->line; number++) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop != NULL ? stop : end) - at);

        if (number + FRAME_LINES > place->line)
            line_append(out, number, bytes_from(at, len));
        if (number == place->line) {
            buf_append_str(out, "       ╵ ");
            for (size_t i = 0; i + 1 < place->column && i < len && i < LINE_BYTES_SHOWN; i++)
                if ((at[i] & 0xc0) != 0x80)
                    buf_append_byte(out, at[i] == '\t' ? '\t' : ' ');
            buf_append_str(out, "^\n");
            return true;
        }
        at += len + 1;
    }
    return false;
}

static bool
source_read(const char *folder, const char *file, struct buf *out)
{
    int dir = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    int fd = dir >= 0 ? sys_open_beneath(dir, file, O_RDONLY | O_CLOEXEC, 0) : -1;
    ssize_t got = 0;

    while (fd >= 0 && out->len < BUNDLER_LINE_MAX_BYTES) {
        buf_reserve(out, SEND_CHUNK_BYTES);
        got = sys_read(fd, out->data + out->len, SEND_CHUNK_BYTES);
        if (got <= 0)
            break;
        out->len += (size_t)got;
    }
    (void)sys_close(fd);
    (void)sys_close(dir);
    return fd >= 0 && got >= 0;
}

bool
frame_of_stack(const char *folder, struct bytes stack, struct buf *out)
{
    static struct place place;     /* large */
    size_t at = 0;

    while (at < stack.len) {
        const uint8_t *stop = memchr(stack.data + at, '\n', stack.len - at);
        size_t len = stop != NULL ? (size_t)(stop - (stack.data + at)) : stack.len - at;
        struct buf source = { 0 };
        bool found = place_parse(bytes_from(stack.data + at, len), &place) && source_read(folder, place.file, &source) &&
                     frame_append(buf_view(&source), &place, out);

        buf_fini(&source);
        if (found)
            return true;
        at += len + 1;
    }
    return false;
}
