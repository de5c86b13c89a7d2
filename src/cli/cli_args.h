/*
 * cli_args — options from tables: parsed, checked and explained by the same rows.
 *
 * Promise: an option that is not in the table, lacks its value or has a wrong one is named in the error, with the nearest one
 * that exists. "--" ends options. "--name=value" and "--name value" are the same.
 */
#ifndef DORMOUSE_CLI_ARGS_H
#define DORMOUSE_CLI_ARGS_H

#include "lib/base/err.h"
#include "lib/base/macros.h"
#include "src/cli/cli_limits.h"

struct text_list {
    const char *item[CLI_LIST_MAX];
    size_t      count;
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER, OPTION_LIST };

struct option {
    const char      *name;         /* "port" */
    char             letter;       /* 'f' for -f; 0: none */
    enum option_kind kind;
    const char      *value;        /* "N", as help shows it; NULL for flags */
    const char      *help;
    size_t           at;           /* offsetof in the command's struct: bool, const char *, long, struct text_list */
    long             low, high;    /* of a number */
};

struct command {
    const char          *name;     /* "agents list" is two words of the command line */
    const char          *operands; /* "[DIR]"; "" for none */
    const char          *summary;
    const char          *details;  /* further lines of its help; may be NULL */
    const struct option *options;  /* ends with a NULL name */
    size_t               operands_min, operands_max;
};

/* Fills VALUES (a struct whose members the options' offsets name; already holding the defaults) and *out_operands. */
MUST_USE bool args_parse(const struct command *command, int argc, char **argv, void *values, struct text_list *out_operands,
                         struct err *err);
/* The word of WORDS (NULL-terminated) that is nearest to TEXT, or NULL when none is near. */
const char *args_nearest(const char *text, const char *const *words);
/* Prints the command's help on stdout. */
void args_help(const struct command *command);

#endif
