/*
 * journal_room_rig — the journal in a forked child, with this program as its supervisor and its workers, and as the owner of its disk. Included
 * once per program.
 */
#ifndef DORMOUSE_JOURNAL_ROOM_RIG_H
#define DORMOUSE_JOURNAL_ROOM_RIG_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "src/journal/journal_shell.h"
#include "tests/unit/room_rig.h"

#define WAIT_MS      60000                 /* a hang fails the test, never a slow machine */
#define RECORDS_KEPT 4096
#define SUSPECTS_MAX 12000

struct said_record { uint64_t seq; uint8_t flags; uint8_t first; size_t len; };

struct side {
    struct link *link;
    bool         is_closed;
    unsigned     ready, durables, refusals, records, recalls, lists, wanted;
    uint64_t     ticket;                   /* DURABLE up to it */
    uint32_t     generation;
    uint16_t     refused_code;
    char         message[512];
    struct said_record record[RECORDS_KEPT];
    bool         recalled_ok;
    uint8_t      recalled;                 /* enum recalled */
    uint64_t     recalled_seq;
    unsigned     suspects;
    uint8_t      suspect[SUSPECTS_MAX];    /* the first byte of each id */
    bool         is_void;
    uint32_t     era;                      /* of the last whole list */
    uint64_t     sent;                     /* the last ticket that we used */
    uint32_t     ours;                     /* our generation */
};

static char folder[64];
static char apps_folder[80];               /* beside it: a folder for each app that joined */
static int *disk_errno;                    /* shared with the room: what its next calls of a kind fail with */
static struct side supervisor;
static struct side one, two;
static const char *conf_more = "";

static void
take_suspects(struct side *side, struct bytes payload, struct err *err)
{
    struct msg_SUSPECTS msg;
    size_t at = 0;

    assert_true(msg_SUSPECTS_unpack(&msg, payload, err));
    while (at < msg.entries.len) {
        uint16_t len;

        assert_true(at + 34 <= msg.entries.len);
        memcpy(&len, msg.entries.data + at + 32, 2);
        assert_true(len > 0 && at + 34 + len <= msg.entries.len);
        assert_true(side->suspects < SUSPECTS_MAX);
        side->suspect[side->suspects++] = msg.entries.data[at];
        at += 34u + len;
    }
    side->is_void = side->lists > 0 && msg.era != side->era;
    if ((msg.flags & SUSPECTS_MORE) == 0) {
        side->lists++;
        side->era = msg.era;
    }
}

static void
take_record(struct side *side, struct bytes payload, struct err *err)
{
    struct msg_RECORD msg;

    assert_true(msg_RECORD_unpack(&msg, payload, err));
    assert_true(side->records < RECORDS_KEPT);
    side->record[side->records++] = (struct said_record){ msg.seq, msg.flags, msg.pages.len > 0 ? msg.pages.data[0] : 0, msg.pages.len };
    for (size_t i = 1; i < msg.pages.len; i++)
        assert_int_equal(msg.pages.data[i], msg.pages.data[0]);
}

static bool
side_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct side *side = owner;
    struct msg_DURABLE durable;
    struct msg_REFUSED refused;
    struct msg_RECALLED recalled;

    if (type == MSG_READY)
        side->ready++;
    if (type == MSG_DURABLE) {
        assert_true(msg_DURABLE_unpack(&durable, payload, err));
        assert_true(durable.ticket > side->ticket);
        assert_true(durable.ticket <= side->sent);
        assert_int_equal(durable.generation, side->ours);
        side->ticket = durable.ticket;
        side->durables++;
    }
    if (type == MSG_REFUSED) {
        assert_true(msg_REFUSED_unpack(&refused, payload, err));
        assert_int_equal(refused.generation, side->ours);
        side->refused_code = refused.code;
        (void)snprintf(side->message, sizeof side->message, "%.*s", (int)refused.message.len, (const char *)refused.message.data);
        side->refusals++;
    }
    if (type == MSG_SUSPECTS)
        take_suspects(side, payload, err);
    if (type == MSG_RECORD)
        take_record(side, payload, err);
    if (type == MSG_RECALLED) {
        assert_true(msg_RECALLED_unpack(&recalled, payload, err));
        side->recalled = recalled.ok;
        side->recalled_ok = recalled.ok == RECALLED_OK;
        side->recalled_seq = recalled.last_seq;
        (void)snprintf(side->message, sizeof side->message, "%.*s", (int)recalled.message.len, (const char *)recalled.message.data);
        side->recalls++;
    }
    side->wanted += type == MSG_CHECKPOINT_WANTED;
    return true;
}

