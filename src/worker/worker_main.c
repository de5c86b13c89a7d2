/* worker_main — the room's frame: start in serve or build mode, links, messages, stop. */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/jail/jail.h"
#include "lib/loop/loop.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/admin.h"
#include "src/worker/agent.h"
#include "src/worker/agent_cold.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/alarm_scan.h"
#include "src/worker/commits.h"
#include "src/worker/counters.h"
#include "src/worker/deploy.h"
#include "src/worker/engine.h"
#include "src/worker/heap.h"
#include "src/worker/history.h"
#include "src/worker/log.h"
#include "src/worker/peer.h"
#include "src/worker/sockets.h"
#include "src/worker/starts.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

static bool              is_build;
static bool              waits_for_stop;

static void
on_idle_timer(void *owner)
{
    int64_t next = agents_rest();

    loop_timer_arm(worker.idle_timer, (uint64_t)(next < AGENT_REST_MS ? next : AGENT_REST_MS));
}

/* ---- start ---- */

static uint32_t
number_of(const json_t *object, const char *key, uint32_t otherwise)
{
    const json_t *v = json_object_get(object, key);

    return json_is_integer(v) && json_integer_value(v) > 0 && json_integer_value(v) <= UINT32_MAX ? (uint32_t)json_integer_value(v)
                                                                                                     : otherwise;
}

static void
take_limits(const json_t *conf, const json_t *manifest)
{
    const uint32_t process_mb = number_of(conf, "process_memory_mb", 0);
    const json_t *sources[2] = { json_object_get(conf, "limits"), json_object_get(manifest, "limits") };

    worker.cpu_ms = TURN_CPU_MS_DEFAULT;
    worker.idle_ms = AGENT_IDLE_MS_DEFAULT;
    worker.warm_ms = AGENT_WARM_MS_DEFAULT;
    worker.cold_ms = AGENT_COLD_MS_DEFAULT;
    worker.heap_bytes_max = HEAP_BYTES_MAX_DEFAULT;
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        uint32_t mb = number_of(sources[i], "memory_mb", worker.heap_bytes_max >> 20);

        worker.cpu_ms = number_of(sources[i], "cpu_ms", worker.cpu_ms);
        worker.idle_ms = number_of(sources[i], "idle_ms", worker.idle_ms);
        worker.warm_ms = number_of(sources[i], "warm_ms", worker.warm_ms);
        worker.cold_ms = number_of(sources[i], "cold_ms", worker.cold_ms);
        worker.heap_bytes_max = mb < 4096 ? mb << 20 : 0xffff0000u;
    }
    /* One heap must meet its own limit before the process meets its: else its neighbours die with it. */
    if (process_mb > 0 && worker.heap_bytes_max >> 20 > process_mb / HEAP_PROCESS_PART)
        worker.heap_bytes_max = process_mb / HEAP_PROCESS_PART > HEAP_MB_MIN ? process_mb / HEAP_PROCESS_PART << 20 : HEAP_MB_MIN << 20;
}

static bool
open_deploy(const char *dir, const char *hash, const json_t *manifest, struct err *err)
{
    char *text = json_dumps(manifest, JSON_COMPACT);
    struct deploy *d = NULL;
    bool ok;

    if (text == NULL)
        return err_set(err, ERR_CONFIG, 0, "the configuration has no manifest");
    ok = deploy_open(&d, dir, hash, bytes_of(text), err);
    free(text);
    if (!ok)
        return false;
    deploy_unref(&worker.deploy);
    worker.deploy = d;
    return true;
}

static bool
build_and_tell(const json_t *conf, const char *dir, struct err *err)
{
    struct link *control;
    struct msg_BUILD_DONE m = { .build = number_of(conf, "build", room_index(worker.room) & 0x7fffu), .ok = 1 };
    struct buf json = { 0 };
    char *manifest;

    manifest = json_dumps(json_object_get(conf, "manifest"), JSON_COMPACT);
    if (!deploy_build(dir, bytes_of(manifest), &json, err)) {
        m.ok = 0;
        m.json = buf_view(&json);
    }
    free(manifest);
    control = worker_control();
    if (control == NULL)
        return err_set(err, ERR_UNAVAILABLE, 0, "control is away");
    msg_BUILD_DONE_pack(link_out(control), &m);
    link_flush(control);
    buf_fini(&json);
    return true;
}

static json_t *build_conf;             /* the build waits for the link to control */

static void
build_when_linked(void)
{
    struct err err = { 0 };
    json_t *conf = STEAL(build_conf);
    const char *dir = json_string_value(json_object_get(conf, "dir"));

    if (!build_and_tell(conf, dir, &err))
        room_log(worker.room, 3, "build: %s", err.message);
    json_decref(conf);
    room_exit(worker.room, err.code == ERR_NONE || err.code == ERR_BUILD ? 0 : 1);
}

