/* agent_cold — see agent_cold.h. */
#include "src/worker/agent_cold.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/commits.h"
#include "src/worker/deploy.h"
#include "src/worker/heap.h"
#include "src/worker/image.h"
#include "src/worker/recall.h"
#include "src/worker/sockets.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

#define PATH_BYTES 4096
#define FILE_BYTES_MAX (IMAGE_BYTES_MAX + IMAGE_ABOUT_BYTES_MAX + 4096)
#define BOOT_ID_BYTES 36               /* a UUID's text */
#define UNBORN_FOLDER ".asleep"        /* beside the classes' folders, whose names do not begin so; then boot, class, id */

/* What an agent has to know besides its heap; the image's `about` begins with it, its sockets follow. */
struct cold_about {
    int64_t  idle_since_ms;            /* on the clock of this boot */
    uint32_t gap_ms;                   /* its usual one */
    uint32_t next_incoming, last_cursor, last_deflate_stream;
    char     boot_id[BOOT_ID_BYTES];
    uint32_t zero;
};

static char boot_id[BOOT_ID_BYTES];    /* all zero: not known, nobody goes cold */

static unsigned unborn;                /* images of agents without a folder that this process stored and did not take back */
static bool may_be_unborn;             /* there are such images, this process's or an earlier one's of this slot */

/* ---- places ---- */

static const char *
image_path(const struct agent *a, char out[PATH_BYTES])
{
    char folder[PATH_BYTES - 16];

    (void)snprintf(out, PATH_BYTES, "%s/image", agent_folder(a, folder, sizeof folder));
    return out;
}

/* Of an agent that never wrote: it has no folder, and is none on the disk for anybody who looks there. */
static const char *
unborn_path(const struct agent *a, char out[PATH_BYTES])
{
    char hex[65];
    int n;

    agent_id_to_hex(&a->id, hex);
    n = snprintf(out, PATH_BYTES, "%s/agents/" UNBORN_FOLDER "/%.*s/%s/%s", worker.data, BOOT_ID_BYTES, boot_id, a->class_name, hex);
    assert(n > 0 && n < PATH_BYTES);
    return out;
}

/* The folders above PATH, an unborn_path(). */
static void
unborn_folders_make(const char *path)
{
    char folder[PATH_BYTES];

    (void)snprintf(folder, sizeof folder, "%s", path);
    for (char *at = strstr(folder, "/" UNBORN_FOLDER) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)sys_mkdirat(AT_FDCWD, folder, 0700);     /* mostly it is there; what is missing is seen by who writes */
        *at = '/';
    }
}

/* ---- what an earlier start of the machine left ---- */

/* Removes the folder NAME and what is in it, LEVELS of folders deep, but at most *left things. */
static void
clear(int above, const char *name, int levels, unsigned *left)
{
    const int fd = sys_openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir == NULL) {
        (void)sys_close(fd);
        return;
    }
    for (struct dirent *e; *left > 0 && (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (levels > 0)
            clear(fd, e->d_name, levels - 1, left);
        else if (sys_unlinkat(fd, e->d_name, 0) == 0)
            --*left;
    }
    (void)closedir(dir);
    if (*left > 0 && sys_unlinkat(above, name, AT_REMOVEDIR) == 0)
        --*left;
}

static void
sweep(void *owner)
{
    static struct loop_timer *timer;
    unsigned left = COLD_SWEEP_FILES;
    char path[PATH_BYTES];
    DIR *dir;
    int fd;

    (void)snprintf(path, sizeof path, "%s/agents/" UNBORN_FOLDER, worker.data);
    fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; dir != NULL && left > 0 && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.' && strncmp(e->d_name, boot_id, BOOT_ID_BYTES) != 0)
            clear(fd, e->d_name, 1, &left);
    if (dir != NULL)
        (void)closedir(dir);
    if (left == 0 && timer == NULL)
        timer = loop_timer_create(worker.loop, sweep, NULL);
    if (left == 0)
        loop_timer_arm(timer, COLD_SWEEP_PAUSE_MS);
    else if (timer != NULL)
        loop_timer_destroy(&timer);
}

