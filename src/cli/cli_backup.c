/*
 * cli_backup — `dormouse backup` and `dormouse restore`: says dormouse-backup what is wanted, and people what it did.
 *
 * Secrets of a store go by the environment or a file, never by a command line, which every user of the machine can read.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_child.h"
#include "src/cli/cli_commands.h"
#include "src/cli/cli_out.h"
#include "src/cli/cli_when.h"
#include "src/cli/cli_where.h"

struct backup_options {
    struct common common;
    const char   *endpoint, *region, *credentials, *at;
    long          keep, rate_mb;
    bool          has_no_history, is_verify, is_shallow;
};

#define OPTIONS_STORE                                                                                                                   \
    { "endpoint", 0, OPTION_TEXT, "URL", "of an S3-compatible store ($AWS_ENDPOINT_URL, else Amazon's)", offsetof(struct backup_options, endpoint), 0, 0 },   \
    { "region", 0, OPTION_TEXT, "NAME", "of the store ($AWS_REGION, else us-east-1)", offsetof(struct backup_options, region), 0, 0 },  \
    { "credentials", 0, OPTION_TEXT, "FILE", "of the store (else $AWS_ACCESS_KEY_ID …, else ~/.aws/credentials)",                       \
      offsetof(struct backup_options, credentials), 0, 0 }
#define OPTION_CHECKSUMS \
    { "checksums", 0, OPTION_FLAG, NULL, "verify: compare checksums only, open no database", offsetof(struct backup_options, is_shallow), 0, 0 }
#define OPTION_AT { "at", 0, OPTION_TEXT, "WHEN", "which backup: an id, or the newest up to a time (2026-11-20T14:30Z, -2d)", offsetof(struct backup_options, at), 0, 0 }

struct run {                               /* of dormouse-backup */
    struct loop *loop;
    const char  *verb;
    json_t      *rows;                     /* of list; owned */
    struct err   err;
    bool         is_ok, is_progressing;
};

/* ---- what it says --------------------------------------------------------------------------------------------------------- */

static long long
number(const json_t *object, const char *field)
{
    return (long long)json_integer_value(json_object_get(object, field));
}

static const char *
text(const json_t *object, const char *field)
{
    const char *value = json_string_value(json_object_get(object, field));

    return value != NULL ? value : "";
}

