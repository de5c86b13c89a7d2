/* sockets — see sockets.h. */
#include "src/worker/sockets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/worker/cast.h"
#include "src/worker/deliver.h"
#include "src/worker/deploy.h"
#include "src/worker/heap.h"
#include "src/worker/log.h"
#include "src/worker/natives.h"
#include "src/worker/peer.h"
#include "src/worker/recall.h"
#include "src/worker/sockets_internal.h"
#include "src/worker/worker_limits.h"

#define SOCKET_EGRESS_BIT (1ull << 51)     /* egress numbers its sockets with this bit, workers without */
#define WS_CODE_NONE 1005
#define WS_CODE_RESTART  1012

/* Messages that arrive in fragments: socket → struct buf. */
static struct umap *partials;
static uint64_t     next_socket;
static uint32_t     last_listing;
static struct umap *listings;          /* request → struct agent */

static uint64_t
fresh_socket(void)
{
    if (next_socket == 0)              /* unique across restarts: 20 random bits, then a counter */
        next_socket = (rng_u64() & 0xfffffull) << 30;
    return ++next_socket & (SOCKET_EGRESS_BIT - 1);
}

struct ws_info *
sockets_add(struct agent *a, uint64_t socket, bool is_live, enum role role)
{
    struct ws_info *w = calloc(1, sizeof *w);

    assert(w != NULL);
    *w = (struct ws_info){ .socket = socket, .agent = a, .role = role, .is_live = is_live };
    if (a->sockets == NULL)
        a->sockets = umap_create();
    umap_put(a->sockets, socket, w);
    if (is_live) {
        a->live_sockets++;
        umap_put(worker.socket_owners, socket, w);
    }
    return w;
}

static void
info_free(struct ws_info *w)
{
    (void)umap_take(w->agent->sockets, w->socket);
    if (w->is_live) {
        w->agent->live_sockets--;
        (void)umap_take(worker.socket_owners, w->socket);
    }
    buf_fini(&w->listed);
    free(w);
}

struct ws_info *
sockets_find(struct agent *a, uint64_t socket)
{
    return a->sockets != NULL ? umap_get(a->sockets, socket) : NULL;
}

/* ---- listing at wake ---- */

bool
sockets_need_listing(const struct agent *a)
{
    return idset_has(worker.with_sockets, a->id.bytes) && peer_of_role(ROLE_GATEWAY) != NULL;
}

bool
sockets_list(struct agent *a)
{
    struct msg_WS_LIST m = { .request = ++last_listing, .agent = a->id, .class_name = bytes_of(a->class_name) };

    a->are_sockets_stale = false;
    if (peer_of_role(ROLE_GATEWAY) == NULL)
        return false;
    if (listings == NULL)
        listings = umap_create();
    a->listing = m.request;
    umap_put(listings, m.request, a);
    msg_WS_LIST_pack(peer_out(peer_of_role(ROLE_GATEWAY)), &m);
    return true;
}

static bool
on_socket(struct bytes payload, struct err *err)
{
    struct msg_WS_SOCKET m;
    struct agent *a;
    struct ws_info *w;

    if (!msg_WS_SOCKET_unpack(&m, payload, err))
        return false;
    a = listings != NULL ? umap_get(listings, m.request) : NULL;
    if (a == NULL || (a->sockets != NULL && umap_count(a->sockets) >= SOCKETS_PER_AGENT_MAX))
        return true;
    w = sockets_find(a, m.socket);
    if (w == NULL)
        w = sockets_add(a, m.socket, false, ROLE_GATEWAY);
    buf_clear(&w->listed);
    buf_append_bytes(&w->listed, payload);
    return true;
}

static void
keep_text(char **place, struct bytes text)
{
    free(*place);
    *place = text.data != NULL && text.len > 0 ? bytes_dup(text) : NULL;
}

void
sockets_keep_auto(struct agent *a, struct bytes request, struct bytes response)
{
    keep_text(&a->auto_request, request);
    keep_text(&a->auto_response, response);
}

