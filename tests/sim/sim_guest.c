/*
 * sim_guest — what stands where the worker has its JavaScript engine: one program that every agent runs, and heaps of a few bytes.
 *
 * Linked into the worker's program (sim.mk) in place of engine, heap, image, guest, sql, sockets, timers, deploy. The agent keeps a log of
 * numbered rows in its database, and in its heap how many they are: a heap that knows of other rows than the database has is a broken
 * promise. Values are places in a table that each turn begins anew.
 */
#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc32c.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/recall.h"
#include "src/worker/alarms.h"
#include "src/worker/async_context.h"
#include "src/worker/deflate.h"
#include "src/worker/deliver.h"
#include "src/worker/deploy.h"
#include "src/worker/file_sync.h"
#include "src/worker/heap.h"
#include "src/worker/image.h"
#include "src/worker/natives.h"
#include "src/worker/sockets.h"
#include "src/worker/sql.h"
#include "src/worker/timers.h"
#include "tests/sim/sim.h"

#define VALUES_MAX 64
#define ROWS_MAX   2048
#define CREATE_SQL "CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, op INTEGER, kind INTEGER, due INTEGER, at INTEGER, pad BLOB)"
#define READ_SQL   "SELECT n, op, kind, due, at FROM log ORDER BY n"
#define INSERT_SQL "INSERT INTO log (n, op, kind, due, at, pad) SELECT coalesce(max(n), 0) + 1, ?, ?, ?, ?, randomblob(?) FROM log"

struct memory {                                    /* what a heap is */
    bool     is_known;
    uint32_t rows;
    uint64_t last_op;
};
struct heap {
    struct memory memory;
    void         *user;
};
struct picture {                                   /* an image: this, then the label's about */
    uint32_t      check, about_len;
    uint64_t      commit;
    struct memory memory;
};
struct value {
    double       number;
    struct bytes bytes;
};

static struct heap *entered;
static jmp_buf leaving;
static enum trap why;
static struct value values[VALUES_MAX];
static uint32_t values_count;

/* ---- values ---- */

static jsval
value_new(struct value value)
{
    assert(values_count < VALUES_MAX);
    values[values_count] = value;
    return JSV(ENGINE_TAG_OBJECT, values_count++);
}

jsval
js_new_string(struct bytes text)
{
    return value_new((struct value){ .bytes = text });
}

jsval
js_new_array_buffer(struct bytes copy)
{
    return value_new((struct value){ .bytes = copy });
}

jsval
js_new_number(double number)
{
    return value_new((struct value){ .number = number });
}

double
js_get_double(jsval v)
{
    return values[(uint32_t)v].number;
}

static struct bytes
bytes_in(jsval v)
{
    return values[(uint32_t)v].bytes;
}

jsval
guest_arg(uint32_t argc, uint32_t argv, uint32_t i)
{
    return i < argc ? JSV(ENGINE_TAG_OBJECT, argv + i) : JSV_NULL;
}

void
js_free(jsval v)
{
}

jsval
js_take_exception(void)
{
    return JSV_UNDEFINED;
}

jsval
js_throw_error(const char *fmt, ...)
{
    return JSV_EXCEPTION;
}

jsval
js_throw_type(const char *fmt, ...)
{
    return JSV_EXCEPTION;
}

/* ---- the program ---- */

static void
check(bool ok)
{
    if (!ok)
        engine_trap(TRAP_ABORT);                   /* a statement threw and nobody caught it: the turn is undone */
}

static struct store *
database(void)
{
    struct store *store = agent_current_store();

    check(store != NULL);
    return store;
}

static void
run(const char *sql, const struct store_value *given, size_t count)
{
    struct store_cursor *cursor = NULL;
    struct err err = { 0 };
    const bool ok = store_query(database(), bytes_of(sql), given, count, &cursor, &err);

    if (!ok)
        sim_trace("statement failed: %s", err.message);
    check(ok);
    store_cursor_close(&cursor);
}

static uint64_t
integer_at(struct store_cursor *cursor, unsigned column)
{
    struct store_value value;

    store_cursor_value(cursor, column, &value);
    return (uint64_t)value.integer;
}

