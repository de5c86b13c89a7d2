/* dormouse-backup — backups of data folders; started by `dormouse backup` and `dormouse restore` (room.md). */
#include <string.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "src/backup/backup_job.h"

int
main(int argc, char **argv)
{
    static const struct {
        const char *verb;
        bool (*run)(const struct job *job, struct err *err);
    } verbs[] = { { "backup", make_run }, { "restore", restore_run }, { "verify", verify_run }, { "list", list_run }, { "prune", prune_run } };
    struct err err = { 0 };
    struct job job;
    bool ok = job_read(&job, argc == 2 ? argv[1] : "", &err);
    bool is_known = false;

    map_seed(rng_u64());
    interrupts_take();
    for (size_t i = 0; ok && i < ARRAY_LEN(verbs) && !is_known; i++) {
        is_known = strcmp(job.verb, verbs[i].verb) == 0;
        if (is_known)
            ok = verbs[i].run(&job, &err);
    }
    if (ok && !is_known)
        ok = err_set(&err, ERR_USAGE, 0, "There is no '%s'.", job.verb);
    if (!ok)
        say_event("failed", json_pack("{s:{s:s, s:o}}", "error", "code", err_info(err.code)->name, "message", json_words(err.message)));
    job_fini(&job);
    return ok ? 0 : 1;
}