#define SIZE_BYTES 24
static void
size_print(long long bytes, char out[SIZE_BYTES])
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(out, SIZE_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

/* One line that is written over; only on a terminal. */
static void
progress_say(struct run *run, const json_t *event)
{
    char looked[SIZE_BYTES], copied[SIZE_BYTES];

    if (out_is_json() || !isatty(STDERR_FILENO))
        return;
    size_print(number(event, "bytes"), looked);
    size_print(number(event, "copied_bytes"), copied);
    run->is_progressing = true;
    fprintf(stderr, "\r\033[K%s: %lld files, %s", text(event, "phase"), number(event, "files"), looked);
    if (number(event, "bytes_all") > 0)
        fprintf(stderr, " (%lld %%)", 100 * number(event, "bytes") / number(event, "bytes_all"));
    else
        fprintf(stderr, ", %s of them new", copied);
    (void)fflush(stderr);
}

static void
progress_end(struct run *run)
{
    if (run->is_progressing)
        fprintf(stderr, "\r\033[K");
    run->is_progressing = false;
}

static void
done_say(const struct run *run, const json_t *event)
{
    char all[SIZE_BYTES], written[SIZE_BYTES], when[WHEN_BYTES];

    size_print(number(event, "bytes"), all);
    size_print(number(event, "written_bytes"), written);
    when_print(number(event, "at_ms"), when);
    if (strcmp(run->verb, "backup") == 0)
        out_say("Backup %s of %s is complete: %lld files, %s, %s of them new; %.1f s.", text(event, "id"), when, number(event, "files"), all, written,
                (double)number(event, "ms") / 1000);
    else if (strcmp(run->verb, "restore") == 0)
        out_say("Restored %s of %s to '%s': %lld files, %s. To start it:\n  dormouse serve --data %s", text(event, "id"), when, text(event, "data"),
                number(event, "files"), all, text(event, "data"));
    else
        out_say("Backup %s is whole: %lld files, %s were read and are what was written; %lld databases open.", text(event, "id"), number(event, "files"), all,
                number(event, "opened"));
}

static void
backup_row(struct run *run, const json_t *event)
{
    char all[SIZE_BYTES], written[SIZE_BYTES], when[WHEN_BYTES], files[SIZE_BYTES];

    if (json_object_get(event, "damaged") != NULL) {
        (void)json_array_append_new(run->rows, json_pack("[s, s, s, s, s, s]", text(event, "id"), "damaged", "", "", "", ""));
        return;
    }
    size_print(number(event, "bytes"), all);
    size_print(number(event, "written_bytes"), written);
    when_print(number(event, "at_ms"), when);
    (void)snprintf(files, sizeof files, "%lld", number(event, "files"));
    (void)json_array_append_new(run->rows, json_pack("[s, s, s, s, s, s]", text(event, "id"), when, files, all, written, text(event, "data")));
}

static void
on_event(struct run *run, const json_t *event)
{
    const char *name = text(event, "event");
    const json_t *error = json_object_get(event, "error");

    if (strcmp(name, "failed") == 0) {
        enum err_code code = ERR_IO;

        for (int i = 1; i < ERR_CODES; i++)
            if (strcmp(err_info((enum err_code)i)->name, text(error, "code")) == 0)
                code = (enum err_code)i;
        (void)err_set(&run->err, code, 0, "%s", text(error, "message"));
        return;
    }
    if (out_is_json())
        out_json(event);
    if (strcmp(name, "progress") == 0) {
        progress_say(run, event);
        return;
    }
    progress_end(run);
    if (out_is_json())
        return;
    if (strcmp(name, "done") == 0)
        done_say(run, event);
    else if (strcmp(name, "backup") == 0)
        backup_row(run, event);
    else if (strcmp(name, "warning") == 0)
        out_warn("%s", text(event, "message"));
    else if (strcmp(name, "damaged") == 0)
        out_warn("%s: %s", text(event, "what"), text(event, "message"));
    else if (strcmp(name, "pruned") == 0)
        out_say("Pruned %lld backups; %lld stay. %lld packs were deleted.", number(event, "backups"), number(event, "kept"), number(event, "packs"));
}

/* ---- the child -------------------------------------------------------------------------------------------------------------- */

static void
on_line(void *owner, enum child_stream stream, struct bytes line)
{
    json_t *event = json_loadb((const char *)line.data, line.len, 0, NULL);

    if (json_is_object(event))
        on_event(owner, event);
    json_decref(event);
}

static void
on_ended(void *owner, int status)
{
    struct run *run = owner;

    run->is_ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!run->is_ok && run->err.code == ERR_NONE)
        (void)err_set(&run->err, ERR_LOST, 0, "dormouse-backup died (status %d).", status);
    loop_stop(run->loop);
}

/* JOB is stolen. */
static int
job_run(const char *verb, json_t *job)
{
    static const struct child_events events = { on_line, on_ended };
    static const char *const header[] = { "BACKUP", "OF", "FILES", "SIZE", "NEW", "DATA" };
    struct run run = { .verb = verb, .rows = json_array() };
    char program[CLI_PATH_BYTES];
    char *argument = json_dumps(job, JSON_COMPACT);
    const char *const argv[] = { program, argument, NULL };
    struct child *child = NULL;

    json_decref(job);
    run.loop = loop_create();
    if (where_program("dormouse-backup", program, &run.err) &&
        child_start(&child, run.loop, &(struct child_spec){ .argv = argv, .is_piped = { true, false }, .keep_fd = -1 }, &events, &run, &run.err))
        loop_run(run.loop);
    child_destroy(&child);
    loop_destroy(&run.loop);
    progress_end(&run);
    if (run.is_ok && strcmp(verb, "list") == 0 && !out_is_json()) {
        if (json_array_size(run.rows) == 0)
            out_say("No backups.");
        else
            out_table(header, ARRAY_LEN(header), run.rows);
    }
    json_decref(run.rows);
    free(argument);
    return run.is_ok ? 0 : out_fail(&run.err);
}