static void
log_read_all(struct buf *out)
{
    struct store_cursor *cursor = NULL;
    struct err err = { 0 };
    bool ok = store_query(database(), BYTES_LIT(READ_SQL), NULL, 0, &cursor, &err);

    buf_clear(out);
    while (ok && store_cursor_has_row(cursor)) {
        struct world_entry entry = { .number = (uint32_t)integer_at(cursor, 0), .op = integer_at(cursor, 1), .kind = (uint32_t)integer_at(cursor, 2),
                                     .due_ms = (int64_t)integer_at(cursor, 3), .at_ms = (int64_t)integer_at(cursor, 4) };

        buf_append(out, &entry, sizeof entry);
        ok = store_cursor_next(cursor, &err);
    }
    if (cursor != NULL)
        store_cursor_close(&cursor);
    check(ok);
}

/* The log as it is; the heap must not remember another one. */
static struct bytes
log_look(void)
{
    static struct buf rows;
    struct memory *memory = &entered->memory;
    const struct world_entry *entries;
    struct memory now = { .is_known = true };

    log_read_all(&rows);
    entries = (const struct world_entry *)(const void *)rows.data;
    now.rows = (uint32_t)(rows.len / sizeof *entries);
    now.last_op = now.rows > 0 ? entries[now.rows - 1].op : 0;
    assert(now.rows < ROWS_MAX);
    if (memory->is_known && (memory->rows != now.rows || memory->last_op != now.last_op))
        sim_fail("a heap remembers %u rows up to op %llu, its database has %u up to %llu", memory->rows, (unsigned long long)memory->last_op,
                 now.rows, (unsigned long long)now.last_op);
    *memory = now;
    return buf_view(&rows);
}

static void
log_add(uint64_t op, uint32_t kind, int64_t due_ms, uint32_t bytes)
{
    const struct store_value given[] = {
        { .type = STORE_INTEGER, .integer = (int64_t)op }, { .type = STORE_INTEGER, .integer = kind }, { .type = STORE_INTEGER, .integer = due_ms },
        { .type = STORE_INTEGER, .integer = clock_wall_ms() }, { .type = STORE_INTEGER, .integer = bytes },
    };

    run(INSERT_SQL, given, ARRAY_LEN(given));
    entered->memory.rows++;
    entered->memory.last_op = op;
}

static void
set_alarm(int64_t due_ms)
{
    const uint32_t at = values_count;

    (void)js_new_number((double)due_ms);
    check(!js_is_exception(native_alarm_set(NULL, 0, JSV_UNDEFINED, due_ms == 0 ? 0 : 1, at)));
}

static void
reply(struct call *c, struct bytes body)
{
    struct msg_REPLY m = { .call = c->wire, .status = 200, .slot = worker.slot, .flags = CALL_HAS_BODY, .body = body };

    c->is_replied = true;
    if (!c->is_cancelled)
        msg_REPLY_pack(agent_out(c->agent, c->peer), &m);
    call_free(c);
}

static void
on_rpc(struct agent *a, struct call *c, struct bytes body)
{
    struct world_request request;

    assert(body.len == sizeof request);
    memcpy(&request, body.data, sizeof request);
    (void)log_look();
    if (request.kind != 0)
        log_add(request.op, request.kind, request.due_ms, request.bytes);
    if (request.kind == ENTRY_TRAP) {
        sim_saw(SAW_TRAP);
        engine_trap(TRAP_FAULT);
    }
    if (request.kind == ENTRY_SET || request.kind == ENTRY_CLEAR)
        set_alarm(request.due_ms);
    reply(c, log_look());
}

static void
on_alarm(struct agent *a, struct call *c)
{
    (void)log_look();
    if (c->alarm_retry > 0)
        sim_saw(SAW_ALARM_RETRIED);
    if (c->alarm_retry < 2 && !plan.is_calm && sim_below(8) == 0)
        engine_trap(TRAP_FAULT);
    if (c->alarm_retry < 2 && !plan.is_calm && sim_below(5) == 0) {
        alarms_done(a, c, 1);
        return;
    }
    log_add(sim_u64() >> 1, ENTRY_FIRED, a->alarm_running_ms, 10);
    if (!plan.is_calm && sim_below(5) == 0) {
        const int64_t due_ms = clock_wall_ms() + sim_below(5000);

        log_add(sim_u64() >> 1, ENTRY_SET, due_ms, 10);
        set_alarm(due_ms);
    }
    alarms_done(a, c, 0);
}