/* Of this start of the machine. */
static bool
has_unborn_folder(void)
{
    char path[PATH_BYTES];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/agents/" UNBORN_FOLDER "/%.*s", worker.data, BOOT_ID_BYTES, boot_id);
    return sys_fstatat(AT_FDCWD, path, &st, 0) == 0 || errno != ENOENT;
}

void
agent_cold_init(const char *boot)
{
    if (boot == NULL || strlen(boot) != sizeof boot_id)
        return;
    memcpy(boot_id, boot, sizeof boot_id);
    may_be_unborn = has_unborn_folder();
    if (worker.slot == 0)
        sweep(NULL);
}

/* ---- going ---- */

/* Its folder's database, which is closed: nothing of it is only in the journal. */
static bool
seq_of(const struct agent *a, uint64_t *out_seq)
{
    char folder[PATH_BYTES];

    return a->store == NULL && !recall_is_needed(a) && store_peek_seq(agent_folder(a, folder, sizeof folder), out_seq);
}

static bool
is_empty(const struct umap *map)
{
    return map == NULL || umap_count(map) == 0;
}

static bool
has_folder(const struct agent *a)
{
    char folder[PATH_BYTES];
    struct stat st;

    return sys_fstatat(AT_FDCWD, agent_folder(a, folder, sizeof folder), &st, 0) == 0 || errno != ENOENT;
}

bool
agent_may_go_cold(const struct agent *a)
{
    return a->state == AGENT_WARM && agent_is_idle(a) && !a->may_restore && boot_id[0] != 0 && sockets_may_be_packed(a) &&
           is_empty(a->deflate_streams) && is_empty(a->cursors) && a->deploy == worker.deploy;
}

int64_t
agent_cold_bytes(const struct agent *a)
{
    char path[PATH_BYTES];
    struct stat st;

    return sys_fstatat(AT_FDCWD, image_path(a, path), &st, 0) == 0 || sys_fstatat(AT_FDCWD, unborn_path(a, path), &st, 0) == 0 ? st.st_size : -1;
}

/* The file appears whole or, after a power cut, in whatever shape: its checksum and the boot's name tell. */
static bool
write_file(const char *path, struct bytes data)
{
    int fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool ok = fd >= 0 && sys_write_all(fd, data.data, data.len);

    (void)sys_close(fd);
    if (!ok && fd >= 0)
        (void)sys_unlinkat(AT_FDCWD, path, 0);
    return ok;
}

static bool
write_unborn(const struct agent *a, struct bytes data)
{
    char path[PATH_BYTES];

    if (unborn >= COLD_UNBORN_MAX)
        return false;
    may_be_unborn = true;
    if (!write_file(unborn_path(a, path), data)) {
        unborn_folders_make(path);
        if (!write_file(path, data))
            return false;
    }
    unborn++;
    return true;
}

bool
agent_cold_store(struct agent *a)
{
    static struct buf image, whole;    /* kept: the next one needs them too */
    struct cold_about about = { .next_incoming = a->next_incoming, .last_cursor = a->last_cursor, .last_deflate_stream = a->last_deflate_stream,
                                .gap_ms = a->sleeper.gap_ms, .idle_since_ms = a->sleeper.idle_since_ms };
    struct image_label label = { 0 };
    char path[PATH_BYTES];

    if (!agent_may_go_cold(a) || !seq_of(a, &label.commit))
        return false;
    memcpy(about.boot_id, boot_id, sizeof about.boot_id);
    buf_clear(&whole);
    buf_append(&whole, &about, sizeof about);
    sockets_pack(a, &whole);
    label.about = buf_view(&whole);
    buf_clear(&image);
    if (!image_alone(buf_view(&a->image), a->deploy->template, &label, &image))
        return false;
    return has_folder(a) ? write_file(image_path(a, path), buf_view(&image)) : write_unborn(a, buf_view(&image));
}