static void
tell_auto(struct agent *a)
{
    struct msg_WS_AUTO m = { .agent = a->id, .class_name = bytes_of(a->class_name), .request = bytes_of(a->auto_request),
                             .response = bytes_of(a->auto_response) };
    struct peer *p = peer_of_role(ROLE_GATEWAY);

    if (p != NULL)
        msg_WS_AUTO_pack(agent_out(a, p), &m);
}

static bool
on_listed(struct bytes payload, struct err *err)
{
    struct msg_WS_LISTED m;
    struct agent *a;

    if (!msg_WS_LISTED_unpack(&m, payload, err))
        return false;
    a = listings != NULL ? umap_take(listings, m.request) : NULL;
    if (a == NULL)
        return true;
    if (m.auto_request.len > 0 || a->auto_request == NULL)
        sockets_keep_auto(a, m.auto_request, m.auto_response);
    else
        tell_auto(a);                  /* another gateway, which does not know it */
    a->listing = 0;
    sockets_compare(a);
    agent_listed(a);
    return true;
}

/* ---- the agent goes ---- */

static void
pack_close(struct ws_info *w, struct buf *out, uint16_t code, struct bytes reason)
{
    struct msg_WS_CLOSE m = { .socket = w->socket, .code = code, .reason = reason };

    msg_WS_CLOSE_pack(out, &m);
}

static void
forget_listing(struct agent *a)
{
    if (a->listing != 0)
        (void)umap_take(listings, a->listing);
    a->listing = 0;
    a->known_sockets = SOCKETS_NONE;
    a->are_sockets_stale = false;
}

void
sockets_drop(struct agent *a)
{
    size_t cursor = 0;
    uint64_t socket;
    void *value;

    forget_listing(a);
    if (a->sockets == NULL)
        return;
    while (umap_next(a->sockets, &cursor, &socket, &value)) {
        struct ws_info *w = value;
        struct peer *p = peer_of_role(w->role);

        if (w->is_live && !w->is_closed && p != NULL)
            pack_close(w, peer_out(p), WS_CODE_ABNORMAL, BYTES_NONE);
        info_free(w);
        cursor = 0;
    }
}

void
sockets_forget(struct agent *a)
{
    size_t cursor = 0;
    uint64_t socket;
    void *value;

    forget_listing(a);
    if (a->sockets != NULL) {
        while (umap_next(a->sockets, &cursor, &socket, &value)) {
            info_free(value);
            cursor = 0;
        }
        umap_destroy(&a->sockets);
    }
    free(a->auto_request);
    free(a->auto_response);
}

void
sockets_holder_lost(enum role role)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;

    while (umap_next(worker.socket_owners, &cursor, &key, &value)) {
        struct ws_info *w = value;

        if (w->role == role && !w->is_closed) {
            w->is_closed = true;
            deliver_post_ws_close(w->agent, w->socket, WS_CODE_ABNORMAL, false, BYTES_NONE);
            cursor = 0;                /* delivering may have changed the map */
        }
    }
    if (role != ROLE_GATEWAY)
        return;
    /* Agents that wait for a list start without: their connections are gone, or they are listed when the gateway is back. */
    sockets_era_ends();
    cursor = 0;
    while (listings != NULL && umap_next(listings, &cursor, &key, &value)) {
        struct agent *a = umap_take(listings, key);

        a->listing = 0;
        sockets_list_broken(a);
        agent_listed(a);
        cursor = 0;
    }
    idset_destroy(&worker.with_sockets);
    worker.with_sockets = idset_create();
}

/* ---- what arrives ---- */

/* Whose end of SOCKET this is; wakes the agent's structure when the message names it. */
static struct agent *
owner_of(uint64_t socket, const struct agent_id *id, struct bytes class_name, struct bytes name)
{
    struct ws_info *w = umap_get(worker.socket_owners, socket);
    struct agent *a;

    if (w != NULL)
        return w->agent;
    if (agent_id_is_none(id) || agent_id_slot(id, worker.slots) != worker.slot || worker.deploy == NULL ||
        !deploy_may_have_class(class_name))
        return NULL;
    a = agent_get(class_name, id, name);
    if (a->state != AGENT_ABSENT && sockets_find(a, socket) == NULL)
        (void)sockets_add(a, socket, false, ROLE_GATEWAY);
    if (a->state == AGENT_ABSENT)
        idset_add(worker.with_sockets, id->bytes);
    return a;
}