static void
side_closed(void *owner, struct link *link, const struct err *err)
{
    struct side *side = owner;

    side->is_closed = true;
    side->link = NULL;
}

static const struct link_events events = { .message = side_message, .closed = side_closed };

static void
side_open(struct side *side, int fd, enum role role, uint16_t index, const char *app)
{
    memset(side, 0, sizeof *side);
    side->link = rig_link(fd, role, index, app, &events, side);
}

static void
room_start(void)
{
    static char name[] = "dormouse-journal";
    static char index[] = "0";
    char *argv[] = { name, index, NULL };
    char conf[512];

    side_open(&supervisor, rig_fork(2, argv, &journal_room), ROLE_SUPERVISOR, 0, "");
    (void)snprintf(conf, sizeof conf, "{\"data\":\"%s\",\"apps\":\"%s\"%s}", folder, apps_folder, conf_more);
    msg_CONF_pack(link_out(supervisor.link), &(struct msg_CONF){ bytes_of(conf) });
    RUN_UNTIL(supervisor.ready == 1);
}

static void
room_kill(void)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    child = 0;
    link_destroy(&supervisor.link);
}

/* Stops the room in order; gives its exit status. */
static UNUSED int
room_stop(void)
{
    int status = 0;

    msg_STOP_pack(link_out(supervisor.link), &(struct msg_STOP){ 5000 });
    RUN_UNTIL(supervisor.is_closed);
    assert_int_equal(waitpid(child, &status, 0), child);
    child = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static UNUSED void
join_app(struct side *worker, uint16_t index, const char *app)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", apps_folder, app);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    side_open(worker, rig_introduce(supervisor.link, ROLE_WORKER, index, app), ROLE_WORKER, index, app);
    RUN_UNTIL(worker->lists == 1);
}

static void
join(struct side *worker, uint16_t index)
{
    join_app(worker, index, "shop");
}

static void
leave(struct side *worker)
{
    link_destroy(&worker->link);
}

static int
setup(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-journal-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(apps_folder, sizeof apps_folder, "%s.apps", folder);
    if (mkdir(apps_folder, 0700) != 0)
        return -1;
    rig_open(WAIT_MS);
    memset(disk_errno, 0, 64);
    conf_more = "";
    return 0;
}

static int
teardown(void **state)
{
    char command[192];

    leave(&one);
    leave(&two);
    if (child > 0)
        room_kill();
    rig_close();
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'", folder, apps_folder);
    return system(command);
}

static struct agent_id
agent(unsigned n)
{
    struct agent_id id = { { 0 } };

    id.bytes[0] = (uint8_t)n;
    id.bytes[7] = (uint8_t)n;
    id.bytes[8] = (uint8_t)(n >> 8);
    id.bytes[31] = 1;
    return id;
}

struct sent { unsigned agent; uint64_t seq; uint8_t flags, fill; size_t len; };

/* One part of a commit; a new ticket unless the part before said MORE. */
static UNUSED void
send_part(struct side *worker, const struct sent *sent, bool is_same_ticket)
{
    uint8_t pages[4096];

    assert_true(sent->len <= sizeof pages);
    memset(pages, sent->fill, sizeof pages);
    worker->sent += !is_same_ticket;
    msg_COMMIT_pack(link_out(worker->link), &(struct msg_COMMIT){
        .ticket = worker->sent, .generation = worker->ours, .agent = agent(sent->agent), .seq = sent->seq, .epoch = 1, .flags = sent->flags,
        .class_name = BYTES_LIT("Counter"), .name = BYTES_LIT("ada"), .pages = bytes_from(pages, sent->len),
    });
}

static UNUSED void
commit(struct side *worker, unsigned n, uint64_t seq)
{
    send_part(worker, &(struct sent){ n, seq, 0, (uint8_t)(seq + n), 600 }, false);
}

