/* prop_outside — clients of the gateway, servers behind egress, the other worker: who asks, answers and holds sockets. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/prop/prop_world.h"

#define CHUNK_BYTES 80                 /* of streamed answers, at most */
#define EGRESS_BIT  (1ull << 51)       /* as src/worker/sockets.c knows egress' sockets */

/* ---- clients: requests ---- */

void
world_request(int agent, const char *path, bool has_upload)
{
    const uint32_t number = world.calls_count;
    struct world_call *c = &world.calls[number];
    struct msg_CALL m = { .call = number, .kind = CALL_FETCH, .agent = shared->agents[agent].id, .class_name = BYTES_LIT(AGENT_CLASS),
                          .name = bytes_of(shared->agents[agent].name), .method = BYTES_LIT("GET"), .headers = BYTES_LIT("host\nprog\n") };
    struct buf url = { 0 }, frame = { 0 };

    if (number + 1 >= CALLS_OPEN_MAX)
        return;
    world.calls_count++;
    *c = (struct world_call){ .agent = agent, .is_upload_open = has_upload };
    (void)snprintf(c->path, sizeof c->path, "%.*s", (int)strcspn(path, "?"), path);
    buf_printf(&url, "http://prog%s", path);
    m.url = buf_view(&url);
    if (strncmp(path, "/ws", 3) == 0) {
        m.flags = CALL_UPGRADE;
        m.headers = BYTES_LIT("host\nprog\nupgrade\nwebsocket\n");
    }
    if (number % 7 == 3 && m.flags == 0 && !has_upload && strncmp(path, "/go", 3) == 0) {
        m.kind = CALL_ENTRY;           /* the long way: through the app's entry, which asks the agent */
        m.agent = (struct agent_id){ { 0 } };
        m.class_name = m.name = BYTES_NONE;
        buf_printf(&url, "&of=%s", shared->agents[agent].name);
        m.url = buf_view(&url);
    }
    if (has_upload) {
        m.method = BYTES_LIT("POST");
        m.flags = CALL_BODY_MORE;
        m.body = BYTES_LIT("begin");
        for (uint32_t i = 0; i < (number % 2 == 0 ? 3 : 8); i++)
            msg_DATA_pack(world_later(PEER_GATEWAY, CHAIN_UPLOAD(number)),
                          &(struct msg_DATA){ .call = number, .from_opener = 1, .bytes = bytes_from("upload upload", number % 2 == 0 ? 6 + 3 * i : 1) });
        msg_END_pack(world_later(PEER_GATEWAY, CHAIN_UPLOAD(number)), &(struct msg_END){ .call = number, .from_opener = 1 });
    }
    msg_CALL_pack(&frame, &m);
    world_note("", PEER_GATEWAY, buf_view(&frame));
    if (world.fault == FAULT_WIPE && m.flags == 0) {   /* deleteAll() leaves something from now on */
        shared->spoiled = 1;
        m.headers = BYTES_LIT("host\nprog\nx-leave\n1\n");
        buf_clear(&frame);
        msg_CALL_pack(&frame, &m);
    }
    house_deliver(PEER_GATEWAY, buf_view(&frame));
    buf_fini(&frame);
    buf_fini(&url);
}

bool
world_is_answered(void)
{
    for (uint32_t i = 0; i < world.calls_count; i++)
        if (world.calls[i].state != CALL_OVER)
            return false;
    return true;
}

bool
world_cancel(struct chance *c)
{
    uint32_t number;
    struct buf frame = { 0 };

    if (world.calls_count == 0)
        return false;
    number = chance_below(c, world.calls_count);
    if (world.calls[number].state == CALL_OVER)
        return false;
    world.calls[number].state = CALL_OVER;
    world_forget(CHAIN_UPLOAD(number));
    world_forget(CHAIN_CREDIT(PEER_GATEWAY, number));
    msg_CANCEL_pack(&frame, &(struct msg_CANCEL){ .call = number, .from_opener = 1, .message = BYTES_LIT("client left") });
    world_note("", PEER_GATEWAY, buf_view(&frame));
    house_deliver(PEER_GATEWAY, buf_view(&frame));
    buf_fini(&frame);
    return true;
}

static void
over(struct world_call *c, uint32_t number)
{
    c->state = CALL_OVER;
    world_forget(CHAIN_UPLOAD(number));
}

/* "/end": what the agent says of its database; any answer: the state that its trail was in. */
static void
learn(struct world_call *c, struct bytes body)
{
    struct prop_agent *a = &shared->agents[c->agent];
    char *text = bytes_dup(body), *end = strstr(text, ";;"), *verdict = end != NULL ? strstr(end + 2, ";;") : NULL;
    long long k;
    int h;

    if (sscanf(text, "k=%lld,%d;", &k, &h) == 2) {
        marks_tell((uint32_t)c->agent, k, h);
        if (strcmp(c->path, "/end") == 0) {
            a->trail = k;
            a->trail_hash = h;
        }
    }
    if (strcmp(c->path, "/end") == 0)
        (void)snprintf(a->verdict, sizeof a->verdict, "%s", verdict != NULL ? verdict + 2 : "no verdict");
    free(text);
}