static bool
on_ws_message(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_WS_MESSAGE m;
    struct agent *a;
    struct buf *part;

    if (!msg_WS_MESSAGE_unpack(&m, payload, err))
        return false;
    part = umap_get(partials, m.socket);
    if (part != NULL || !(m.flags & WS_FIN)) {
        if (part == NULL) {
            part = calloc(1, sizeof *part);
            assert(part != NULL);
            umap_put(partials, m.socket, part);
        }
        if (part->len + m.data.len > WS_MESSAGE_BYTES_MAX)
            return err_set(err, ERR_LIMIT, 0, "a WebSocket message is larger than 32 MiB");
        buf_append_bytes(part, m.data);
        if (!(m.flags & WS_FIN))
            return true;
        (void)umap_take(partials, m.socket);
        m.data = buf_view(part);
    }
    a = owner_of(m.socket, &m.agent, m.class_name, m.name);
    if (a != NULL)
        deliver_post_ws_message(a, m.socket, (m.flags & WS_TEXT) != 0, m.data);
    if (part != NULL) {
        buf_fini(part);
        free(part);
    }
    return true;
}

static bool
on_ws_close(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_WS_CLOSE m;
    struct agent *a;
    struct ws_info *w;
    struct buf *part;

    if (!msg_WS_CLOSE_unpack(&m, payload, err))
        return false;
    part = umap_take(partials, m.socket);
    if (part != NULL) {
        buf_fini(part);
        free(part);
    }
    a = owner_of(m.socket, &m.agent, m.class_name, m.name);
    if (a == NULL) {
        msg_WS_CREDIT_pack(peer_out(p), &(struct msg_WS_CREDIT){ .socket = m.socket });    /* nobody is left who could be told */
        return true;
    }
    w = sockets_find(a, m.socket);
    if (w != NULL)
        w->is_closed = true;
    deliver_post_ws_close(a, m.socket, m.code, m.was_clean != 0, m.reason);
    return true;
}

static bool
on_agents(struct bytes payload, struct err *err)
{
    struct msg_WS_AGENTS m;

    if (!msg_WS_AGENTS_unpack(&m, payload, err))
        return false;
    if (m.ids.len % 32 != 0)
        return err_set(err, ERR_MALFORMED, 0, "WS_AGENTS of %zu bytes", m.ids.len);
    if (m.ids.len == 0) {
        sockets_era_begins();
        recall_sockets_known();
    }
    for (size_t at = 0; at < m.ids.len; at += 32) {
        struct agent_id id;

        memcpy(id.bytes, m.ids.data + at, sizeof id.bytes);
        if (agent_id_is_none(&id))
            return err_set(err, ERR_MALFORMED, 0, "WS_AGENTS names no agent");
        if (m.present)
            idset_add(worker.with_sockets, id.bytes);
        else
            idset_remove(worker.with_sockets, id.bytes);
    }
    return true;
}

bool
sockets_message(struct peer *p, uint16_t type, struct bytes payload, struct err *err)
{
    if (partials == NULL)
        partials = umap_create();
    switch (type) {
    case MSG_WS_MESSAGE: return on_ws_message(p, payload, err);
    case MSG_WS_CLOSE: return on_ws_close(p, payload, err);
    case MSG_WS_SOCKET: return on_socket(payload, err);
    case MSG_WS_LISTED: return on_listed(payload, err);
    case MSG_WS_AGENTS: return on_agents(payload, err);
    default:
        return err_set(err, ERR_MALFORMED, 0, "unexpected message %s", message_name(type) != NULL ? message_name(type) : "of no type");
    }
}

