/* backup_job — see backup_job.h. */
#include "src/backup/backup_job.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_manifest.h"
#include "src/backup/backup_target.h"

static volatile sig_atomic_t is_interrupted;

static void
on_signal(int signo)
{
    is_interrupted = 1;
}

void
interrupts_take(void)
{
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    const struct sigaction ignore = { .sa_handler = SIG_IGN };

    (void)sigaction(SIGPIPE, &ignore, NULL);   /* who listened to us may have gone before we have */
    (void)sigaction(SIGTERM, &action, NULL);   /* cannot fail for these */
    (void)sigaction(SIGINT, &action, NULL);
}

bool
go_on(struct err *err)
{
    return !is_interrupted || err_set(err, ERR_CANCELLED, 0, "Interrupted. Run it again; a backup goes on where it was.");
}

static const char *
text_of(const struct job *job, const char *field)
{
    return json_string_value(json_object_get(job->json, field));
}

static int64_t
number_of(const struct job *job, const char *field, int64_t otherwise)
{
    const json_t *value = json_object_get(job->json, field);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool
job_read(struct job *job, const char *text, struct err *err)
{
    int64_t chunk_bytes, pack_bytes;

    *job = (struct job){ .json = strlen(text) > JOB_BYTES_MAX ? NULL : json_loads(text, 0, NULL) };
    job->verb = text_of(job, "do");
    job->target = text_of(job, "target");
    if (job->verb == NULL || job->target == NULL || job->target[0] == '\0')
        return err_set(err, ERR_USAGE, 0, "dormouse-backup is started by 'dormouse backup' and 'dormouse restore'.");
    job->data = text_of(job, "data");
    job->socket = text_of(job, "socket");
    job->endpoint = text_of(job, "endpoint");
    job->region = text_of(job, "region");
    job->credentials = text_of(job, "credentials");
    job->at = text_of(job, "at");
    job->at_ms = number_of(job, "at_ms", 0);
    job->keep = number_of(job, "keep", 0);
    job->rate_bytes = number_of(job, "rate_mb", 0) << 20;
    job->has_history = !json_is_true(json_object_get(job->json, "no_history"));
    job->is_opening = !json_is_true(json_object_get(job->json, "checksums"));
    chunk_bytes = number_of(job, "chunk_bytes", CHUNK_BYTES);
    pack_bytes = number_of(job, "pack_bytes", PACK_BYTES);
    job->checkpoint_ms = number_of(job, "checkpoint_ms", CHECKPOINT_MS);
    if (chunk_bytes < CHUNK_BYTES_MIN || chunk_bytes > pack_bytes || pack_bytes > PACK_BYTES)
        return err_set(err, ERR_USAGE, 0, "\"chunk_bytes\" is from %u to \"pack_bytes\", which is at most %u.", CHUNK_BYTES_MIN, PACK_BYTES);
    job->chunk_bytes = (uint32_t)chunk_bytes;
    job->pack_bytes = (uint32_t)pack_bytes;
    return true;
}

void
job_fini(struct job *job)
{
    json_decref(job->json);
    *job = (struct job){ 0 };
}

void
say_event(const char *name, json_t *fields)
{
    json_t *line = json_pack("{s:s}", "event", name);
    char *text;

    if (fields != NULL)
        (void)json_object_update_missing(line, fields);      /* it can only want memory */
    json_decref(fields);
    text = json_dumps(line, JSON_COMPACT);
    if (text != NULL)
        printf("%s\n", text);
    (void)fflush(stdout);                  /* nobody listens any more: the work goes on */
    free(text);
    json_decref(line);
}

json_t *
json_words(const char *text)
{
    json_t *words = json_string(text);
    char *plain;

    if (words != NULL)
        return words;
    plain = bytes_dup(bytes_of(text));
    for (char *at = plain; *at != '\0'; at++)
        if ((uint8_t)*at >= 0x80)
            *at = '?';
    words = json_string(plain);
    free(plain);
    return words;
}

void
say_progress(const struct progress *p, bool is_last)
{
    static int64_t said_ms;
    const int64_t now_ms = clock_mono_ms();

    if (!is_last && now_ms - said_ms < PROGRESS_MS)
        return;
    said_ms = now_ms;
    say_event("progress", json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "phase", p->phase, "files", (json_int_t)p->files, "bytes", (json_int_t)p->bytes,
                                    "copied_bytes", (json_int_t)p->copied_bytes, "files_all", (json_int_t)p->files_all, "bytes_all",
                                    (json_int_t)p->bytes_all));
}

bool
job_target(struct target **out_target, const struct job *job, bool is_made, void (*tick)(void *owner), void *owner, struct err *err)
{
    const struct target_spec spec = { .place = job->target, .endpoint = job->endpoint, .region = job->region, .credentials = job->credentials,
                                      .is_made = is_made, .tick = tick, .owner = owner };

    return target_open(out_target, &spec, err);
}

/* The moment that backup ID is of; INT64_MAX when it cannot be read. */
static int64_t
cut_of(struct target *target, const char *id)
{
    struct packs *packs = packs_create(target, PACK_BYTES);
    struct manifest manifest;
    char name[BACKUP_ID_BYTES + 16];
    struct err ignored = { 0 };            /* one that is damaged is not the one that is looked for */
    int64_t cut_ms = INT64_MAX;

    backup_name(id, name);
    if (manifest_read(&manifest, packs, target, name, &ignored)) {
        cut_ms = manifest.cut_ms;
        manifest_fini(&manifest);
    }
    packs_destroy(&packs);
    return cut_ms;
}

bool
job_pick(const struct job *job, struct target *target, char **out_id, struct err *err)
{
    char **ids;
    size_t count;
    size_t found = 0;                      /* plus 1 */

    if (!backups_list(target, &ids, &count, err))
        return false;
    for (size_t i = count; i > 0 && found == 0; i--)
        if (job->at != NULL ? strncmp(ids[i - 1], job->at, strlen(job->at)) == 0 : job->at_ms == 0 || cut_of(target, ids[i - 1]) <= job->at_ms)
            found = i;
    if (found > 0)
        *out_id = bytes_dup(bytes_of(ids[found - 1]));
    else if (count == 0)
        (void)err_set(err, ERR_NOT_FOUND, 0, "There is no backup in '%s'.", job->target);
    else if (job->at != NULL)
        (void)err_set(err, ERR_NOT_FOUND, 0, "There is no backup '%s' in '%s'; 'dormouse backup list' shows them.", job->at, job->target);
    else
        (void)err_set(err, ERR_NOT_FOUND, 0, "The oldest backup in '%s' is younger than that: %s.", job->target, ids[0]);
    backups_free(&ids, count);
    return found > 0;
}