void
heap_dispatch(int event, int argc, const jsval *argv)
{
    struct agent *a = agent_current();
    struct call *c = argc > 0 && (event == JS_RPC || event == JS_ALARM) ? call_find(a, (uint32_t)js_get_double(argv[0]), SIDE_INCOMING) : NULL;

    switch (event) {
    case JS_BOOT_AGENT:
        run(CREATE_SQL, NULL, 0);
        agent_booted(a, NULL, BYTES_NONE);
        return;
    case JS_RPC:
        on_rpc(a, c, bytes_in(argv[2]));
        return;
    case JS_ALARM:
        on_alarm(a, c);
        return;
    default:
        return;                                    /* nothing else is asked for here, and callers that went away are nothing to it */
    }
}

/* ---- the engine ---- */

enum trap
engine_run(void (*fn)(void *arg), void *arg)
{
    values_count = 0;
    if (setjmp(leaving) != 0)
        return why;
    fn(arg);
    return TRAP_NONE;
}

NORETURN void
engine_trap(enum trap trap)
{
    why = trap;
    longjmp(leaving, 1);
}

const char *
trap_text(enum trap trap)
{
    return "trap";
}

void
engine_init(void)
{
}

void
engine_cpu_limit(int64_t until_cpu_us)
{
}

bool
engine_cpu_is_over(void)
{
    return false;
}

uint32_t
async_context_section(void)
{
    return 0;
}

bool
runtime_library_load(const char *path, struct err *err)
{
    return true;
}

/* ---- heaps and their images ---- */

struct heap *
heap_create(struct template *t, uint32_t bytes_max)
{
    struct heap *heap = calloc(1, sizeof *heap);

    assert(heap != NULL);
    return heap;
}

void
heap_destroy(struct heap **heap)
{
    free(*heap);
    *heap = NULL;
}

void
heap_enter(struct heap *heap)
{
    entered = heap;
}

void
heap_leave(void)
{
    entered = NULL;
}

struct heap *
heap_current(void)
{
    return entered;
}

void
heap_set_user(struct heap *heap, void *user)
{
    heap->user = user;
}

void *
heap_user(const struct heap *heap)
{
    return heap != NULL ? heap->user : NULL;
}

size_t
heaps_possible(size_t wanted)
{
    return wanted;
}

size_t
heap_share_again(struct heap *heap)
{
    return 0;
}

void
heap_use_pagemap(int fd)
{
}

void
heap_pool_rest(enum heap_pool_rest which)
{
}

size_t
template_bytes(const struct template *t)
{
    return 0;
}

static void
picture_pack(struct buf *out, struct picture picture, struct bytes about)
{
    const size_t at = out->len;

    picture.check = 0;
    picture.about_len = (uint32_t)about.len;
    buf_append(out, &picture, sizeof picture);
    buf_append_bytes(out, about);
    picture.check = crc32c(1, out->data + at, out->len - at);
    memcpy(out->data + at, &picture.check, sizeof picture.check);
}

static bool
picture_get(struct bytes image, struct picture *out)
{
    struct buf copy = { 0 };
    bool ok;

    if (image.len < sizeof *out)
        return false;
    memcpy(out, image.data, sizeof *out);
    buf_append_bytes(&copy, image);
    memset(copy.data, 0, sizeof out->check);
    ok = image.len == sizeof *out + out->about_len && crc32c(1, copy.data, copy.len) == out->check;
    buf_fini(&copy);
    return ok;
}

bool
image_take(struct heap *heap, const struct image_label *label, struct buf *out)
{
    struct picture picture;

    memset(&picture, 0, sizeof picture);
    picture.commit = label->commit;
    picture.memory = heap->memory;
    picture_pack(out, picture, label->about);
    sim_saw(SAW_IMAGED);
    return true;
}

enum image_refusal
image_apply(struct bytes image, struct template *template, uint32_t bytes_max, uint64_t commit, struct heap **out_heap, struct bytes *out_about)
{
    struct picture picture;

    if (!picture_get(image, &picture))
        return IMAGE_DAMAGED;
    if (picture.commit != commit)
        return IMAGE_COMMIT;
    *out_heap = heap_create(template, bytes_max);
    (*out_heap)->memory = picture.memory;
    *out_about = bytes_from(image.data + sizeof picture, picture.about_len);
    sim_saw(SAW_WOKEN);
    return IMAGE_FINE;
}