void
sockets_event_done(struct agent *a, uint64_t socket, uint64_t bytes)
{
    struct ws_info *w = sockets_find(a, socket);
    struct peer *p = peer_of_role(w != NULL ? w->role : ROLE_GATEWAY);
    struct msg_WS_CREDIT m = { .socket = socket, .bytes = (uint32_t)bytes };

    bool is_over = (w == NULL || (w->is_closed && !w->is_live)) && bytes == 0;

    /* Behind the gate: the gateway takes it as "handled for good", and keeps the socket through this worker's death. With no bytes: its
     * close was handled, and the gateway may forget what it kept for the handler. */
    if ((bytes > 0 || is_over) && p != NULL)
        msg_WS_CREDIT_pack(agent_out(a, p), &m);
    if (w != NULL && w->is_closed)
        info_free(w);
}

void
sockets_event_lost(struct agent *a, uint64_t socket)
{
    struct ws_info *w = sockets_find(a, socket);
    struct peer *gateway = peer_of_role(ROLE_GATEWAY);
    struct msg_WS_CLOSE m = { .socket = socket, .code = WS_CODE_RESTART, .reason = BYTES_LIT("The agent was reset.") };

    if (gateway == NULL || (w != NULL && w->is_live))
        return;
    msg_WS_CLOSE_pack(peer_out(gateway), &m);
}

/* ---- natives ---- */

static bool
socket_arg(jsval v, uint64_t *out)
{
    double d = js_get_double(v);

    if (!(d >= 1 && d < 0x1p53)) {
        js_throw_type("a socket id is expected");
        return false;
    }
    *out = (uint64_t)d;
    return true;
}

/* Text of an array of strings, "tag\n" each. */
static bool
pack_tags(jsval array, struct buf *out)
{
    int64_t n = 0;

    if (js_is_nullish(array))
        return true;
    if (!js_get_length(array, &n))
        return false;
    for (int64_t i = 0; i < n && i < 10; i++) {
        jsval v = js_get_index(array, (uint32_t)i);
        struct bytes tag;

        if (js_is_exception(v) || !js_to_utf8(v, &tag))
            return false;
        js_free(v);
        if (out->len + tag.len + 1 > WS_TAGS_MAX_BYTES || memchr(tag.data, '\n', tag.len) != NULL) {
            js_throw_type("a WebSocket tag is longer than 256 characters or holds a line break");
            return false;
        }
        buf_append_bytes(out, tag);
        buf_append_byte(out, '\n');
    }
    return true;
}

jsval
native_ws_open(NATIVE_PARAMS)
{
    static struct buf tags;            /* kept: a trap may leave here */
    struct agent *a = agent_current();
    struct peer *gateway = peer_of_role(ROLE_GATEWAY);
    struct bytes attachment = BYTES_NONE;
    struct msg_WS_OPEN m = { 0 };
    bool is_live = js_get_double(ARG(0)) != WS_HIBERNATABLE;

    if (a == NULL || gateway == NULL)
        return js_throw_error("Network connection lost.");
    if (a->sockets != NULL && umap_count(a->sockets) >= SOCKETS_PER_AGENT_MAX)
        return js_throw_error("A Durable Object can have at most %d WebSockets.", SOCKETS_PER_AGENT_MAX);
    buf_clear(&tags);
    if (!pack_tags(ARG(1), &tags))
        return JSV_EXCEPTION;
    if (!js_is_nullish(ARG(2)) && !js_view_bytes(ARG(2), &attachment))
        return js_throw_type("an attachment is bytes");
    if (attachment.len > WS_ATTACHMENT_MAX_BYTES)
        return js_throw_error("A WebSocket 'attachment' cannot be larger than %d bytes.", WS_ATTACHMENT_MAX_BYTES);
    m.socket = fresh_socket();
    m.mode = is_live ? WS_LIVE : WS_HIBERNATABLE;
    m.tags = buf_view(&tags);
    m.attachment = attachment;
    if (!a->is_entry) {
        m.agent = a->id;
        m.class_name = bytes_of(a->class_name);
        m.name = bytes_of(a->name);
    }
    msg_WS_OPEN_pack(agent_out(a, gateway), &m);
    (void)sockets_add(a, m.socket, is_live, ROLE_GATEWAY);
    if (!is_live && !a->is_entry)
        idset_add(worker.with_sockets, a->id.bytes);
    return js_new_number((double)m.socket);
}

