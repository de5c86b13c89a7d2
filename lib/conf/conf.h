/*
 * conf — a configuration file in JSON, read with errors that name the file and the field.
 *
 * Promise: a getter leaves its output alone (the caller's default) when the field is absent, and fails with ERR_CONFIG when it has
 * another type or is out of bounds. Unknown fields are errors too (conf_check): a misspelt limit must not pass for none.
 * Strings stay the configuration's.
 */
#ifndef DORMOUSE_CONF_H
#define DORMOUSE_CONF_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

#define CONF_FILE_BYTES_MAX (1024 * 1024)   /* written by our command line; a megabyte is a mistake */

struct conf;

MUST_USE bool conf_load(struct conf **out_conf, const char *path, struct err *err);
/* TEXT instead of a file; NAME stands for the path in messages. */
MUST_USE bool conf_parse(struct conf **out_conf, struct bytes text, const char *name, struct err *err);
void conf_destroy(struct conf **conf);

/* Every member must be one of KNOWN (NULL-terminated). */
MUST_USE bool conf_check(const struct conf *conf, const char *const *known, struct err *err);
MUST_USE bool conf_get_text(const struct conf *conf, const char *field, const char **inout_text, struct err *err);
MUST_USE bool conf_get_flag(const struct conf *conf, const char *field, bool *inout_flag, struct err *err);
MUST_USE bool conf_get_number(const struct conf *conf, const char *field, int64_t least, int64_t most, int64_t *inout_number,
                              struct err *err);
/* An array of strings: how many (0 when absent), then one by one. */
MUST_USE bool conf_count(const struct conf *conf, const char *field, size_t most, size_t *out_count, struct err *err);
const char *conf_text_at(const struct conf *conf, const char *field, size_t index);
/* Appends the field's value as JSON text; false when it is absent. */
bool conf_copy_json(const struct conf *conf, const char *field, struct buf *out);

/* Appends TEXT as a JSON string, quotes included; bytes that are not UTF-8 become '?'. */
void conf_put_text(struct buf *out, const char *text);

#endif
