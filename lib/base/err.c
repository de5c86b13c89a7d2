/*
 * err — see err.h.
 *
 * Threads: none; a struct err belongs to its caller.
 */
#include "lib/base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char cut_mark[] = "…";

static const struct err_info infos[ERR_CODES] = {
#define ERROR(code, http, close, retry, text) [code] = { #code, http, close, retry, text },
#include "lib/base/errors.def"
#undef ERROR
};

/* Ends a text that did not fit with a mark, without splitting a UTF-8 character. */
static void
cut(char *text, size_t cap)
{
    size_t at = cap - sizeof cut_mark;

    while (at > 0 && ((uint8_t)text[at] & 0xC0) == 0x80)
        at--;
    memcpy(text + at, cut_mark, sizeof cut_mark);
}

bool
err_set(struct err *err, enum err_code code, int sys_errno, const char *fmt, ...)
{
    va_list args;
    size_t used;
    int need;

    assert(code > ERR_NONE);
    assert(code < ERR_CODES);
    if (err == NULL)
        return false;
    err->code = code;
    err->sys_errno = sys_errno;
    va_start(args, fmt);
    need = vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    assert(need >= 0);
    if ((size_t)need >= sizeof err->message) {
        cut(err->message, sizeof err->message);
        return false;
    }
    if (sys_errno == 0)
        return false;
    used = (size_t)need;
    need = snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(sys_errno));
    if ((size_t)need >= sizeof err->message - used)
        cut(err->message, sizeof err->message);
    return false;
}

bool
err_add(struct err *err, const char *fmt, ...)
{
    char before[ERR_MESSAGE_MAX];
    char whole[ERR_MESSAGE_MAX];
    va_list args;
    int need;

    if (err == NULL)
        return false;
    va_start(args, fmt);
    need = vsnprintf(before, sizeof before, fmt, args);
    va_end(args);
    assert(need >= 0);
    if ((size_t)need >= sizeof before)
        cut(before, sizeof before);
    need = snprintf(whole, sizeof whole, "%s: %s", before, err->message);
    if ((size_t)need >= sizeof whole)
        cut(whole, sizeof whole);
    memcpy(err->message, whole, sizeof whole);
    return false;
}

void
err_clear(struct err *err)
{
    err->code = ERR_NONE;
    err->sys_errno = 0;
    err->message[0] = '\0';
}

const struct err_info *
err_info(enum err_code code)
{
    assert(code >= ERR_NONE);
    assert(code < ERR_CODES);
    return &infos[code];
}