jsval
native_ws_join(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct msg_WS_JOIN m = { 0 };
    struct peer *holder;
    bool is_egress;

    if (!socket_arg(ARG(0), &m.socket))
        return JSV_EXCEPTION;
    is_egress = (m.socket & SOCKET_EGRESS_BIT) != 0;
    holder = peer_of_role(is_egress ? ROLE_EGRESS : ROLE_GATEWAY);
    if (holder == NULL)
        return js_throw_error("Network connection lost.");
    m.local = is_egress ? m.socket : fresh_socket();   /* egress has one end only, and has named it */
    if (umap_get(worker.socket_owners, m.local) == NULL)
        (void)sockets_add(a, m.local, true, is_egress ? ROLE_EGRESS : ROLE_GATEWAY);
    msg_WS_JOIN_pack(agent_out(a, holder), &m);
    return js_new_number((double)m.local);
}

/* The socket of argument 0 when it is the current agent's and can still be written to; NULL: an exception is pending, or *out_gone. */
static struct ws_info *
writable_socket(jsval arg, const char *verb)
{
    struct agent *a = agent_current();
    uint64_t socket;
    struct ws_info *w;

    if (!socket_arg(arg, &socket))
        return NULL;
    w = sockets_find(a, socket);
    if (w == NULL || w->is_closed) {
        js_throw_type("Can't call WebSocket %s() after close().", verb);
        return NULL;
    }
    return w;
}

static jsval
ws_send(NATIVE_PARAMS)
{
    struct ws_info *w = writable_socket(ARG(0), "send");
    struct agent *a = agent_current();
    struct peer *p;
    struct bytes data;
    size_t at = 0;

    if (w == NULL || !js_to_bytes(ARG(1), "a WebSocket message", &data))
        return JSV_EXCEPTION;
    if (data.len > WS_MESSAGE_BYTES_MAX)
        return js_throw_error("The WebSocket message is larger than 32 MiB.");
    p = peer_of_role(w->role);
    if (p == NULL)
        return JSV_UNDEFINED;          /* its holder is restarting: the close event is on its way */
    if (w->role == ROLE_GATEWAY) {
        cast_send(a, p, w->socket, js_is_string(ARG(1)) ? WS_TEXT : 0, data);
        return JSV_UNDEFINED;
    }
    do {
        size_t n = data.len - at < CHUNK_MAX_BYTES ? data.len - at : CHUNK_MAX_BYTES;
        struct msg_WS_MESSAGE m = {
            .socket = w->socket, .data = { data.data + at, n },
            .flags = (uint8_t)((js_is_string(ARG(1)) ? WS_TEXT : 0) | (at + n == data.len ? WS_FIN : 0)),
        };

        msg_WS_MESSAGE_pack(agent_out(a, p), &m);
        at += n;
    } while (at < data.len);
    return JSV_UNDEFINED;
}

jsval
native_ws_send(NATIVE_PARAMS)
{
    struct guest_mark mark = guest_scratch_mark();
    jsval sent = ws_send(q, ctx, this_val, argc, argv);

    guest_scratch_release(mark);       /* a broadcast is thousands of these in one turn */
    return sent;
}

jsval
native_ws_close(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct bytes reason = BYTES_NONE;
    double code = js_get_double(ARG(1));
    struct ws_info *w;
    struct peer *p;
    uint64_t socket;

    if (!socket_arg(ARG(0), &socket) || (!js_is_nullish(ARG(2)) && !js_to_utf8(ARG(2), &reason)))
        return JSV_EXCEPTION;
    w = sockets_find(a, socket);
    if (w == NULL)
        return JSV_UNDEFINED;          /* closed on both sides already */
    if (reason.len > WS_REASON_MAX_BYTES)
        reason.len = WS_REASON_MAX_BYTES;
    p = peer_of_role(w->role);
    if (p != NULL)
        pack_close(w, agent_out(a, p), code >= 1000 && code < 5000 ? (uint16_t)code : WS_CODE_NONE, reason);
    return JSV_UNDEFINED;
}

