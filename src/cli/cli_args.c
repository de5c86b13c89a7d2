/*
 * cli_args — see cli_args.h.
 */
#include "src/cli/cli_args.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES_MAX = 32, OPTIONS_MAX = 64 };

/* Levenshtein distance; words longer than WORD_BYTES_MAX are far from everything. */
static size_t
distance(const char *a, const char *b)
{
    size_t row[WORD_BYTES_MAX + 1], la = strlen(a), lb = strlen(b);

    if (la > WORD_BYTES_MAX || lb > WORD_BYTES_MAX)
        return WORD_BYTES_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[lb];
}

const char *
args_nearest(const char *text, const char *const *words)
{
    const char *nearest = NULL;
    size_t least = 3;              /* two slips of the finger at most */

    for (; *words != NULL; words++) {
        size_t d = distance(text, *words);

        if (d < least && d < strlen(*words)) {
            least = d;
            nearest = *words;
        }
    }
    return nearest;
}

static const struct option *
option_find(const struct command *command, const char *name, size_t len)
{
    for (const struct option *o = command->options; o->name != NULL; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static bool
option_unknown(const struct command *command, const char *arg, size_t len, struct err *err)
{
    const char *names[OPTIONS_MAX + 1] = { NULL }, *nearest;
    char word[WORD_BYTES_MAX + 1];
    size_t count = 0;

    for (const struct option *o = command->options; o->name != NULL && count < OPTIONS_MAX; o++)
        names[count++] = o->name;
    (void)snprintf(word, sizeof word, "%.*s", (int)len, arg + 2);
    nearest = args_nearest(word, names);
    if (nearest != NULL)
        return err_set(err, ERR_USAGE, 0, "There is no option '%.*s' for 'dormouse %s'. Did you mean '--%s'?", (int)len + 2, arg,
                       command->name, nearest);
    return err_set(err, ERR_USAGE, 0, "There is no option '%.*s' for 'dormouse %s'; see 'dormouse %s --help'.", (int)len + 2, arg,
                   command->name, command->name);
}

static bool
option_take(const struct option *o, const char *text, void *values, struct err *err)
{
    void *into = (char *)values + o->at;
    struct text_list *list = into;
    char *end;
    long number;

    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)into = true;
        return true;
    case OPTION_TEXT:
        *(const char **)into = text;
        return text[0] != '\0' || err_set(err, ERR_USAGE, 0, "'--%s' needs a value that is not empty.", o->name);
    case OPTION_LIST:
        if (list->count == CLI_LIST_MAX)
            return err_set(err, ERR_USAGE, 0, "'--%s' can be given %d times at most.", o->name, CLI_LIST_MAX);
        list->item[list->count++] = text;
        return true;
    case OPTION_NUMBER:
        errno = 0;
        number = strtol(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || number < o->low || number > o->high)
            return err_set(err, ERR_USAGE, 0, "'--%s' must be a number from %ld to %ld, not '%s'.", o->name, o->low, o->high, text);
        *(long *)into = number;
        return true;
    }
    return false;
}

/* "--name", "--name=value" or "-f" at argv[*i]; takes the value from the next word when there is none. */
static bool
option_parse(const struct command *command, int argc, char **argv, int *i, void *values, struct err *err)
{
    const char *arg = argv[*i], *equals = strchr(arg, '=');
    bool is_long = arg[1] == '-';
    size_t len = is_long ? (equals != NULL ? (size_t)(equals - arg) : strlen(arg)) - 2 : 0;
    const struct option *o = is_long ? option_find(command, arg + 2, len) : NULL;

    if (!is_long)
        for (const struct option *each = command->options; each->name != NULL && o == NULL; each++)
            if (each->letter == arg[1] && arg[2] == '\0')
                o = each;
    if (o == NULL && is_long)
        return option_unknown(command, arg, len, err);
    if (o == NULL)
        return err_set(err, ERR_USAGE, 0, "There is no option '%s' for 'dormouse %s'; see 'dormouse %s --help'.", arg, command->name,
                       command->name);
    if (o->kind == OPTION_FLAG)
        return (is_long && equals != NULL) ? err_set(err, ERR_USAGE, 0, "'--%s' takes no value.", o->name)
                                           : option_take(o, NULL, values, err);
    if (is_long && equals != NULL)
        return option_take(o, equals + 1, values, err);
    if (*i + 1 >= argc)
        return err_set(err, ERR_USAGE, 0, "'--%s' needs a value: --%s %s.", o->name, o->name, o->value);
    return option_take(o, argv[++*i], values, err);
}

bool
args_parse(const struct command *command, int argc, char **argv, void *values, struct text_list *out_operands, struct err *err)
{
    bool only_operands = false;

    out_operands->count = 0;
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!option_parse(command, argc, argv, &i, values, err))
                return false;
        } else if (out_operands->count == command->operands_max) {
            return err_set(err, ERR_USAGE, 0, "'%s' is one word too many: dormouse %s %s", argv[i], command->name, command->operands);
        } else {
            out_operands->item[out_operands->count++] = argv[i];
        }
    }
    if (out_operands->count < command->operands_min)
        return err_set(err, ERR_USAGE, 0, "Something is missing: dormouse %s %s", command->name, command->operands);
    return true;
}

void
args_help(const struct command *command)
{
    printf("usage: dormouse %s%s%s%s\n\n%s\n", command->name, command->options[0].name != NULL ? " [options]" : "",
           command->operands[0] != '\0' ? " " : "", command->operands, command->summary);
    if (command->details != NULL)
        printf("\n%s\n", command->details);
    if (command->options[0].name != NULL)
        printf("\noptions:\n");
    for (const struct option *o = command->options; o->name != NULL; o++) {
        char left[64];

        (void)snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter != 0 ? "-" : "  ", o->letter != 0 ? o->letter : ' ',
                       o->letter != 0 ? ", " : " ", o->name, o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
        printf("  %-28s %s\n", left, o->help);
    }
}
