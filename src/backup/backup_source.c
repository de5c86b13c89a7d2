/* backup_source — see backup_source.h. */
#include "src/backup/backup_source.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_admin.h"
#include "src/backup/backup_limits.h"

#define SEGMENT_DIGITS 16
#define SEGMENT_END    ".seg"
#define SEGMENT_FOLDER "journal"
#define HISTORY_FOLDER "journal/history"
#define HOLD_NAME      "journal/hold"

struct source {
    char    *data, *socket;                /* owned */
    int      dir;
    int      node_lock;                    /* the supervisor's, when the node is stopped; -1 */
    int      hold;                         /* -1: there is no journal */
    bool     is_live;
    bool     is_hold_lost;
    int64_t  touched_ms;                   /* monotonic */
    struct names first;                    /* segments in the journal's folder when we began */
    char     first_name[SEGMENT_DIGITS + sizeof SEGMENT_END];  /* the oldest that the copy needs */
    uint32_t cut;                          /* the newest */
};

/* ---- names --------------------------------------------------------------------------------------------------------------- */

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool
names_read(int dir, const char *path, struct names *out_names, struct err *err)
{
    int fd = sys_openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    int failed;

    *out_names = (struct names){ 0 };
    if (list == NULL && (errno == ENOENT || errno == ENOTDIR))
        return true;
    if (list == NULL) {
        (void)err_set(err, ERR_IO, errno, "list '%s'", path);
        (void)sys_close(fd);               /* -1 is fine */
        return false;
    }
    while ((errno = 0, e = readdir(list)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (out_names->count == out_names->cap) {
            out_names->cap = out_names->cap == 0 ? 64 : out_names->cap * 2;
            out_names->name = realloc(out_names->name, out_names->cap * sizeof out_names->name[0]);
            assert(out_names->name != NULL);
        }
        out_names->name[out_names->count++] = bytes_dup(bytes_of(e->d_name));
    }
    failed = errno;
    (void)closedir(list);                  /* only read */
    if (failed != 0) {
        names_free(out_names);
        return err_set(err, ERR_IO, failed, "list '%s'", path);
    }
    if (out_names->count > 1)
        qsort(out_names->name, out_names->count, sizeof out_names->name[0], by_text);
    return true;
}

void
names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->name[i]);
    free(names->name);
    *names = (struct names){ 0 };
}

static bool
is_segment(const char *name)
{
    return strlen(name) == SEGMENT_DIGITS + strlen(SEGMENT_END) && strspn(name, "0123456789abcdef") == SEGMENT_DIGITS &&
           strcmp(name + SEGMENT_DIGITS, SEGMENT_END) == 0;
}

/* Keeps the segments; their names order as their numbers do. */
static void
segments_keep(struct names *names)
{
    size_t kept = 0;

    for (size_t i = 0; i < names->count; i++) {
        if (is_segment(names->name[i]))
            names->name[kept++] = names->name[i];
        else
            free(names->name[i]);
    }
    names->count = kept;
}

static bool
has_name(const struct names *names, const char *name)
{
    return names->count > 0 && bsearch(&name, names->name, names->count, sizeof names->name[0], by_text) != NULL;
}

/* ---- opening --------------------------------------------------------------------------------------------------------------- */