static void
set_up(void)
{
    worker.loop = room_loop(worker.room);
    worker.agents = bmap_create();
    worker.socket_owners = umap_create();
    worker.with_sockets = idset_create();
    commits_init();
    list_init(&worker.idle);
    list_init(&worker.young);
    agent_sleep_init();
    list_init(&worker.detached);
    worker.idle_timer = loop_timer_create(worker.loop, on_idle_timer, NULL);
    worker_start_loopback();
    starts_init();
}

static bool
start_serving(const json_t *conf, const char *dir, struct err *err)
{
    const char *data = json_string_value(json_object_get(conf, "data"));
    const char *hash = json_string_value(json_object_get(conf, "deploy"));
    const json_t *manifest = json_object_get(conf, "manifest");

    if (data == NULL || hash == NULL || strlen(data) > 2048)
        return err_set(err, ERR_CONFIG, 0, "the worker's configuration lacks 'data' or 'deploy'");
    worker.data = bytes_dup(bytes_of(data));
    worker.slot = (uint16_t)number_of(conf, "slot", 0);
    worker.slots = (uint16_t)number_of(conf, "slots", 1);
    if (worker.slots == 0 || worker.slot >= worker.slots)
        return err_set(err, ERR_CONFIG, 0, "slot %u of %u", worker.slot, worker.slots);
    if (!store_root_set(worker.data, err))
        return false;
    take_limits(conf, manifest);
    set_up();
    agent_cold_init(json_string_value(json_object_get(conf, "boot")));
    history_init(number_of(conf, "history_mb", 0) > 0);
    if (!open_deploy(dir, hash, manifest, err))
        return false;
    loop_timer_arm(worker.idle_timer, AGENT_REST_MS);
    return true;
}

static bool
start(struct room *room, struct bytes conf_json, struct err *err)
{
    json_t *conf = json_loadb((const char *)conf_json.data, conf_json.len, 0, NULL);
    const char *mode = json_string_value(json_object_get(conf, "mode")), *app = json_string_value(json_object_get(conf, "app"));
    const char *dir = json_string_value(json_object_get(conf, "dir"));
    const char *runtime = json_string_value(json_object_get(conf, "runtime"));
    /* The guest's stack is ours: give it room. The kernel reads the limit at each fault. */
    struct rlimit stack = { NATIVE_STACK_BYTES, RLIM_INFINITY };
    bool ok;

    worker.room = room;
    if (mode == NULL || app == NULL || dir == NULL || runtime == NULL) {
        json_decref(conf);
        return err_set(err, ERR_CONFIG, 0, "the worker's configuration lacks 'mode', 'app', 'dir' or 'runtime'");
    }
    (void)getrlimit(RLIMIT_STACK, &stack);
    stack.rlim_cur = stack.rlim_max < NATIVE_STACK_BYTES ? stack.rlim_max : NATIVE_STACK_BYTES;
    (void)setrlimit(RLIMIT_STACK, &stack);
    worker.app = bytes_dup(bytes_of(app));
    is_build = strcmp(mode, "build") == 0;
    engine_init();
    ok = runtime_library_load(runtime, err) && jail_enter(ROLE_WORKER, conf_json, err) && (is_build || start_serving(conf, dir, err));
    if (ok && is_build)
        build_conf = json_incref(conf);
    json_decref(conf);
    if (ok)
        room_ready(room);
    if (ok && is_build && worker_control() != NULL)
        build_when_linked();
    return ok;
}

/* ---- links and messages ---- */

static void
link_up(struct room *room, struct link *link)
{
    if (is_build) {
        if (build_conf != NULL && link_peer(link)->role == ROLE_CONTROL)
            build_when_linked();
        return;
    }
    if (link_peer(link)->role == ROLE_WORKER)
        peer_arrived(link);
    if (link_peer(link)->role == ROLE_JOURNAL)
        commits_journal_up(link);
}

static void
link_down(struct room *room, struct link *link, const struct err *err)
{
    struct peer *p = link_user(link);
    enum role role = (enum role)link_peer(link)->role;

    if (p != NULL)
        peer_lost(p);
    if (role == ROLE_JOURNAL && !is_build)
        commits_journal_down();
    if (role == ROLE_SCHEDULER)
        alarm_scan_stop();
    if ((role == ROLE_GATEWAY || role == ROLE_EGRESS) && !is_build)
        sockets_holder_lost(role);
    if (!is_build)
        worker_run_loopback();
}

