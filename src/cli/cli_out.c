/*
 * cli_out — see cli_out.h.
 */
#include "src/cli/cli_out.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/cli/cli_frame.h"

enum { CELL_BYTES_MAX = 80 };      /* of a table; longer ones are cut, --json has them whole */

static const char *const escapes[COLOURS] = {
    [COLOUR_NONE] = "",
    [COLOUR_BOLD] = "\033[1m",
    [COLOUR_DIM] = "\033[2m",
    [COLOUR_RED] = "\033[31m",
    [COLOUR_GREEN] = "\033[32m",
    [COLOUR_YELLOW] = "\033[33m",
    [COLOUR_BLUE] = "\033[34m",
    [COLOUR_CYAN] = "\033[36m",
};

static bool json_mode, colours_out, colours_err;

void
out_init(bool is_json)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    bool wanted = (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;

    json_mode = is_json;
    colours_out = wanted && !is_json && isatty(STDOUT_FILENO);
    colours_err = wanted && isatty(STDERR_FILENO);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);   /* readers of a pipe wait for our lines */
}

bool
out_is_json(void)
{
    return json_mode;
}

const char *
out_colour(enum colour colour)
{
    return colours_out ? escapes[colour] : "";
}

const char *
out_off(void)
{
    return colours_out ? "\033[0m" : "";
}

const char *
err_colour(enum colour colour)
{
    return colours_err ? escapes[colour] : "";
}

const char *
err_off(void)
{
    return colours_err ? "\033[0m" : "";
}

void
out_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    if (text == NULL)
        return;                    /* cannot happen for what jansson parsed */
    printf("%s\n", text);
    free(text);
}

int
out_fail(const struct err *err)
{
    assert(err->code != ERR_NONE);
    if (json_mode) {
        json_t *line = json_pack("{s:{s:s, s:s}}", "error", "code", err_info(err->code)->name, "message", err->message);

        out_json(line);
        json_decref(line);
    } else {
        fprintf(stderr, "%serror:%s %s\n", err_colour(COLOUR_RED), err_off(), err->message);
    }
    return err->code == ERR_USAGE ? 2 : 1;
}