jsval
native_ws_attach(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct msg_WS_ATTACH m = { 0 };
    struct peer *p;

    if (!socket_arg(ARG(0), &m.socket))
        return JSV_EXCEPTION;
    if (!js_view_bytes(ARG(1), &m.attachment))
        return js_throw_type("an attachment is bytes");
    if (m.attachment.len > WS_ATTACHMENT_MAX_BYTES)
        return js_throw_error("A WebSocket 'attachment' cannot be larger than %d bytes.", WS_ATTACHMENT_MAX_BYTES);
    p = peer_of_role(ROLE_GATEWAY);
    if (p != NULL && sockets_find(a, m.socket) != NULL)
        msg_WS_ATTACH_pack(agent_out(a, p), &m);
    return JSV_UNDEFINED;
}

jsval
native_ws_done(NATIVE_PARAMS)
{
    uint64_t socket;

    if (!socket_arg(ARG(0), &socket))
        return JSV_EXCEPTION;
    sockets_event_done(agent_current(), socket, js_get_double(ARG(1)) > 0 ? (uint64_t)js_get_double(ARG(1)) : 0);
    return JSV_UNDEFINED;
}

jsval
native_ws_auto(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct bytes request = BYTES_NONE, response = BYTES_NONE;

    if (!js_is_nullish(ARG(0)) && (!js_to_utf8(ARG(0), &request) || !js_to_utf8(ARG(1), &response)))
        return JSV_EXCEPTION;
    if (request.len > WS_AUTO_MAX_BYTES || response.len > WS_AUTO_MAX_BYTES)
        return js_throw_range("auto-response texts are limited to %d bytes", WS_AUTO_MAX_BYTES);
    sockets_keep_auto(a, request, response);
    tell_auto(a);
    return JSV_UNDEFINED;
}

jsval
native_ws_auto_get(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    jsval pair;

    if (a->auto_request == NULL)
        return JSV_UNDEFINED;
    pair = js_new_array();
    if (!js_set_index(pair, 0, js_new_string(bytes_of(a->auto_request))) ||
        !js_set_index(pair, 1, js_new_string(bytes_of(a->auto_response))))
        return JSV_EXCEPTION;
    return pair;
}

static jsval
tags_array(struct bytes tags)
{
    jsval array = js_new_array();
    uint32_t n = 0;

    for (size_t at = 0; at < tags.len;) {
        const uint8_t *end = memchr(tags.data + at, '\n', tags.len - at);
        size_t len = end != NULL ? (size_t)(end - tags.data) - at : tags.len - at;

        if (!js_set_index(array, n++, js_new_string(bytes_from(tags.data + at, len))))
            return JSV_EXCEPTION;
        at += len + 1;
    }
    return array;
}

static jsval
listed_row(struct ws_info *w)
{
    struct msg_WS_SOCKET m;
    jsval row = js_new_array();

    if (!msg_WS_SOCKET_unpack(&m, buf_view(&w->listed), NULL))
        return JSV_EXCEPTION;
    if (!js_set_index(row, 0, js_new_number((double)m.socket)) || !js_set_index(row, 1, tags_array(m.tags)) ||
        !js_set_index(row, 2, m.attachment.len > 0 ? js_new_array_buffer(m.attachment) : JSV_UNDEFINED) ||
        !js_set_index(row, 3, js_new_string(m.url)) || !js_set_index(row, 4, js_new_string(m.protocol)) ||
        !js_set_index(row, 5, js_new_number((double)m.auto_ms)))
        return JSV_EXCEPTION;
    return row;
}

jsval
native_ws_list(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    jsval list = js_new_array();
    size_t cursor = 0;
    uint64_t socket;
    void *value;
    uint32_t n = 0;

    while (a->sockets != NULL && umap_next(a->sockets, &cursor, &socket, &value)) {
        struct ws_info *w = value;

        if (w->listed.len == 0)
            continue;
        if (!js_set_index(list, n++, listed_row(w)))
            return JSV_EXCEPTION;
        buf_fini(&w->listed);          /* the heap has it now */
    }
    return list;
}