void
agent_cold_drop(const struct agent *a)
{
    char path[PATH_BYTES];

    (void)sys_unlinkat(AT_FDCWD, image_path(a, path), 0);  /* what stays is refused: the commit number tells */
    if (sys_unlinkat(AT_FDCWD, unborn_path(a, path), 0) == 0 && unborn > 0)
        unborn--;
}

/* ---- waking ---- */

/* Reads the file into OUT and removes it: whatever becomes of this wake, the image is never used again. */
static bool
consume(const char *path, struct buf *out)
{
    int fd = sys_open(path, O_RDONLY, 0);
    struct stat st;
    ssize_t n = -1;

    if (fd < 0)
        return false;
    if (sys_unlinkat(AT_FDCWD, path, 0) == 0 && sys_fstat(fd, &st) == 0 && st.st_size <= FILE_BYTES_MAX) {
        buf_reserve(out, (size_t)st.st_size);
        n = sys_pread(fd, out->data, (size_t)st.st_size, 0);
    }
    (void)sys_close(fd);
    out->len = n > 0 ? (size_t)n : 0;
    return true;
}

/* Gives A, whose heap is made, what SAID tells. */
static enum image_refusal
take_about(struct agent *a, struct bytes said)
{
    struct cold_about about;

    if (said.len < sizeof about)
        return IMAGE_FORMAT;
    memcpy(&about, said.data, sizeof about);
    if (memcmp(about.boot_id, boot_id, sizeof boot_id) != 0)
        return IMAGE_COMMIT;           /* the machine stopped since: its consumption may have been undone */
    switch (sockets_unpack(a, bytes_from(said.data + sizeof about, said.len - sizeof about))) {
    case SOCKETS_MALFORMED: return IMAGE_FORMAT;
    case SOCKETS_OTHERS: return IMAGE_COMMIT;
    case SOCKETS_FINE: break;
    }
    a->next_incoming = about.next_incoming;
    a->last_cursor = about.last_cursor;
    a->oldest_cursor = about.last_cursor + 1;
    a->last_deflate_stream = about.last_deflate_stream;
    sleep_recall(&worker.sleep, &a->sleeper, about.gap_ms, about.idle_since_ms, clock_mono_ms());
    return IMAGE_FINE;
}

static enum image_refusal
apply(struct agent *a, struct bytes image)
{
    struct bytes said;
    enum image_refusal refusal;
    uint64_t seq;

    if (!deploy_keeps_heap(worker.deploy, bytes_of(a->class_name)))
        return IMAGE_TEMPLATE;
    if (!image_is_alone(image))
        return IMAGE_FORMAT;           /* a file has no business with what this process remembers of other agents */
    if (a->store != NULL)
        seq = store_seq(a->store);     /* it was recalled */
    else if (!seq_of(a, &seq))
        return IMAGE_COMMIT;
    refusal = image_apply(image, worker.deploy->template, worker.heap_bytes_max, seq, &a->heap, &said);
    if (refusal == IMAGE_FINE)
        refusal = take_about(a, said);
    if (refusal != IMAGE_FINE)
        heap_destroy(&a->heap);
    return refusal;
}

bool
agent_cold_wake(struct agent *a)
{
    static struct buf image;           /* kept: the next one needs it too */
    char path[PATH_BYTES];
    int64_t start_us = clock_cpu_us();
    enum image_refusal refusal;

    assert(a->state == AGENT_ABSENT && a->heap == NULL);
    buf_clear(&image);
    if (a->is_entry)
        return false;
    a->is_folderless = !has_folder(a);
    if (a->is_folderless || !consume(image_path(a, path), &image)) {
        if (!may_be_unborn || !consume(unborn_path(a, path), &image))
            return false;
        unborn -= unborn > 0;          /* it may be another process's */
    }
    refusal = apply(a, buf_view(&image));
    if (refusal != IMAGE_FINE) {
        worker.images_refused[refusal]++;
        return false;
    }
    a->state = a->are_sockets_stale && sockets_list(a) ? AGENT_LISTING : AGENT_AWAKE;
    worker.cold_wakes++;
    worker.wake_us += clock_cpu_us() - start_us;
    agent_heap_made(a);
    return true;
}