static void
commit_durably(struct side *worker, unsigned n, uint64_t seq)
{
    commit(worker, n, seq);
    RUN_UNTIL(worker->ticket == worker->sent);
}

static UNUSED void
recall(struct side *worker, unsigned n)
{
    const unsigned before = worker->recalls;

    worker->records = 0;
    msg_RECALL_pack(link_out(worker->link), &(struct msg_RECALL){ 7, agent(n), BYTES_LIT("Counter") });
    RUN_UNTIL(worker->recalls == before + 1);
}

static UNUSED void
claim(struct side *worker, unsigned n)
{
    msg_CHECKPOINTED_pack(link_out(worker->link), &(struct msg_CHECKPOINTED){ agent(n), worker->era, BYTES_LIT("Counter") });
}

/* ---- a failing disk: the room inherits this program's sys_table ---- */

static struct sys_table real;
enum { FAIL_PWRITE, FAIL_SYNC, FAIL_SYNCFS, FAIL_KINDS, DIES_IN_SYNCFS = FAIL_KINDS + 3, READ_ERRNO, SPACE_BYTES, CUT_WAITS };    /* CUT_WAITS: 1; 2 when somebody waits */

static int
fails(int kind)
{
    errno = disk_errno[kind];
    return errno != 0;
}

static ssize_t
room_pwrite(int fd, const void *data, size_t len, off_t at)
{
    return len > sizeof(uint32_t) && fails(FAIL_PWRITE) ? -1 : real.pwrite(fd, data, len, at);   /* the note of a sync takes no space */
}

static int
room_fallocate(int fd, int mode, off_t at, off_t len)
{
    if (disk_errno[SPACE_BYTES] == 0 || len <= disk_errno[SPACE_BYTES])
        return real.fallocate(fd, mode, at, len);
    errno = ENOSPC;
    return -1;
}

static int
room_ftruncate(int fd, off_t len)
{
    const struct timespec moment = { 0, 1000000 };
    int *waits = &disk_errno[CUT_WAITS];

    while (__atomic_load_n(waits, __ATOMIC_SEQ_CST) != 0) {
        __atomic_store_n(waits, 2, __ATOMIC_SEQ_CST);
        (void)nanosleep(&moment, NULL);
    }
    return real.ftruncate(fd, len);
}

static ssize_t
room_pread(int fd, void *data, size_t len, off_t at)
{
    return fails(READ_ERRNO) ? -1 : real.pread(fd, data, len, at);
}

static int
room_fdatasync(int fd)
{
    if (!fails(FAIL_SYNC))
        return real.fdatasync(fd);
    if (disk_errno[FAIL_KINDS] != 0)       /* once */
        disk_errno[FAIL_SYNC] = 0;
    return -1;
}

static int
room_syncfs(int fd)
{
    disk_errno[FAIL_KINDS + 1]++;          /* how often it was called */
    if (disk_errno[DIES_IN_SYNCFS] != 0)
        (void)raise(SIGKILL);
    if (disk_errno[FAIL_KINDS + 2] != 0)
        return real.syncfs(fd);
    return fails(FAIL_SYNCFS) ? -1 : 0;    /* the machine stays on: a real one would wait for everybody's data */
}

static int
group_setup(void **state)
{
    disk_errno = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (disk_errno == MAP_FAILED)
        return -1;
    real = sys_table;
    sys_table.pwrite = room_pwrite;
    sys_table.pread = room_pread;
    sys_table.fallocate = room_fallocate;
    sys_table.ftruncate = room_ftruncate;
    sys_table.fdatasync = room_fdatasync;
    sys_table.syncfs = room_syncfs;
    return 0;
}

/* How many files the journal has. */
static UNUSED unsigned
files(void)
{
    char command[128];
    char line[32] = "";
    FILE *pipe;

    (void)snprintf(command, sizeof command, "ls '%s' | wc -l", folder);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    assert_int_equal(pclose(pipe), 0);
    return (unsigned)strtoul(line, NULL, 10);
}

/* Spoils the pages of the first record; the room must not run. */
static UNUSED void
flip_first_record(void)
{
    char path[128];
    uint8_t byte;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%016x.seg", folder, 1);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 64 + 16 + 200), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 64 + 16 + 200), 1);
    close(fd);
}

#endif
