/*
 * cli_out — what people and programs read.
 *
 * Promise: colours and boxes only on a terminal (and never with NO_COLOR); with --json every line of stdout is one JSON object
 * and nothing else. Errors go to stderr in sentences.
 */
#ifndef DORMOUSE_CLI_OUT_H
#define DORMOUSE_CLI_OUT_H

#include <stdio.h>

#include <jansson.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BLUE, COLOUR_CYAN, COLOURS };

void out_init(bool is_json);
bool out_is_json(void);
/* The escape that begins the colour on stdout, "" when there are none; out_off() ends it. */
const char *out_colour(enum colour colour);
const char *out_off(void);
/* The same for stderr. */
const char *err_colour(enum colour colour);
const char *err_off(void);

/* "error: sentence" on stderr, or {"error":{…}} on stdout with --json. Returns the exit status: 2 for usage, else 1. */
int out_fail(const struct err *err);
/* A line of our own for people; nothing with --json. */
void out_say(const char *fmt, ...) PRINTF(1, 2);
void out_warn(const char *fmt, ...) PRINTF(1, 2);
/* {"event":NAME,…}; nothing without --json. FIELDS is stolen and may be NULL. */
void out_event(const char *name, json_t *fields);
/* A JSON object as it is, one line. Borrowed. */
void out_json(const json_t *value);
/* Text of an app's or agent's: control characters but tab and newline are shown as escapes, so that it cannot steer the terminal. */
void out_untrusted(struct bytes text);
/* Errors of a build as the bundler reports them: place, sentence, frame. */
void out_build_errors(FILE *to, const json_t *errors);
/* A deploy that control refused: its sentence, and the stack of an app that threw, with the place in the project's source.
 * ANSWER is control's. Returns 1. */
int out_deploy_failed(FILE *to, const json_t *answer, const char *project);
/* One line of an agent or a room, as control sends it. */
void out_log_line(const json_t *line, bool with_app);
/* A table: HEADER and rows of CELLS texts (JSON array of arrays); columns as wide as they need. */
void out_table(const char *const *header, size_t columns, const json_t *rows);

#endif
