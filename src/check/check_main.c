/*
 * dormouse-check — do the databases of a backup open, with what the journal has of them, and are they whole? (room.md)
 *
 * usage: dormouse-check DATA      questions on stdin, answers on stdout, a line of JSON each
 *
 * Started by dormouse-backup over a scratch folder. The databases' bytes may be anybody's: what opens them has no network, no other folder, no
 * new processes, and none of the secrets of a store.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/map.h"
#include "lib/jail/jail.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/check/check_journal.h"
#include "src/check/check_limits.h"

struct agent {
    const char     *app, *class_name;
    struct agent_id id;
};

static void
answer(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);

    assert(text != NULL);
    printf("%s\n", text);
    (void)fflush(stdout);                  /* nobody listens: the end of stdin follows */
    free(text);
    json_decref(line);
}

/* SQLite's own look at every page. */
static bool
store_look(struct store *store, struct err *err)
{
    struct store_cursor *cursor = NULL;
    struct store_value value;
    bool ok = store_query(store, BYTES_LIT("PRAGMA quick_check(1)"), NULL, 0, &cursor, err);

    if (ok && store_cursor_has_row(cursor)) {
        store_cursor_value(cursor, 0, &value);
        if (value.type != STORE_TEXT || !bytes_equal_str(value.bytes, "ok"))
            ok = err_set(err, ERR_CORRUPT, 0, "it is damaged inside: %.*s", value.type == STORE_TEXT ? (int)value.bytes.len : 0, (const char *)value.bytes.data);
    }
    store_cursor_close(&cursor);
    return ok;
}

/* As a worker opens it. */
static bool
agent_look(struct journal *journal, const char *data, const struct agent *agent, struct err *err)
{
    char folder[CHECK_PATH_BYTES], hex[65];
    struct store_options options = { .is_journaled = true };
    struct records records;
    struct store *store = NULL;
    bool ok;

    agent_id_to_hex(&agent->id, hex);
    if ((size_t)snprintf(folder, sizeof folder, "%s/apps/%s/agents/%s/%.2s/%s", data, agent->app, agent->class_name, hex, hex) >= sizeof folder)
        return err_set(err, ERR_LIMIT, 0, "its path is too long");
    ok = journal_join(journal, agent->app, err) && journal_records(journal, agent->app, agent->class_name, &agent->id, &records, err);
    if (!ok)
        return false;
    ok = !records.is_anew || store_remove(folder, err);
    options.redo = buf_view(&records.pages);
    options.redo_seq = records.last_seq;
    ok = ok && store_open(&store, folder, &options, err) && store_look(store, err);
    store_close(&store);
    buf_fini(&records.pages);
    return ok;
}

/* Agents that have records, and no file yet. */
static uint64_t
rest_look(struct journal *journal, const char *data)
{
    struct left left;
    uint64_t count = 0;

    for (; journal_left(journal, &left); count++) {
        const struct agent agent = { left.app, left.class_name, left.agent };
        char hex[65];
        struct err why = { 0 };

        agent_id_to_hex(&agent.id, hex);
        if (!agent_look(journal, data, &agent, &why))
            answer(json_pack("{s:[s, s, s], s:b, s:s}", "agent", left.app, left.class_name, hex, "ok", 0, "message", why.message));
        free(left.app);
        free(left.class_name);
        if (why.code == ERR_LOST)
            break;
    }
    return count;
}

/* ["APP"]: it has agents; ["APP", "CLASS", "ID"]: look at this one. */
static void
question_take(struct journal *journal, const char *data, const char *line)
{
    json_t *json = json_loads(line, 0, NULL);
    const char *app = json_string_value(json_array_get(json, 0)), *class_name = json_string_value(json_array_get(json, 1));
    struct agent agent = { app, class_name, { { 0 } } };
    struct err why = { 0 };
    bool ok;

    if (app == NULL || strchr(app, '/') != NULL || (json_array_size(json) != 1 && (class_name == NULL || strchr(class_name, '/') != NULL ||
        !agent_id_from_hex(&agent.id, bytes_of(json_string_value(json_array_get(json, 2)))))))
        ok = err_set(&why, ERR_MALFORMED, 0, "the question makes no sense");
    else
        ok = json_array_size(json) == 1 ? journal_join(journal, app, &why) : agent_look(journal, data, &agent, &why);
    answer(json_pack("{s:b, s:s}", "ok", (int)ok, "message", ok ? "" : why.message));
    json_decref(json);
}

/* A journal is never without its folder. */
static bool
folders_make(const char *data, struct err *err)
{
    static const char *const names[] = { "journal", "apps" };
    char path[CHECK_PATH_BYTES];
    struct stat st;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", data, names[i]);
        (void)sys_mkdirat(AT_FDCWD, path, 0700);               /* it may be there; what matters is that it is */
        if (sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
            return err_set(err, ERR_IO, 0, "'%s' is no folder", path);
    }
    return true;
}

int
main(int argc, char **argv)
{
    struct jail_spec spec = { .role = ROLE_SCHEDULER, .mode = JAIL_BEST, .write = { argc == 2 ? argv[1] : NULL, NULL } };   /* what it needs: lib/store in one folder */
    struct jail_report report = { 0 };
    struct journal *journal = NULL;
    char line[CHECK_LINE_BYTES];
    struct err err = { 0 };

    map_seed(rng_u64());
    if (argc != 2 || argv[1][0] != '/') {
        fprintf(stderr, "dormouse-check is started by 'dormouse backup verify'.\n");
        return 2;
    }
    if (!folders_make(argv[1], &err) || !journal_start(&journal, argv[1], &err) || !jail_enter_spec(&spec, &report, &err)) {
        answer(json_pack("{s:b, s:s}", "ok", 0, "message", err.message));
        journal_end(&journal);
        return 1;
    }
    answer(json_pack("{s:b, s:s}", "ok", 1, "message", ""));
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "[]\n") != 0)
        question_take(journal, argv[1], line);
    answer(json_pack("{s:b, s:I}", "end", 1, "only_in_journal", (json_int_t)rest_look(journal, argv[1])));
    (void)fflush(stdout);
    _exit(0);                              /* the sandbox lets nobody wait for a child; the journal goes when its supervisor has gone */
}
