/*
 * dormouse — the operator's and developer's hand. See room.md.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_commands.h"
#include "src/cli/cli_out.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    { "dev", command_dev, "run a project, rebuild and redeploy at every change" },
    { "serve", command_serve, "run Dormouse in the foreground" },
    { "deploy", command_deploy, "bring a project to a running Dormouse" },
    { "build", command_build, "bundle a project into a folder that can be deployed elsewhere" },
    { "remove", command_remove, "stop an app; its agents' data stays" },
    { "apps", command_apps, "list the apps" },
    { "agents", command_agents, "list, show, query, delete or restore agents" },
    { "backup", command_backup, "copy a node to a folder or an S3-compatible store; list, verify and prune backups" },
    { "restore", command_restore, "make a data folder of a backup" },
    { "logs", command_logs, "what agents and rooms said" },
    { "top", command_top, "agents awake and asleep, wakes, commits, memory, as they change" },
    { "metrics", command_metrics, "the same for Prometheus" },
    { "doctor", command_doctor, "is everything well, and what does the sandbox offer here?" },
    { "version", command_version, "the version" },
};

static void
help_print(void)
{
    printf("Dormouse %s: the home for one-to-one agents.\n\nusage: dormouse COMMAND [options]\n\ncommands:\n", DORMOUSE_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    printf("\n'dormouse COMMAND --help' explains one. In a project's folder, 'dormouse dev' is all that is needed.\n");
}

bool
command_begin(const struct command *command, int argc, char **argv, void *values, struct text_list *out_operands, int *out_status)
{
    struct common *common = values;
    struct err err = { 0 };
    bool ok;

    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        common->is_json = common->is_json || strcmp(argv[i], "--json") == 0;
        common->is_help = common->is_help || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    }
    out_init(common->is_json);
    if (common->is_help) {
        args_help(command);
        *out_status = 0;
        return false;
    }
    ok = args_parse(command, argc, argv, values, out_operands, &err);
    if (!ok)
        *out_status = out_fail(&err);
    return ok;
}

int
command_version(int argc, char **argv)
{
    static const struct option options[] = { COMMON_JSON, COMMON_HELP, OPTIONS_END };
    static const struct command command = { "version", "", "Prints the version.", NULL, options, 0, 0 };
    struct text_list operands;
    struct common common = { 0 };
    int status;

    if (!command_begin(&command, argc, argv, &common, &operands, &status))
        return status;
    if (common.is_json)
        printf("{\"version\":\"%s\"}\n", DORMOUSE_VERSION);
    else
        printf("dormouse %s\n", DORMOUSE_VERSION);
    return 0;
}

int
main(int argc, char **argv)
{
    const char *names[ARRAY_LEN(commands) + 1] = { NULL }, *nearest;
    struct err err = { 0 };

    map_seed(rng_u64());
    out_init(false);
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_print();
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return command_version(0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        names[i] = commands[i].name;
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    }
    nearest = args_nearest(argv[1], names);
    (void)err_set(&err, ERR_USAGE, 0, "There is no command '%s'.%s%s%s See 'dormouse --help'.", argv[1],
                  nearest != NULL ? " Did you mean '" : "", nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    return out_fail(&err);
}