void
out_say(const char *fmt, ...)
{
    va_list args;

    if (json_mode)
        return;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

void
out_warn(const char *fmt, ...)
{
    va_list args;

    if (json_mode)
        return;
    (void)fflush(stdout);
    fprintf(stderr, "%swarning:%s ", err_colour(COLOUR_YELLOW), err_off());
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

void
out_event(const char *name, json_t *fields)
{
    json_t *line = json_pack("{s:s}", "event", name);

    if (fields != NULL)
        (void)json_object_update_missing(line, fields);
    json_decref(fields);
    if (json_mode)
        out_json(line);
    json_decref(line);
}

static void
put_untrusted(FILE *to, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        /* C1 controls are two bytes in UTF-8: C2 80 … C2 9F. */
        if (c == 0xc2 && i + 1 < text.len && text.data[i + 1] < 0xa0)
            fprintf(to, "\\x%02x", text.data[++i]);
        else if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
            putc(c, to);
        else if (c != '\r')
            fprintf(to, "\\x%02x", c);
    }
}

void
out_untrusted(struct bytes text)
{
    put_untrusted(stdout, text);
}

static const char *
colour_on(FILE *to, enum colour colour)
{
    return to == stderr ? err_colour(colour) : out_colour(colour);
}

static const char *
off_on(FILE *to)
{
    return to == stderr ? err_off() : out_off();
}

static void
untrusted_field(FILE *to, const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    put_untrusted(to, bytes_from(json_string_value(value), json_string_length(value)));
}

void
out_build_errors(FILE *to, const json_t *errors)
{
    json_t *error;
    size_t i;

    (void)fflush(stdout);
    json_array_foreach ((json_t *)errors, i, error) {
        const char *file = json_string_value(json_object_get(error, "file"));
        json_int_t line = json_integer_value(json_object_get(error, "line"));
        const char *frame = json_string_value(json_object_get(error, "frame"));

        fprintf(to, "\n%serror:%s ", colour_on(to, COLOUR_RED), off_on(to));
        untrusted_field(to, error, "text");
        fputc('\n', to);
        if (file != NULL && file[0] != '\0') {
            fprintf(to, "  %s", colour_on(to, COLOUR_CYAN));
            untrusted_field(to, error, "file");
            if (line > 0)
                fprintf(to, ":%lld:%lld", (long long)line, (long long)json_integer_value(json_object_get(error, "column")));
            fprintf(to, "%s\n", off_on(to));
        }
        if (frame != NULL && frame[0] != '\0') {
            untrusted_field(to, error, "frame");
            fputc('\n', to);
        }
    }
    (void)fflush(to);
}

int
out_deploy_failed(FILE *to, const json_t *answer, const char *project)
{
    const json_t *error = json_object_get(answer, "error"), *stack = json_object_get(error, "stack");
    struct bytes text = bytes_from(json_string_value(stack), json_string_length(stack));
    struct buf frame = { 0 };

    if (json_mode) {
        out_event("failed", json_pack("{s:O?}", "error", error));
        return 1;
    }
    (void)fflush(stdout);
    fprintf(to, "\n%serror:%s ", colour_on(to, COLOUR_RED), off_on(to));
    untrusted_field(to, error, "message");
    fputc('\n', to);
    if (text.len > 0 && frame_of_stack(project, text, &frame))
        put_untrusted(to, buf_view(&frame));
    if (text.len > 0) {
        fprintf(to, "%s", colour_on(to, COLOUR_DIM));
        put_untrusted(to, text);
        fprintf(to, "%s\n", off_on(to));
    }
    buf_fini(&frame);
    (void)fflush(to);
    return 1;
}

void
out_log_line(const json_t *line, bool with_app)
{
    static const enum colour colours[] = { COLOUR_DIM, COLOUR_NONE, COLOUR_YELLOW, COLOUR_RED };
    json_int_t level = json_integer_value(json_object_get(line, "level"));
    time_t seconds = (time_t)(json_integer_value(json_object_get(line, "time_ms")) / 1000);
    struct tm local;
    char when[16];

    if (json_mode) {
        out_json(line);
        return;
    }
    (void)localtime_r(&seconds, &local);
    (void)strftime(when, sizeof when, "%H:%M:%S", &local);
    printf("%s%s ", out_colour(COLOUR_DIM), when);
    if (with_app)
        untrusted_field(stdout, line, "app");
    if (json_object_get(line, "class") != NULL) {
        putchar('[');
        untrusted_field(stdout, line, "class");
        putchar('/');
        untrusted_field(stdout, line, json_object_get(line, "name") != NULL ? "name" : "agent");
        putchar(']');
    } else if (strcmp(json_string_value(json_object_get(line, "room")) != NULL ? json_string_value(json_object_get(line, "room")) : "", "worker") != 0) {
        putchar('(');
        untrusted_field(stdout, line, "room");
        putchar(')');
    } else {
        printf("[entry]");
    }
    printf("%s %s", out_off(), out_colour(colours[level & 3]));
    untrusted_field(stdout, line, "text");
    printf("%s\n", out_off());
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static struct bytes
cell_text(const json_t *rows, size_t row, size_t column)
{
    const json_t *cell = json_array_get(json_array_get(rows, row), column);
    size_t len = json_string_length(cell);

    return bytes_from(json_string_value(cell), len > CELL_BYTES_MAX ? CELL_BYTES_MAX : len);
}

/* Columns that the text takes on a terminal, near enough: code points. */
static size_t
text_width(struct bytes text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += (text.data[i] & 0xc0) != 0x80;
    return width;
}

void
out_table(const char *const *header, size_t columns, const json_t *rows)
{
    enum { COLUMNS_MAX = 16 };
    size_t width[COLUMNS_MAX] = { 0 };

    columns = columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
    for (size_t c = 0; c < columns; c++) {
        width[c] = text_width(bytes_of(header[c]));
        for (size_t r = 0; r < json_array_size(rows); r++) {
            size_t w = text_width(cell_text(rows, r, c));

            width[c] = w > width[c] ? w : width[c];
        }
    }
    for (size_t c = 0; c < columns; c++)
        printf("%s%s%s%*s", out_colour(COLOUR_DIM), header[c], out_off(),
               c + 1 < columns ? (int)(width[c] - text_width(bytes_of(header[c])) + 2) : 0, "");
    putchar('\n');
    for (size_t r = 0; r < json_array_size(rows); r++) {
        for (size_t c = 0; c < columns; c++) {
            struct bytes cell = cell_text(rows, r, c);

            out_untrusted(cell);
            printf("%*s", c + 1 < columns ? (int)(width[c] - text_width(cell) + 2) : 0, "");
        }
        putchar('\n');
    }
}