static void
on_reply(struct bytes payload)
{
    struct msg_REPLY m;
    struct world_call *c;
    bool ok = msg_REPLY_unpack(&m, payload, NULL);

    assert(ok && m.call < world.calls_count);
    c = &world.calls[m.call];
    if (c->state == CALL_OVER)
        return;
    learn(c, m.body);
    c->state = CALL_STREAMING;
    if ((m.flags & CALL_BODY_MORE) == 0)
        over(c, m.call);
    for (uint32_t i = 0; i < shared->sockets_count; i++)
        if (m.socket != 0 && shared->sockets[i].id == m.socket)
            shared->sockets[i].is_client = true;
}

/* In two parts, if it can be. */
static void
give_credit(uint32_t call, uint32_t bytes)
{
    const uint32_t parts[2] = { bytes / 3, bytes - bytes / 3 };

    for (int i = 0; i < 2; i++)
        if (parts[i] > 0)
            msg_CREDIT_pack(world_later(PEER_GATEWAY, CHAIN_CREDIT(PEER_GATEWAY, call)),
                            &(struct msg_CREDIT){ .call = call, .from_opener = 1, .bytes = parts[i] });
}

void
gateway_hears(uint16_t type, struct bytes payload)
{
    struct msg_FAIL fail;
    struct msg_DATA data;
    struct msg_END end;

    if (type == MSG_REPLY) {
        on_reply(payload);
    } else if (type == MSG_FAIL && msg_FAIL_unpack(&fail, payload, NULL)) {
        over(&world.calls[fail.call], fail.call);
    } else if (type == MSG_END && msg_END_unpack(&end, payload, NULL)) {
        over(&world.calls[end.call], end.call);
    } else if (type == MSG_DATA && msg_DATA_unpack(&data, payload, NULL)) {
        if (world.calls[data.call].state != CALL_OVER)
            give_credit(data.call, (uint32_t)data.bytes.len);
    } else if (type != MSG_CANCEL && type != MSG_CREDIT) {
        socket_hears(PEER_GATEWAY, type, payload);
    }
}

/* ---- servers ---- */

static void
answer_fail(enum prop_peer peer, uint32_t call)
{
    struct msg_FAIL m = { .call = call, .code = ERR_UNAVAILABLE, .flags = FAIL_RETRYABLE, .message = BYTES_LIT("nobody there") };

    msg_FAIL_pack(world_later(peer, CHAIN_CALL(peer, call)), &m);
}

static void
answer_whole(enum prop_peer peer, uint32_t call, struct bytes body)
{
    struct msg_REPLY m = { .call = call, .status = 200, .flags = CALL_HAS_BODY, .slot = SLOT_NONE, .status_text = BYTES_LIT("OK"),
                           .headers = BYTES_LIT("x-out\nyes\ncontent-type\ntext/plain\n"), .body = body };

    msg_REPLY_pack(world_later(peer, CHAIN_CALL(peer, call)), &m);
}

static void
answer_stream(enum prop_peer peer, uint32_t call, uint32_t chunks, const char *broken)
{
    struct msg_REPLY m = { .call = call, .status = 206, .flags = CALL_BODY_MORE, .slot = SLOT_NONE, .status_text = BYTES_LIT("Partial") };
    char chunk[CHUNK_BYTES];

    msg_REPLY_pack(world_later(peer, CHAIN_CALL(peer, call)), &m);
    for (uint32_t i = 0; i < chunks; i++) {
        (void)snprintf(chunk, sizeof chunk, "%c chunk %u of %u of call %u         ", 'a' + (int)(i % 26), i, chunks, call);
        msg_DATA_pack(world_later(peer, CHAIN_CALL(peer, call)), &(struct msg_DATA){ .call = call, .bytes = bytes_from(chunk, 10 + i) });
    }
    msg_END_pack(world_later(peer, CHAIN_CALL(peer, call)), &(struct msg_END){ .call = call, .message = bytes_of(broken) });
}

/* Some bytes at a time. */
static void
answer_pieces(enum prop_peer peer, uint32_t call, uint32_t pieces)
{
    struct msg_REPLY m = { .call = call, .status = 200, .flags = CALL_BODY_MORE, .slot = SLOT_NONE, .status_text = BYTES_LIT("OK"), .body = BYTES_LIT("<") };

    msg_REPLY_pack(world_later(peer, CHAIN_CALL(peer, call)), &m);
    for (uint32_t i = 0; i < pieces; i++)
        msg_DATA_pack(world_later(peer, CHAIN_CALL(peer, call)), &(struct msg_DATA){ .call = call, .bytes = bytes_from("\xc3\xa9\xe2\x98\xba" + i % 5, 1) });
    msg_END_pack(world_later(peer, CHAIN_CALL(peer, call)), &(struct msg_END){ .call = call });
}