/* ---- the commands ------------------------------------------------------------------------------------------------------------- */

/* A folder as an absolute path; the address of a bucket as it is. */
static bool
target_read(const char *given, char out[CLI_PATH_BYTES], struct err *err)
{
    if (strstr(given, "://") == NULL)
        return where_absolute(given, out, err);
    return (size_t)snprintf(out, CLI_PATH_BYTES, "%s", given) < CLI_PATH_BYTES || err_set(err, ERR_USAGE, 0, "The target's address is too long.");
}

/* An id is a number of eight digits and a time, 00000012-20261120T141500Z, or the beginning of one; a time has no eight digits in a row. */
static bool
is_id(const char *at)
{
    return strlen(at) >= 8 && strspn(at, "0123456789") >= 8;
}

static json_t *
job_make(const char *verb, const char *target, const struct backup_options *o, struct err *err)
{
    char place[CLI_PATH_BYTES], credentials[CLI_PATH_BYTES];
    json_t *job = NULL;
    int64_t at_ms = 0;

    if (!target_read(target, place, err) || (o->credentials != NULL && !where_absolute(o->credentials, credentials, err)) ||
        (o->at != NULL && !is_id(o->at) && !when_parse(o->at, clock_wall_ms(), &at_ms, err)))
        return NULL;
    job = json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:I, s:I, s:b, s:b}", "do", verb, "target", place, "endpoint", o->endpoint, "region", o->region,
                    "credentials", o->credentials != NULL ? credentials : NULL, "keep", (json_int_t)o->keep, "rate_mb", (json_int_t)o->rate_mb,
                    "no_history", (int)o->has_no_history, "checksums", (int)o->is_shallow);
    if (job == NULL) {
        (void)err_set(err, ERR_USAGE, 0, "A path or an option is not UTF-8.");
        return NULL;
    }
    if (at_ms > 0)
        (void)json_object_set_new(job, "at_ms", json_integer(at_ms));
    else if (o->at != NULL)
        (void)json_object_set_new(job, "at", json_string(o->at));
    return job;
}

/* The data folder that is backed up: as other commands find the running Dormouse. */
static bool
source_set(const struct backup_options *o, json_t *job, struct err *err)
{
    char socket[CLI_PATH_BYTES], data[CLI_PATH_BYTES];

    if (!where_source(o->common.data, data, err) ||
        !(o->common.socket != NULL ? where_absolute(o->common.socket, socket, err) : where_socket(data, socket, err)))
        return false;
    (void)json_object_set_new(job, "data", json_string(data));
    (void)json_object_set_new(job, "socket", json_string(socket));
    return true;
}

