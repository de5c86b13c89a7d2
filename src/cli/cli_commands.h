/* cli_commands — one function per command; each returns the exit status. argv begins behind the command's words. */
#ifndef DORMOUSE_CLI_COMMANDS_H
#define DORMOUSE_CLI_COMMANDS_H

#include "src/cli/cli_args.h"

int command_dev(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_deploy(int argc, char **argv);
int command_build(int argc, char **argv);
int command_remove(int argc, char **argv);
int command_apps(int argc, char **argv);
int command_agents(int argc, char **argv);
int command_logs(int argc, char **argv);
int command_top(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_backup(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_version(int argc, char **argv);

/* Parses for a command; *out_status is to be returned at once when this is false: help was printed, or an error. */
MUST_USE bool command_begin(const struct command *command, int argc, char **argv, void *values, struct text_list *out_operands,
                            int *out_status);

/* The options that every command has; first in its struct and its table. */
struct common {
    bool        is_json, is_help;
    const char *data, *socket;     /* for commands that talk to a running Dormouse */
};
#define COMMON_JSON { "json", 0, OPTION_FLAG, NULL, "one JSON object per line instead of text", offsetof(struct common, is_json), 0, 0 }
#define COMMON_HELP { "help", 'h', OPTION_FLAG, NULL, "show this", offsetof(struct common, is_help), 0, 0 }
#define COMMON_RUNNING                                                                                                                  \
    { "data", 0, OPTION_TEXT, "DIR", "data folder of the running Dormouse (./.dormouse, else that of serve)",                           \
      offsetof(struct common, data), 0, 0 },                                                                                            \
    { "socket", 0, OPTION_TEXT, "PATH", "its admin socket", offsetof(struct common, socket), 0, 0 }
#define OPTIONS_END { NULL, 0, OPTION_FLAG, NULL, NULL, 0, 0, 0 }

#endif