static void
answer_socket(uint32_t call)
{
    struct msg_REPLY m = { .call = call, .status = 101, .slot = SLOT_NONE, .socket = EGRESS_BIT | ++world.last_socket };

    msg_REPLY_pack(world_later(PEER_EGRESS, CHAIN_CALL(PEER_EGRESS, call)), &m);
}

/* What the URL's path asks for: "/KIND/N" behind the host. */
static void
answer_http(enum prop_peer peer, const struct msg_CALL *m)
{
    char *url = bytes_dup(m->url), *path = strstr(url, "://") != NULL ? strchr(strstr(url, "://") + 3, '/') : NULL;
    const uint32_t n = path != NULL && strlen(path) > 3 ? (uint32_t)strtoul(path + 3, NULL, 10) : 0;
    struct buf body = { 0 };

    buf_printf(&body, "%s", url);
    for (uint32_t i = 0; i < n && i < 100; i++)
        buf_printf(&body, " %u", i * i);
    switch (path != NULL ? path[1] : 'w') {
    case 's':
        answer_stream(peer, m->call, n, NULL);
        break;
    case 'b':
        answer_stream(peer, m->call, n, "the line broke");
        break;
    case 'p':
        answer_pieces(peer, m->call, n);
        break;
    case 'f':
        answer_fail(peer, m->call);
        break;
    case 'u':
        answer_socket(m->call);
        break;
    case 'e':                          /* when its upload is over */
        break;
    default:
        answer_whole(peer, m->call, buf_view(&body));
        if (path != NULL && path[1] == 'l')
            world_make_late();
    }
    if ((m->flags & CALL_BODY_MORE) != 0 && world.uploads_count < CALLS_OPEN_MAX)
        world.uploads[world.uploads_count++] = (struct world_upload){ peer, m->call, m->body.len, true };
    else if (path != NULL && path[1] == 'e')
        answer_whole(peer, m->call, BYTES_LIT("nothing uploaded"));
    buf_fini(&body);
    free(url);
}

static void
on_call(enum prop_peer peer, struct bytes payload)
{
    struct msg_CALL m;
    bool ok = msg_CALL_unpack(&m, payload, NULL);

    assert(ok);
    if (m.kind != CALL_RPC)
        answer_http(peer, &m);
    else if (bytes_equal_str(m.method, "failing"))
        answer_fail(peer, m.call);
    else                               /* the arguments come back */
        msg_REPLY_pack(world_later(peer, CHAIN_CALL(peer, m.call)),
                       &(struct msg_REPLY){ .call = m.call, .status = 200, .flags = CALL_HAS_BODY, .slot = SLOT_NONE, .body = m.body });
}

static struct world_upload *
upload_of(enum prop_peer peer, uint32_t call)
{
    for (uint32_t i = world.uploads_count; i > 0; i--)
        if (world.uploads[i - 1].peer == peer && world.uploads[i - 1].call == call && world.uploads[i - 1].is_open)
            return &world.uploads[i - 1];
    return NULL;
}

void
answerer_hears(enum prop_peer peer, uint16_t type, struct bytes payload)
{
    struct world_upload *upload;
    struct msg_CANCEL cancel;
    struct msg_DATA data;
    struct msg_END end;
    char text[40];

    if (type == MSG_CALL) {
        on_call(peer, payload);
    } else if (type == MSG_CANCEL && msg_CANCEL_unpack(&cancel, payload, NULL)) {
        world_forget(CHAIN_CALL(peer, cancel.call));
    } else if (type == MSG_DATA && msg_DATA_unpack(&data, payload, NULL)) {
        upload = upload_of(peer, data.call);
        if (upload == NULL)
            return;
        upload->bytes += data.bytes.len;
        msg_CREDIT_pack(world_later(peer, CHAIN_CREDIT(peer, data.call)),
                        &(struct msg_CREDIT){ .call = data.call, .bytes = (uint32_t)data.bytes.len });
    } else if (type == MSG_END && msg_END_unpack(&end, payload, NULL)) {
        upload = upload_of(peer, end.call);
        if (upload == NULL)
            return;
        upload->is_open = false;
        (void)snprintf(text, sizeof text, "%zu bytes", upload->bytes);
        answer_whole(peer, end.call, bytes_of(text));
    } else if (type != MSG_CREDIT) {
        socket_hears(peer, type, payload);
    }
}