/* Is the node running? If not, it shall not start meanwhile. */
static bool
node_look(struct source *it, struct err *err)
{
    it->node_lock = sys_openat(it->dir, "supervisor.lock", O_RDWR | O_NOFOLLOW, 0);
    if (it->node_lock < 0 && errno == ENOENT)
        return true;
    if (it->node_lock < 0)
        return err_set(err, errno == EACCES ? ERR_DENIED : ERR_IO, errno, "open '%s/supervisor.lock'; run this as the user that started Dormouse", it->data);
    if (flock(it->node_lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return err_set(err, ERR_IO, errno, "lock '%s/supervisor.lock'", it->data);
    it->is_live = true;
    (void)sys_close(STEAL_FD(it->node_lock));      /* it is the supervisor's */
    return true;
}

/* The marker, locked. Who had it before us may have just removed it. */
static bool
hold_take(struct source *it, struct err *err)
{
    struct stat st;

    for (;;) {
        it->hold = sys_openat(it->dir, HOLD_NAME, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
        if (it->hold < 0 && errno == ENOENT)
            return true;                   /* no journal: nothing was ever committed */
        if (it->hold < 0)
            return err_set(err, errno == EACCES ? ERR_DENIED : ERR_IO, errno, "make '%s/" HOLD_NAME "'; run this as the user that started Dormouse", it->data);
        if (flock(it->hold, LOCK_EX | LOCK_NB) != 0)
            return err_set(err, errno == EWOULDBLOCK ? ERR_EXISTS : ERR_IO, 0, "Another backup of '%s' is running.", it->data);
        if (sys_fstat(it->hold, &st) == 0 && st.st_nlink > 0)
            return true;
        (void)sys_close(STEAL_FD(it->hold));       /* removed under our eyes */
    }
}

static void
hold_touch(struct source *it)
{
    if (it->hold >= 0 && sys_pwrite(it->hold, "backup\n", 7, 0) != 7)
        return;                            /* a full disk: tried again; too late, it is a failure */
    it->touched_ms = clock_mono_ms();
}

/* The oldest segment that may be needed: of those in the journal's folder; of those to come, when there are none. */
static bool
first_note(struct source *it, struct err *err)
{
    struct names old;

    if (!names_read(it->dir, SEGMENT_FOLDER, &it->first, err) || !names_read(it->dir, HISTORY_FOLDER, &old, err))
        return false;
    segments_keep(&it->first);
    segments_keep(&old);
    if (it->first.count > 0)
        (void)snprintf(it->first_name, sizeof it->first_name, "%s", it->first.name[0]);
    else if (old.count > 0)                /* behind the newest of the history: '~' is above every digit and letter */
        (void)snprintf(it->first_name, sizeof it->first_name, "%.16s~", old.name[old.count - 1]);
    names_free(&old);
    return true;
}

static bool
is_data(int dir)
{
    struct stat st;

    return sys_fstatat(dir, "control.json", &st, 0) == 0 || sys_fstatat(dir, "apps", &st, 0) == 0 || sys_fstatat(dir, SEGMENT_FOLDER, &st, 0) == 0;
}

bool
source_open(struct source **out_source, const char *data, const char *socket, struct err *err)
{
    struct source *it = calloc(1, sizeof *it);
    bool ok;

    assert(it != NULL);
    it->data = bytes_dup(bytes_of(data));
    it->socket = bytes_dup(bytes_of(socket));
    it->node_lock = it->hold = -1;
    it->dir = sys_open(data, O_RDONLY | O_DIRECTORY, 0);
    ok = it->dir >= 0 || err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "open the data folder '%s'", data);
    if (ok && !is_data(it->dir))
        ok = err_set(err, ERR_NOT_FOUND, 0, "'%s' is no data folder of Dormouse. Name it with --data.", data);
    ok = ok && node_look(it, err) && hold_take(it, err);
    if (ok)
        hold_touch(it);
    ok = ok && first_note(it, err);
    if (!ok)
        source_close(&it);
    *out_source = it;
    return ok;
}

void
source_close(struct source **source)
{
    struct source *it = STEAL(*source);

    if (it == NULL)
        return;
    if (it->hold >= 0 && it->touched_ms > 0)
        (void)sys_unlinkat(it->dir, HOLD_NAME, 0);   /* forgotten after 10 minutes otherwise */
    (void)sys_close(it->hold);
    (void)sys_close(it->node_lock);
    (void)sys_close(it->dir);              /* only read */
    names_free(&it->first);
    free(it->data);
    free(it->socket);
    free(it);
}

int
source_dir(const struct source *source)
{
    return source->dir;
}

bool
source_is_live(const struct source *source)
{
    return source->is_live;
}

void
source_tick(struct source *source)
{
    const int64_t since_ms = clock_mono_ms() - source->touched_ms;

    if (since_ms > HOLD_LOST_MS)
        source->is_hold_lost = true;
    if (since_ms > HOLD_TOUCH_MS)
        hold_touch(source);
}

bool
source_is_held(const struct source *source, struct err *err)
{
    if (source->is_live && source->is_hold_lost)
        return err_set(err, ERR_TIMEOUT, 0, "The backup stood still for too long: the journal may have deleted what it needs. Run it again; it goes on where it was.");
    return true;
}

/* ---- the cut ----------------------------------------------------------------------------------------------------------------- */

bool
source_cut(struct source *source, int64_t *out_cut_ms, struct err *err)
{
    json_t *answer = NULL;

    *out_cut_ms = clock_wall_ms();
    source->cut = UINT32_MAX;
    if (!source->is_live)
        return true;
    if (!admin_ask(source->socket, "journal_cut", &answer, err))
        return false;
    source->cut = (uint32_t)json_integer_value(json_object_get(answer, "segment"));
    *out_cut_ms = json_integer_value(json_object_get(answer, "time_ms"));
    json_decref(answer);
    return *out_cut_ms > 0 ? true : err_set(err, ERR_MALFORMED, 0, "Dormouse's answer about the journal makes no sense.");
}

static bool
is_in_cut(const struct source *source, const char *name)
{
    return strtoull(name, NULL, 16) <= source->cut;
}

/* One that is moved to the history while we look is in both or in the second folder: so the journal's is read first. */
bool
source_segments(struct source *source, bool (*fn)(void *owner, const char *path, const char *name, bool is_needed, struct err *err), void *owner,
                struct err *err)
{
    struct names now, old;
    char path[PATH_BYTES];
    bool ok = true;

    if (!names_read(source->dir, SEGMENT_FOLDER, &now, err))
        return false;
    if (!names_read(source->dir, HISTORY_FOLDER, &old, err)) {
        names_free(&now);
        return false;
    }
    segments_keep(&now);
    segments_keep(&old);
    for (size_t i = 0; ok && i < source->first.count; i++)
        if (!has_name(&now, source->first.name[i]) && !has_name(&old, source->first.name[i]))
            ok = err_set(err, ERR_UNAVAILABLE, 0, "Journal segment '%s' is gone although the backup needs it. Run it again.", source->first.name[i]);
    for (size_t i = 0; ok && i < old.count; i++) {
        (void)snprintf(path, sizeof path, HISTORY_FOLDER "/%s", old.name[i]);
        if (is_in_cut(source, old.name[i]))
            ok = fn(owner, path, old.name[i], strcmp(old.name[i], source->first_name) >= 0, err);
    }
    for (size_t i = 0; ok && i < now.count; i++) {
        (void)snprintf(path, sizeof path, SEGMENT_FOLDER "/%s", now.name[i]);
        if (is_in_cut(source, now.name[i]) && !has_name(&old, now.name[i]))
            ok = fn(owner, path, now.name[i], true, err);
    }
    names_free(&now);
    names_free(&old);
    return ok;
}
