/* snapshot_list — see snapshot.h: the snapshots that there are of an agent, and who has to go. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/log.h"
#include "src/worker/snapshot_internal.h"
#include "src/worker/worker_limits.h"

#define ENTRIES_MAX (4 * SNAPSHOTS_MAX)    /* files of a kind looked at; more than we ever make */

struct entry {
    struct snapshot_id id;
    int64_t            bytes, time_ms;
    bool               is_passing, has_label;
};

struct pack {
    struct snapshot_id id;
    int64_t            bytes;
    bool               is_needed;
};

struct listing {
    size_t       count, packs_count;
    struct entry entries[ENTRIES_MAX];     /* oldest first */
    struct pack  packs[ENTRIES_MAX];
};

/* Of entries and packs: both begin with their id. */
static int
by_id(const void *a, const void *b)
{
    return memcmp(a, b, SNAPSHOT_ID_BYTES);
}

static bool
pack_name(struct snapshot_id *out, const char *name)
{
    const size_t len = strlen(name), suffix = strlen(SNAPSHOT_PACK_SUFFIX);

    return len > suffix && strcmp(name + len - suffix, SNAPSHOT_PACK_SUFFIX) == 0 && snapshot_id_from_hex(out, bytes_from(name, len - suffix));
}

/* What a crash left of one that was being written goes. */
static void
note_name(struct listing *l, DIR *dir, const char *name, bool is_storing)
{
    const size_t len = strlen(name);
    struct stat st;

    if (len > 4 && strcmp(name + len - 4, ".new") == 0) {
        if (!is_storing)
            (void)sys_unlinkat(dirfd(dir), name, 0);
        return;
    }
    if (l->count < ENTRIES_MAX && snapshot_id_from_hex(&l->entries[l->count].id, bytes_of(name)) &&
             sys_fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        l->entries[l->count++].bytes = st.st_size;
    else if (l->packs_count < ENTRIES_MAX && pack_name(&l->packs[l->packs_count].id, name) && sys_fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        l->packs[l->packs_count++].bytes = st.st_size;
}

/* The files of AGENT; the caller frees. NULL: the folder cannot be read. */
static struct listing *
listing_read(const struct agent *a, struct err *err)
{
    char path[SNAPSHOT_PATH_BYTES];
    int fd = sys_open(snapshot_folder_of(bytes_of(a->class_name), &a->id, path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    const int cause = errno;
    struct listing *l;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir == NULL && (fd >= 0 || cause != ENOENT)) {
        (void)sys_close(fd);
        (void)err_set(err, ERR_IO, cause, "read '%s'", path);
        return NULL;
    }
    l = calloc(1, sizeof *l);
    assert(l != NULL);
    if (dir == NULL)
        return l;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        note_name(l, dir, e->d_name, snapshot_is_storing(a));
    (void)closedir(dir);
    qsort(l->entries, l->count, sizeof l->entries[0], by_id);
    qsort(l->packs, l->packs_count, sizeof l->packs[0], by_id);
    return l;
}

/* *HEAD points into ROOM. */
static bool
head_read(const struct agent *a, const struct snapshot_id *id, uint8_t room[SNAPSHOT_HEAD_MAX_BYTES], struct snapshot *head)
{
    char path[SNAPSHOT_PATH_BYTES];
    int fd = sys_open(snapshot_path(bytes_of(a->class_name), &a->id, id, path), O_RDONLY, 0);
    ssize_t n = fd >= 0 ? sys_pread(fd, room, SNAPSHOT_HEAD_MAX_BYTES, 0) : -1;
    struct err ignored = { 0 };

    (void)sys_close(fd);
    return n > 0 && snapshot_unpack_head(head, bytes_from(room, (size_t)n), &ignored) && memcmp(&head->id, id, sizeof *id) == 0;
}

static struct pack *
pack_find(struct listing *l, const struct snapshot_id *id)
{
    return bsearch(id, l->packs, l->packs_count, sizeof l->packs[0], by_id);
}

/* Whether the packs that HEAD names are there; what is in them is seen by who reads them. */
static bool
is_whole(struct listing *l, const struct snapshot *head)
{
    for (size_t at = 0; at < head->packs.len; at += SNAPSHOT_ID_BYTES)
        if (pack_find(l, (const void *)(head->packs.data + at)) == NULL)
            return false;
    return true;
}

static int64_t
bytes_of_entry(struct listing *l, const struct entry *e)
{
    const struct pack *own = pack_find(l, &e->id);

    return e->bytes + (own != NULL ? own->bytes : 0);
}

bool
snapshot_each(const struct agent *a, snapshot_each_fn *fn, void *owner, struct err *err)
{
    struct listing *l = listing_read(a, err);
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head;

    for (size_t i = 0; l != NULL && i < l->count; i++)
        if (head_read(a, &l->entries[i].id, room, &head) && !head.is_passing && is_whole(l, &head))
            fn(owner, &head, bytes_of_entry(l, &l->entries[i]));
    free(l);
    return l != NULL;
}

struct search {
    struct bytes       text;
    bool               is_latest, is_found;
    struct snapshot_id id;
};

static void
search_one(void *owner, const struct snapshot *head, int64_t bytes)
{
    struct search *s = owner;

    if (s->is_latest || (head->label.len > 0 && bytes_equal(head->label, s->text))) {
        s->id = head->id;
        s->is_found = true;
    }
}

bool
snapshot_find(const struct agent *a, struct bytes text, struct snapshot_id *out_id, struct err *err)
{
    struct search search = { .text = text, .is_latest = bytes_equal_str(text, "latest") };
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head;

    if (snapshot_id_from_hex(out_id, text) && head_read(a, out_id, room, &head))
        return true;
    if (!snapshot_each(a, search_one, &search, err))
        return false;
    *out_id = search.id;
    return search.is_found ? true : err_set(err, ERR_NOT_FOUND, 0, "the agent has no snapshot '%.*s'", (int)text.len, (const char *)text.data);
}

static void
chain_of(const struct snapshot *head, struct snapshot_chain *chain)
{
    chain->count = head->packs.len / SNAPSHOT_ID_BYTES;
    if (chain->count > 0)
        memcpy(chain->packs, head->packs.data, head->packs.len);
}

struct snapshot_known *
snapshot_newest_known(const struct agent *a, struct snapshot_chain *chain)
{
    char folder[SNAPSHOT_PATH_BYTES];
    const struct snapshot_place place = { .folder = snapshot_folder_of(bytes_of(a->class_name), &a->id, folder), .agent = a->id };
    struct err ignored = { 0 };
    struct listing *l = listing_read(a, &ignored);
    struct snapshot_known *known = NULL;
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head;

    chain->count = 0;
    for (size_t i = l != NULL ? l->count : 0; i > 0 && chain->count == 0; i--)
        if (head_read(a, &l->entries[i - 1].id, room, &head) && is_whole(l, &head))
            chain_of(&head, chain);
    free(l);
    if (chain->count > 0 && !snapshot_known_read(&known, &place, chain, &ignored))
        chain->count = 0;              /* the next one begins anew */
    return known;
}

/* Removes the packs that no snapshot names. As long as one cannot be read nobody knows what it needs. */
static void
sweep(const struct agent *a)
{
    struct err ignored = { 0 };
    struct listing *l = listing_read(a, &ignored);
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head;
    bool ok = l != NULL && l->packs_count > 0;

    for (size_t i = 0; ok && i < l->count; i++) {
        ok = head_read(a, &l->entries[i].id, room, &head);
        for (size_t at = 0; ok && at < head.packs.len; at += SNAPSHOT_ID_BYTES) {
            struct pack *p = pack_find(l, (const void *)(head.packs.data + at));

            if (p != NULL)
                p->is_needed = true;
        }
    }
    for (size_t i = 0; ok && i < l->packs_count; i++) {
        char path[SNAPSHOT_PATH_BYTES], pack[SNAPSHOT_PATH_BYTES + sizeof SNAPSHOT_PACK_SUFFIX];

        if (l->packs[i].is_needed || snapshot_is_on_its_way(a, &l->packs[i].id))
            continue;
        (void)snprintf(pack, sizeof pack, "%s" SNAPSHOT_PACK_SUFFIX, snapshot_path(bytes_of(a->class_name), &a->id, &l->packs[i].id, path));
        (void)sys_unlinkat(AT_FDCWD, pack, 0);         /* what stays is found again */
    }
    free(l);
}

/* Its pages stay as long as others need them: sweep(). */
static bool
head_remove(const struct agent *a, const struct snapshot_id *id, struct err *err)
{
    char path[SNAPSHOT_PATH_BYTES];

    if (sys_unlinkat(AT_FDCWD, snapshot_path(bytes_of(a->class_name), &a->id, id, path), 0) == 0)
        return true;
    return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, 0, "there is no such snapshot") : err_set(err, ERR_IO, errno, "remove '%s'", path);
}

bool
snapshot_remove(const struct agent *a, const struct snapshot_id *id, struct err *err)
{
    if (!head_remove(a, id, err))
        return false;
    sweep(a);
    return true;
}

void
snapshot_remove_all(struct agent *a)
{
    struct err err = { 0 };
    struct listing *l = listing_read(a, &err);
    char path[SNAPSHOT_PATH_BYTES];

    snapshot_doom_all(a);
    for (size_t i = 0; l != NULL && i < l->count; i++)
        if (!head_remove(a, &l->entries[i].id, &err))
            worker_log_agent(a, 2, "a snapshot of it stays: %s", err.message);
    sweep(a);
    (void)sys_unlinkat(AT_FDCWD, snapshot_folder_of(bytes_of(a->class_name), &a->id, path), AT_REMOVEDIR);
    (void)sys_unlinkat(AT_FDCWD, snapshot_heap_path(a, path), 0);
    free(l);
}

/* What has no readable head has no label. */
static void
entry_look(const struct agent *a, struct entry *e)
{
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head = { 0 };

    if (!head_read(a, &e->id, room, &head))
        return;
    e->has_label = head.label.len > 0;
    e->is_passing = head.is_passing;
    e->time_ms = head.time_ms;
}

static bool
is_over(size_t count, int64_t bytes)
{
    return count >= SNAPSHOTS_MAX || bytes > SNAPSHOT_AGENT_BYTES_MAX;
}

/* The bytes of all packs, of those too that only passing ones need. */
static int64_t
packs_bytes(const struct listing *l)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < l->packs_count; i++)
        bytes += l->packs[i].bytes;
    return bytes;
}