enum image_refusal
image_check(struct bytes image, const struct template *template, uint32_t bytes_max, uint64_t commit)
{
    struct picture picture;

    return !picture_get(image, &picture) ? IMAGE_DAMAGED : picture.commit != commit ? IMAGE_COMMIT : IMAGE_FINE;
}

bool
image_alone(struct bytes image, struct template *template, const struct image_label *label, struct buf *out)
{
    struct picture picture;

    if (!picture_get(image, &picture))
        return false;
    picture.commit = label->commit;
    picture_pack(out, picture, label->about);
    return true;
}

const char *
image_refusal_text(enum image_refusal refusal)
{
    return "refused";
}

/* ---- the deployment ---- */

bool
deploy_open(struct deploy **out_deploy, const char *dir, const char *hash, struct bytes manifest, struct err *err)
{
    struct deploy *deploy = calloc(1, sizeof *deploy);

    assert(deploy != NULL);
    deploy->hash = bytes_dup(bytes_of(hash));
    deploy->env_json = deploy->compat_json = bytes_dup(BYTES_LIT("{}"));
    deploy->refs = 1;
    *out_deploy = deploy;
    return true;
}

void
deploy_ref(struct deploy *deploy)
{
    deploy->refs++;
}

void
deploy_unref(struct deploy **deploy)
{
    if (*deploy != NULL)
        (*deploy)->refs--;
    *deploy = NULL;
}

bool
deploy_may_have_class(struct bytes class_name)
{
    return true;
}

bool
deploy_has_class(const struct deploy *deploy, struct bytes class_name)
{
    return true;
}

bool
deploy_keeps_heap(const struct deploy *deploy, struct bytes class_name)
{
    return !bytes_equal_str(class_name, "Counter");
}

unsigned
deploy_kin(const struct deploy *deploy, struct bytes class_name)
{
    return 0;
}

bool
deploy_build(const char *dir, struct bytes manifest, struct buf *out_json, struct err *err)
{
    return err_set(err, ERR_BUILD, 0, "nothing is built here");
}

/* ---- what its agents have not ---- */

void
sql_drop_cursors(struct agent *agent)
{
}

bool
sql_rest_cursors(struct agent *agent, size_t rows_bytes_max)
{
    return true;                           /* the programs here have none */
}

void
timers_drop(struct agent *agent)
{
}

void
timers_each(const struct agent *agent, void (*fn)(void *owner, uint32_t id, int64_t due_mono_ms), void *owner)
{
}

void
timers_list(const struct agent *agent, struct buf *out)
{
}

void
timers_arm(struct agent *agent, const struct snapshot_timer *timer)
{
}

void
deflate_drop(struct agent *agent)
{
}

bool
sockets_need_listing(const struct agent *agent)
{
    return false;
}

bool
sockets_list(struct agent *agent)
{
    return false;
}

bool
sockets_may_be_packed(const struct agent *agent)
{
    return true;
}

void
sockets_pack(const struct agent *agent, struct buf *out)
{
}

enum sockets_refusal
sockets_unpack(struct agent *agent, struct bytes packed)
{
    return SOCKETS_FINE;
}

void
sockets_drop(struct agent *agent)
{
}

void
sockets_forget(struct agent *agent)
{
}

bool
sockets_message(struct peer *peer, uint16_t type, struct bytes payload, struct err *err)
{
    if (type != MSG_WS_AGENTS)
        return err_set(err, ERR_MALFORMED, 0, "message %u is nothing for a worker here", type);
    recall_sockets_known();                /* nobody has any */
    return true;
}

void
sockets_holder_lost(enum role role)
{
}

void
sockets_event_lost(struct agent *agent, uint64_t socket)
{
}

bool
image_is_alone(struct bytes image)
{
    return true;                                   /* none of them has kin */
}

/* ---- files --------------------------------------------------------------------------------------------------------------------- */

/* The worker's part of file_sync.h: no descriptor travels here, files are synced in line. */
bool
file_sync(int fd, file_sync_fn *fn, void *owner, int *out_errno)
{
    *out_errno = sys_fsync(fd) == 0 ? 0 : errno;
    (void)sys_close(fd);                   /* it was synced, or is thrown away */
    return false;
}

void
file_sync_journal_down(void)
{
}

bool
file_synced(struct bytes payload, struct err *err)
{
    return err_set(err, ERR_MALFORMED, 0, "nobody asked");
}
