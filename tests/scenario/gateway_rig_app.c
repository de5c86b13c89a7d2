/* gateway_rig_app — see the header. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario/gateway_rig_app.h"

/* A call that streams. */
struct call {
    struct worker *worker;
    uint32_t id;
    bool echoes;   /* request body → response body */
    bool is_ended; /* the request's END came */
    uint64_t left; /* bytes still to be made up */
    int64_t credit;
    struct buf echo;
};

bool rig_gives_credit = true;
static uint64_t next_socket = 1;
static uint32_t next_ask;
static struct umap *asset_asks; /* our CALL_ASSETS → struct call id of the asker, as a number */

/* ---- output ------------------------------------------------------------------------------------------------------ */
static void
print_text(struct bytes b)
{
    putchar('"');
    for (size_t i = 0; i < b.len && i < 4096; i++) {
        uint8_t c = b.data[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

void
rig_end_line(void)
{
    puts("}");
    fflush(stdout);
}

struct agent_id
rig_agent(struct bytes name)
{
    struct agent_id id = { { 0 } };

    for (size_t i = 0; i < 32; i++)
        id.bytes[i] = (uint8_t)(name.len > 0 ? name.data[i % name.len] + (i == 7 ? name.len : 0) : 1);
    return id;
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */
static void
reply(struct worker *w, uint32_t call, uint16_t status, const char *headers, struct bytes body, uint8_t flags,
      uint16_t slot)
{
    struct msg_REPLY m = {
        .call = call, .status = status, .flags = flags, .slot = slot, .headers = bytes_of(headers), .body = body
    };

    msg_REPLY_pack(link_out(w->link), &m);
}

static void
reply_text(struct worker *w, uint32_t call, struct bytes text)
{
    char headers[128];

    snprintf(headers, sizeof headers, "content-type\ntext/plain\nx-worker\n%u\n", w->slot);
    reply(w, call, 200, headers, text, CALL_HAS_BODY, SLOT_NONE);
}

/* The number behind NAME= in the URL, else OTHER. */
static uint64_t
number_in(struct bytes url, const char *name, uint64_t other)
{
    char text[2048], key[64];
    const char *at;

    snprintf(text, sizeof text, "%.*s", (int)url.len, (const char *)url.data);
    snprintf(key, sizeof key, "%s=", name);
    at = strstr(text, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : other;
}

static bool
has(struct bytes url, const char *text)
{
    return url.len > 0 && memmem(url.data, url.len, text, strlen(text)) != NULL;
}

static struct call *
call_add(struct worker *w, uint32_t id)
{
    struct call *c = calloc(1, sizeof *c);

    assert(c != NULL);
    c->worker = w;
    c->id = id;
    c->credit = STREAM_WINDOW_BYTES;
    (void)umap_put(w->calls, id, c);
    return c;
}

static void
call_free(struct call *c)
{
    (void)umap_take(c->worker->calls, c->id);
    buf_fini(&c->echo);
    free(c);
}

static void
send_data(struct call *c, struct bytes data)
{
    struct msg_DATA m = { .call = c->id, .bytes = data };

    msg_DATA_pack(link_out(c->worker->link), &m);
    c->credit -= (int64_t)data.len;
}

/* As much as there is and credit allows. */
static void
call_run(struct call *c)
{
    static uint8_t block[CHUNK_MAX_BYTES];
    struct msg_END end = { .call = c->id };

    while (c->left > 0 && c->credit > 0) {
        size_t n = sizeof block;
        if (n > c->left)
            n = (size_t)c->left;
        if (n > (size_t)c->credit)
            n = (size_t)c->credit;
        memset(block, 'x', n);
        send_data(c, bytes_from(block, n));
        c->left -= n;
    }
    while (c->echo.len > 0 && c->credit > 0) {
        size_t n = c->echo.len < CHUNK_MAX_BYTES ? c->echo.len : CHUNK_MAX_BYTES;
        if (n > (size_t)c->credit)
            n = (size_t)c->credit;
        send_data(c, bytes_from(c->echo.data, n));
        if (rig_gives_credit) {
            struct msg_CREDIT m = { .call = c->id, .bytes = (uint32_t)n };
            msg_CREDIT_pack(link_out(c->worker->link), &m);
        }
        buf_consume(&c->echo, n);
    }
    if (c->left > 0 || c->echo.len > 0 || (c->echoes && !c->is_ended))
        return;
    msg_END_pack(link_out(c->worker->link), &end);
    call_free(c);
}

/* ---- WebSockets -------------------------------------------------------------------------------------------------- */
static void
ws_open(struct worker *w, uint64_t socket, struct bytes url)
{
    struct msg_WS_OPEN m = {
        .socket = socket,
        .mode = has(url, "live") ? WS_LIVE : WS_HIBERNATABLE,
        .agent = rig_agent(bytes_of("agent")),
        .class_name = BYTES_LIT("Chat"),
        .name = BYTES_LIT("agent"),
        .tags = BYTES_LIT("red\nblue\n"),
        .attachment = BYTES_LIT("note"),
    };

    msg_WS_OPEN_pack(link_out(w->link), &m);
}

static void
ws_reply(struct worker *w, uint32_t call, uint64_t socket, struct bytes url)
{
    struct msg_REPLY m = { .call = call, .status = 101, .slot = SLOT_NONE, .socket = socket };

    if (has(url, "protocol"))
        m.headers = BYTES_LIT("sec-websocket-protocol\nchat\n");
    msg_REPLY_pack(link_out(w->link), &m);
}

void
rig_ws_text(struct worker *w, uint64_t socket, const char *text)
{
    struct msg_WS_MESSAGE m = { .socket = socket, .flags = WS_TEXT | WS_FIN, .data = bytes_of(text) };

    msg_WS_MESSAGE_pack(link_out(w->link), &m);
}

static void
serve_ws(struct worker *w, const struct msg_CALL *m)
{
    uint64_t socket = next_socket++;

    printf("{\"event\":\"ws\",\"socket\":%" PRIu64, socket);
    rig_end_line();
    if (has(m->url, "late"))
        ws_reply(w, m->call, socket, m->url);
    if (!has(m->url, "unopened"))
        ws_open(w, socket, m->url);
    if (has(m->url, "early"))
        rig_ws_text(w, socket, "early");
    if (has(m->url, "shut")) {
        struct msg_WS_CLOSE c = { .socket = socket, .code = 4001, .reason = BYTES_LIT("early") };
        msg_WS_CLOSE_pack(link_out(w->link), &c);
    }
    if (has(m->url, "join")) {
        struct msg_WS_JOIN j = { .socket = socket, .local = socket + 1000000 };
        msg_WS_JOIN_pack(link_out(w->link), &j);
        rig_ws_text(w, socket, "to the joined end");
        reply_text(w, m->call, bytes_of("joined"));
    } else if (!has(m->url, "late")) {
        ws_reply(w, m->call, socket, m->url);
    }
}

static bool
on_ws_message(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_WS_MESSAGE m;

    if (!msg_WS_MESSAGE_unpack(&m, payload, err))
        return false;
    printf("{\"event\":\"ws_message\",\"socket\":%" PRIu64 ",\"slot\":%u,\"flags\":%u,\"bytes\":%zu,\"name\":",
           m.socket, w->slot, m.flags, m.data.len);
    print_text(m.name);
    if (m.data.len < 200) {
        printf(",\"data\":");
        print_text(m.data);
    }
    rig_end_line();
    if (m.name.len > 0 && !has(m.data, "quiet")) {
        struct msg_WS_MESSAGE back = { .socket = m.socket, .flags = m.flags, .data = m.data };
        msg_WS_MESSAGE_pack(link_out(w->link), &back);
    }
    if (rig_gives_credit) {
        struct msg_WS_CREDIT credit = { .socket = m.socket, .bytes = (uint32_t)m.data.len };
        msg_WS_CREDIT_pack(link_out(w->link), &credit);
    }
    return true;
}

static bool
on_ws_close(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_WS_CLOSE m;

    if (!msg_WS_CLOSE_unpack(&m, payload, err))
        return false;
    printf("{\"event\":\"ws_close\",\"socket\":%" PRIu64 ",\"slot\":%u,\"code\":%u,\"clean\":%u,\"reason\":", m.socket,
           w->slot, m.code, m.was_clean);
    print_text(m.reason);
    rig_end_line();
    if (rig_gives_credit)
        msg_WS_CREDIT_pack(link_out(w->link), &(struct msg_WS_CREDIT){ .socket = m.socket });
    return true;
}

static bool
on_ws_rest(uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_WS_SOCKET s;
    struct msg_WS_LISTED l;
    struct msg_WS_AGENTS a;

    if (type == MSG_WS_SOCKET) {
        if (!msg_WS_SOCKET_unpack(&s, payload, err))
            return false;
        printf("{\"event\":\"ws_socket\",\"socket\":%" PRIu64 ",\"auto\":%s,\"tags\":", s.socket,
               s.auto_ms > 0 ? "true" : "false");
        print_text(s.tags);
        printf(",\"attachment\":");
        print_text(s.attachment);
        printf(",\"url\":");
        print_text(s.url);
        printf(",\"protocol\":");
        print_text(s.protocol);
    } else if (type == MSG_WS_LISTED) {
        if (!msg_WS_LISTED_unpack(&l, payload, err))
            return false;
        printf("{\"event\":\"ws_listed\",\"request\":");
        print_text(l.auto_request);
    } else {
        if (!msg_WS_AGENTS_unpack(&a, payload, err))
            return false;
        printf("{\"event\":\"ws_agents\",\"present\":%u,\"count\":%zu", a.present, a.ids.len / 32);
    }
    rig_end_line();
    return true;
}

/* ---- the app ----------------------------------------------------------------------------------------------------- */
static void
serve_info(struct worker *w, const struct msg_CALL *m)
{
    struct buf b = { 0 };

    buf_printf(&b, "%.*s %.*s\nflags %u\nmeta %.*s\ntrace %.*s\n", (int)m->method.len, (const char *)m->method.data,
               (int)m->url.len, (const char *)m->url.data, m->flags, (int)m->meta.len, (const char *)m->meta.data,
               (int)m->trace.len, (const char *)m->trace.data);
    buf_append_bytes(&b, m->headers);
    buf_append_str(&b, "body ");
    buf_append_bytes(&b, m->body);
    reply_text(w, m->call, buf_view(&b));
    buf_fini(&b);
}

static void
serve_asset(struct worker *w, const struct msg_CALL *m)
{
    const uint8_t *at = memmem(m->url.data, m->url.len, "/asset-of", 9);
    struct msg_CALL ask = { .call = ++next_ask, .kind = CALL_ASSETS, .method = m->method, .headers = m->headers };
    struct buf url = { 0 };

    buf_append_str(&url, "http://assets.local");
    buf_append(&url, at + 9, m->url.len - (size_t)(at + 9 - m->url.data));
    ask.url = buf_view(&url);
    if (asset_asks == NULL)
        asset_asks = umap_create();
    (void)umap_put(asset_asks, ask.call, (void *)(uintptr_t)(m->call + 1ull));
    msg_CALL_pack(link_out(w->link), &ask);
    buf_fini(&url);
}

static void
serve_stream(struct worker *w, const struct msg_CALL *m)
{
    bool is_echo = has(m->url, "/echo"), has_more = (m->flags & CALL_BODY_MORE) != 0;
    struct call *c;
    char headers[128] = "content-type\napplication/octet-stream\n";

    if (is_echo && !has_more) {
        reply(w, m->call, 200, headers, m->body, CALL_HAS_BODY, SLOT_NONE);
        return;
    }
    if (has(m->url, "length="))
        snprintf(headers, sizeof headers, "content-length\n%" PRIu64 "\n", number_in(m->url, "length", 0));
    c = call_add(w, m->call);
    c->echoes = is_echo;
    c->left = number_in(m->url, "n", 0);
    reply(w, m->call, (uint16_t)number_in(m->url, "status", 200), headers, is_echo ? m->body : BYTES_NONE,
          CALL_HAS_BODY | CALL_BODY_MORE, SLOT_NONE);
    call_run(c);
}

static void
serve_odd(struct worker *w, const struct msg_CALL *m)
{
    if (has(m->url, "/bad-value")) {
        reply(w, m->call, 200, "x-bad\na\x01z\n", BYTES_LIT("no"), CALL_HAS_BODY, SLOT_NONE);
    } else if (has(m->url, "/split")) {
        reply(w, m->call, 200, "x-bad\na\rset-cookie: b\n", BYTES_LIT("no"), CALL_HAS_BODY, SLOT_NONE);
    } else if (has(m->url, "/odd-list")) {
        reply(w, m->call, 200, "x-bad", BYTES_LIT("no"), CALL_HAS_BODY, SLOT_NONE);
    } else if (has(m->url, "/hop")) {
        reply(w, m->call, 200,
              "connection\nx-y\ntransfer-encoding\nchunked\ncontent-length\n999\nkeep-alive\n1\nx-y\n\xc3\xa9\n",
              BYTES_LIT("ok"), CALL_HAS_BODY, SLOT_NONE);
    } else if (has(m->url, "/fail")) {
        struct msg_FAIL f = { .call = m->call,
                              .code = (uint16_t)number_in(m->url, "code", ERR_APP),
                              .flags = (uint8_t)number_in(m->url, "flags", 0),
                              .message = BYTES_LIT("It <broke>.") };
        msg_FAIL_pack(link_out(w->link), &f);
    } else if (has(m->url, "/cut")) {
        struct msg_END end = { .call = m->call, .message = BYTES_LIT("It broke off.") };
        reply(w, m->call, 200, "", BYTES_LIT("first"), CALL_HAS_BODY | CALL_BODY_MORE, SLOT_NONE);
        msg_END_pack(link_out(w->link), &end);
    } else if (has(m->url, "/slot")) {
        char text[16];
        snprintf(text, sizeof text, "%u", w->slot);
        reply(w, m->call, 200, "", bytes_of(text), CALL_HAS_BODY, (uint16_t)number_in(m->url, "slot", SLOT_NONE));
    } else if (has(m->url, "/status")) {
        reply(w, m->call, (uint16_t)number_in(m->url, "code", 200), "x-a\n1\n",
              has(m->url, "body") ? BYTES_LIT("text") : BYTES_NONE, has(m->url, "body") ? CALL_HAS_BODY : 0, SLOT_NONE);
    } else if (!has(m->url, "/never")) {
        reply_text(w, m->call, BYTES_LIT("hello"));
    }
}

static bool
on_call(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_CALL m;

    if (!msg_CALL_unpack(&m, payload, err))
        return false;
    if (has(m.url, "tell") || has(m.url, "/never")) {
        printf("{\"event\":\"call\",\"slot\":%u,\"url\":", w->slot);
        print_text(m.url);
        rig_end_line();
    }
    if ((m.flags & CALL_UPGRADE) != 0 && !has(m.url, "/plain"))
        serve_ws(w, &m);
    else if (has(m.url, "/info"))
        serve_info(w, &m);
    else if (has(m.url, "/echo") || has(m.url, "/stream"))
        serve_stream(w, &m);
    else if (has(m.url, "/asset-of"))
        serve_asset(w, &m);
    else
        serve_odd(w, &m);
    return true;
}

/* The answer to our CALL_ASSETS becomes the answer to who asked; a streamed file is counted only. */
static bool
on_reply(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_REPLY m;
    struct buf headers = { 0 };
    void *asker;

    if (!msg_REPLY_unpack(&m, payload, err))
        return false;
    asker = umap_take(asset_asks, m.call);
    assert(asker != NULL);
    if ((m.flags & CALL_BODY_MORE) != 0) {
        struct call *c = call_add(w, m.call + 0x40000000u);
        c->left = m.body.len;
        c->credit = (int64_t)(uintptr_t)asker - 1;
        return true;
    }
    buf_append_bytes(&headers, m.headers);
    reply(w, (uint32_t)((uintptr_t)asker - 1), m.status, buf_cstr(&headers), m.body, CALL_HAS_BODY, SLOT_NONE);
    buf_fini(&headers);
    return true;
}

static bool
on_data(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_DATA m;
    struct call *c;

    if (!msg_DATA_unpack(&m, payload, err))
        return false;
    if (m.from_opener == 0) {
        struct msg_CREDIT credit = { .call = m.call, .from_opener = 1, .bytes = (uint32_t)m.bytes.len };
        c = umap_get(w->calls, m.call + 0x40000000u);
        assert(c != NULL);
        c->left += m.bytes.len;
        msg_CREDIT_pack(link_out(w->link), &credit);
        return true;
    }
    c = umap_get(w->calls, m.call);
    if (c != NULL) {
        buf_append_bytes(&c->echo, m.bytes);
        call_run(c);
    } else {
        printf("{\"event\":\"data\",\"bytes\":%zu", m.bytes.len);
        rig_end_line();
    }
    return true;
}

static bool
on_end(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_END m;
    struct call *c;
    char text[32];

    if (!msg_END_unpack(&m, payload, err))
        return false;
    if (m.from_opener == 0) {
        c = umap_get(w->calls, m.call + 0x40000000u);
        assert(c != NULL);
        snprintf(text, sizeof text, "%" PRIu64, c->left);
        reply(w, (uint32_t)c->credit, 200, "", bytes_of(text), CALL_HAS_BODY, SLOT_NONE);
        call_free(c);
        return true;
    }
    c = umap_get(w->calls, m.call);
    if (c == NULL)
        return true;
    c->is_ended = true;
    call_run(c);
    return true;
}

static bool
on_credit(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_CREDIT m;
    struct call *c;

    if (!msg_CREDIT_unpack(&m, payload, err))
        return false;
    c = umap_get(w->calls, m.call);
    if (c == NULL)
        return true;
    c->credit += m.bytes;
    call_run(c);
    return true;
}

static bool
on_cancel(struct worker *w, struct bytes payload, struct err *err)
{
    struct msg_CANCEL m;
    struct call *c;

    if (!msg_CANCEL_unpack(&m, payload, err))
        return false;
    c = umap_get(w->calls, m.call);
    printf("{\"event\":\"cancel\",\"left\":%" PRIu64 ",\"message\":", c != NULL ? c->left : 0);
    print_text(m.message);
    rig_end_line();
    if (c != NULL)
        call_free(c);
    return true;
}

static bool
worker_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct worker *w = owner;

    switch (type) {
    case MSG_CALL:
        return on_call(w, payload, err);
    case MSG_REPLY:
        return on_reply(w, payload, err);
    case MSG_DATA:
        return on_data(w, payload, err);
    case MSG_END:
        return on_end(w, payload, err);
    case MSG_CREDIT:
        return on_credit(w, payload, err);
    case MSG_CANCEL:
        return on_cancel(w, payload, err);
    case MSG_WS_MESSAGE:
        return on_ws_message(w, payload, err);
    case MSG_WS_CLOSE:
        return on_ws_close(w, payload, err);
    default:
        return on_ws_rest(type, payload, err);
    }
}

void
rig_calls_forget(struct worker *w)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;

    while (umap_next(w->calls, &cursor, &key, &value))
        call_free(value);
}

static void
worker_closed(void *owner, struct link *link, const struct err *err)
{
    struct worker *w = owner;

    printf("{\"event\":\"link_closed\",\"slot\":%u", w->slot);
    rig_end_line();
    rig_calls_forget(w);
    w->link = NULL;
}

const struct link_events rig_worker_events = { worker_message, worker_closed, NULL };