/* Removes E, of L. What becomes free by it is seen on the disk: others may need its pages. */
static bool
entry_remove(const struct agent *a, struct listing *l, const struct entry *e, int64_t *bytes, struct err *err)
{
    const int64_t before = packs_bytes(l);
    struct listing *now;

    if (!snapshot_remove(a, &e->id, err) || (now = listing_read(a, err)) == NULL)
        return false;
    *bytes -= e->bytes + before - packs_bytes(now);
    memcpy(l->packs, now->packs, sizeof l->packs);
    l->packs_count = now->packs_count;
    free(now);
    return true;
}

bool
snapshot_make_room(const struct agent *a, const struct snapshot_wish *wish, int64_t bytes, struct err *err)
{
    struct listing *l = listing_read(a, err);
    const int64_t now_ms = clock_wall_ms();
    bool ok = l != NULL;
    size_t count = 0;

    bytes += ok ? packs_bytes(l) : 0;
    for (size_t i = 0; ok && i < l->count; i++) {
        struct entry *e = &l->entries[i];
        int64_t ignored = 0;

        entry_look(a, e);
        if (!e->is_passing) {
            bytes += e->bytes;
            count++;
        } else if (now_ms - e->time_ms > SNAPSHOT_PASSING_MS_MAX) {
            ok = entry_remove(a, l, e, &ignored, err);
        }
    }
    for (size_t i = 0; ok && !wish->is_passing && i < l->count && is_over(count, bytes); i++) {
        struct entry *e = &l->entries[i];

        if (e->is_passing || e->has_label)
            continue;
        ok = entry_remove(a, l, e, &bytes, err);
        count--;
    }
    if (ok && !wish->is_passing && is_over(count, bytes))
        ok = err_set(err, ERR_LIMIT, 0, "the agent's labelled snapshots fill its room (%d, %lld MiB): delete some", SNAPSHOTS_MAX,
                     SNAPSHOT_AGENT_BYTES_MAX >> 20);
    free(l);
    return ok;
}