static const struct option backup_table[] = {
    { "keep", 0, OPTION_NUMBER, "N", "delete all but the newest N backups afterwards", offsetof(struct backup_options, keep), 1, 100000 },
    { "rate", 0, OPTION_NUMBER, "MB", "copy at most so much per second", offsetof(struct backup_options, rate_mb), 1, 100000 },
    { "no-history", 0, OPTION_FLAG, NULL, "without the journal's history (agents restore --at)", offsetof(struct backup_options, has_no_history), 0, 0 },
    { "verify", 0, OPTION_FLAG, NULL, "the same as backup verify", offsetof(struct backup_options, is_verify), 0, 0 },
    OPTION_CHECKSUMS, OPTION_AT, OPTIONS_STORE, COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END,
};
static const struct command backup_command = {
    "backup", "TARGET | list TARGET | verify TARGET [--at WHEN] | prune TARGET --keep N",
    "Copies a node, running or stopped, to TARGET: a folder, or s3://BUCKET/PREFIX. Only what changed since the last backup is copied.",
    "Everything acknowledged before the command began is in the backup. One that was interrupted goes on where it was when it is run again.\n"
    "verify reads a backup (the newest), compares every byte with its checksum, and opens every database with what the journal has of it, in\n"
    "a scratch folder below $TMPDIR or /var/tmp. 'dormouse restore' makes a data folder of it.",
    backup_table, 1, 2,
};

int
command_backup(int argc, char **argv)
{
    static const char *const verbs[] = { "list", "verify", "prune", NULL };
    struct backup_options o = { 0 };
    struct text_list operands;
    struct err err = { 0 };
    const char *verb = "backup", *target;
    json_t *job;
    int status;

    if (!command_begin(&backup_command, argc, argv, &o, &operands, &status))
        return status;
    target = operands.item[operands.count - 1];
    for (size_t i = 0; operands.count == 2 && verbs[i] != NULL; i++)
        if (strcmp(operands.item[0], verbs[i]) == 0)
            verb = verbs[i];
    if (operands.count == 2 && strcmp(verb, "backup") == 0)
        (void)err_set(&err, ERR_USAGE, 0, "Say: dormouse backup %s", backup_command.operands);
    else if (strcmp(verb, "prune") == 0 && o.keep == 0)
        (void)err_set(&err, ERR_USAGE, 0, "How many are to stay? Say --keep N.");
    if (err.code != ERR_NONE)
        return out_fail(&err);
    if (o.is_verify)
        verb = "verify";
    job = job_make(verb, target, &o, &err);
    if (job != NULL && strcmp(verb, "backup") == 0 && !source_set(&o, job, &err)) {
        json_decref(job);
        job = NULL;
    }
    return job == NULL ? out_fail(&err) : job_run(verb, job);
}

static const struct option restore_table[] = {
    { "data", 0, OPTION_TEXT, "DIR", "the new data folder: absent or empty", offsetof(struct backup_options, common.data), 0, 0 },
    { "verify", 0, OPTION_FLAG, NULL, "restore nothing: the same as backup verify", offsetof(struct backup_options, is_verify), 0, 0 },
    OPTION_CHECKSUMS, OPTION_AT, OPTIONS_STORE, COMMON_JSON, COMMON_HELP, OPTIONS_END,
};
static const struct command restore_command = {
    "restore", "SOURCE --data DIR", "Makes a data folder of a backup (the newest one) in SOURCE: a folder, or s3://BUCKET/PREFIX.",
    "Every byte is compared with its checksum. Start the result with 'dormouse serve --data DIR'; never run it beside the node that it is a copy of.",
    restore_table, 1, 1,
};

int
command_restore(int argc, char **argv)
{
    struct backup_options o = { 0 };
    struct text_list operands;
    struct err err = { 0 };
    char data[CLI_PATH_BYTES];
    json_t *job;
    int status;

    if (!command_begin(&restore_command, argc, argv, &o, &operands, &status))
        return status;
    if (o.common.data == NULL && !o.is_verify) {
        (void)err_set(&err, ERR_USAGE, 0, "Where to? Name a new data folder with --data DIR.");
        return out_fail(&err);
    }
    job = job_make(o.is_verify ? "verify" : "restore", operands.item[0], &o, &err);
    if (job != NULL && o.common.data != NULL && where_absolute(o.common.data, data, &err))
        (void)json_object_set_new(job, "data", json_string(data));
    if (err.code != ERR_NONE) {
        json_decref(job);
        return out_fail(&err);
    }
    return job_run(o.is_verify ? "verify" : "restore", job);
}