static bool
on_deploy(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_DEPLOY m;
    struct msg_DEPLOYED done = { .ok = 1 };
    struct err problem = { 0 };
    char dir[4096], hash[256];
    json_t *manifest;

    if (!msg_DEPLOY_unpack(&m, payload, err))
        return false;
    if (m.hash.len >= sizeof hash || memchr(m.hash.data, '/', m.hash.len) != NULL)
        return err_set(err, ERR_MALFORMED, 0, "DEPLOY with a hash of %zu bytes", m.hash.len);
    (void)snprintf(hash, sizeof hash, "%.*s", (int)m.hash.len, (const char *)m.hash.data);
    (void)snprintf(dir, sizeof dir, "%s/deploys/%s", worker.data, hash);
    done.hash = m.hash;
    if (worker.deploy == NULL || strcmp(worker.deploy->hash, hash) != 0) {
        manifest = json_loadb((const char *)m.manifest.data, m.manifest.len, 0, NULL);
        if (!open_deploy(dir, hash, manifest, &problem)) {
            done.ok = 0;
            done.message = bytes_of(problem.message);
        } else {
            agents_on_deploy();
        }
        json_decref(manifest);
    }
    msg_DEPLOYED_pack(link_out(link), &done);
    return true;
}

static bool
on_pressure(struct room *room, struct link *link, struct bytes payload, struct err *err)
{
    struct msg_PRESSURE m;

    if (!msg_PRESSURE_unpack(&m, payload, err))
        return false;
    if (link != room_supervisor(room) || m.level >= PRESSURES)
        return err_set(err, ERR_MALFORMED, 0, "PRESSURE %u is not the supervisor's to say", m.level);
    agents_press((enum pressure)m.level);
    return true;
}

/* Messages are handled in order: whatever came before it has had its turn. */
static bool
on_pace(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_ALARM_PACE m;

    if (!msg_ALARM_PACE_unpack(&m, payload, err))
        return false;
    msg_ALARM_PACE_pack(link_out(link), &m);
    return true;
}

static bool
handle(struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    if (link_peer(link)->role == ROLE_JOURNAL)
        return commits_message(type, payload, err);
    switch (type) {
    case MSG_DEPLOY:
        return on_deploy(link, payload, err);
    case MSG_ADMIN:
        return admin_message(link, payload, err);
    case MSG_ALARM_PACE:
        return on_pace(link, payload, err);
    case MSG_PRESSURE:
        return on_pressure(worker.room, link, payload, err);
    case MSG_ALARM_SCAN:
        return link_peer(link)->role == ROLE_SCHEDULER ? alarm_scan_message(payload, err)
                                                       : err_set(err, ERR_MALFORMED, 0, "ALARM_SCAN is the scheduler's to say");
    default:
        return peer_message(peer_of_link(link), type, payload, err);
    }
}

static bool
message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    bool ok;

    if (is_build)
        return true;
    ok = handle(link, type, payload, err);
    worker_run_loopback();
    return ok;
}

/* The only descriptor that comes this way: /proc/PID/pagemap. */
static void
take_descriptor(struct room *room, struct bytes name, struct bytes address, int fd)
{
    if (bytes_equal_str(name, "pagemap"))
        heap_use_pagemap(fd);
    else
        (void)sys_close(fd);
}

static void
stop_if_idle(void *owner)
{
    if (worker.open_calls == 0 && commits_are_none()) {
        agents_put_away();
        room_exit(worker.room, 0);
    }
}

static void
stop(struct room *room, uint32_t grace_ms)
{
    if (is_build || waits_for_stop) {
        room_exit(room, 0);
        return;
    }
    waits_for_stop = true;
    worker.is_stopping = true;
    /* What runs finishes; the supervisor ends the room when the grace is over. */
    (void)loop_before_wait(worker.loop, stop_if_idle, NULL);
}

#ifdef __SANITIZE_ADDRESS__
/* Builds for tests: a jailed room has no /proc/self/environ, where ASAN_OPTIONS would be read, and cannot be traced for leaks; the engine owns SIGSEGV.
 * What is freed is filled: gcc does not check a field again that it checked before a call, but what is read of it then is no bool, no pointer. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "detect_leaks=0:handle_segv=0:max_free_fill_size=65536:free_fill_byte=190";
}
#endif

int
main(int argc, char **argv)
{
    static const struct room_spec spec = {
        .role = ROLE_WORKER, .name = "worker", .start = start, .link_up = link_up, .link_down = link_down, .message = message, .listen = take_descriptor, .stop = stop,
        .count = counters_put,
    };

    return room_main(argc, argv, &spec);
}
