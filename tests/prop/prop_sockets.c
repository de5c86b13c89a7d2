/* prop_sockets — WebSockets as their holders see them: the gateway's clients, servers behind egress, both ends in heaps. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/prop/prop_world.h"

static struct prop_socket *
find(uint64_t id)
{
    for (uint32_t i = 0; i < shared->sockets_count; i++)
        if (shared->sockets[i].id == id)
            return &shared->sockets[i];
    return NULL;
}

static struct prop_socket *
socket_add(uint64_t id)
{
    struct prop_socket *s = &shared->sockets[shared->sockets_count];

    if (shared->sockets_count == SOCKETS_MAX)
        return NULL;
    shared->sockets_count++;
    *s = (struct prop_socket){ .id = id, .agent = -1 };
    return s;
}

static enum prop_peer
holder_of(uint64_t id)
{
    return (id >> 51 & 1) != 0 ? PEER_EGRESS : PEER_GATEWAY;
}

/* Whose the end ID is, for messages that may have to wake it. */
static void
address(const struct prop_socket *s, struct agent_id *agent, struct bytes *class_name, struct bytes *name)
{
    if (s == NULL || s->agent < 0 || !s->is_hibernatable)
        return;
    *agent = shared->agents[s->agent].id;
    *class_name = BYTES_LIT(AGENT_CLASS);
    *name = bytes_of(shared->agents[s->agent].name);
}

static void
say_to(const struct prop_socket *s, uint64_t id, uint8_t flags, struct bytes data)
{
    struct msg_WS_MESSAGE m = { .socket = id, .flags = flags, .data = data };

    address(s, &m.agent, &m.class_name, &m.name);
    msg_WS_MESSAGE_pack(world_later(holder_of(id), CHAIN_SOCKET(id)), &m);
}

static void
close_to(struct prop_socket *s, uint64_t id, uint16_t code, struct bytes reason)
{
    struct msg_WS_CLOSE m = { .socket = id, .code = code, .was_clean = 1, .reason = reason };

    if (s == NULL || s->is_told_closed)
        return;
    s->is_told_closed = s->is_closed = true;
    address(s, &m.agent, &m.class_name, &m.name);
    msg_WS_CLOSE_pack(world_later(holder_of(id), CHAIN_SOCKET(id)), &m);
}

/* ---- what heaps say ---- */

static void
on_open(struct bytes payload)
{
    struct msg_WS_OPEN m;
    struct prop_socket *s;

    if (!msg_WS_OPEN_unpack(&m, payload, NULL) || (s = socket_add(m.socket)) == NULL)
        return;
    s->is_hibernatable = m.mode == WS_HIBERNATABLE;
    if (!agent_id_is_none(&m.agent))
        s->agent = (int)(world_agent(&m.agent, m.class_name) - shared->agents);
    s->tags_len = m.tags.len < sizeof s->tags ? (uint32_t)m.tags.len : 0;
    if (s->tags_len > 0)
        memcpy(s->tags, m.tags.data, s->tags_len);
}

static void
on_join(enum prop_peer holder, struct bytes payload)
{
    struct msg_WS_JOIN m;
    struct prop_socket *s, *mate;

    if (!msg_WS_JOIN_unpack(&m, payload, NULL))
        return;
    mate = find(m.socket);
    if ((s = m.local == m.socket && mate != NULL ? mate : socket_add(m.local)) == NULL)
        return;
    if (holder == PEER_EGRESS) {
        say_to(NULL, m.local, WS_TEXT | WS_FIN, BYTES_LIT("server is here"));
        return;
    }
    s->mate = m.socket;
    if (mate != NULL)
        mate->mate = m.local;
}

static void
on_message(enum prop_peer holder, struct bytes payload)
{
    struct msg_WS_MESSAGE m;
    struct prop_socket *s;

    if (!msg_WS_MESSAGE_unpack(&m, payload, NULL))
        return;
    s = find(m.socket);
    if (s != NULL && s->mate != 0)
        say_to(find(s->mate), s->mate, m.flags, m.data);
    else if (holder == PEER_EGRESS)
        say_to(NULL, m.socket, m.flags, m.data);   /* an echo */
}

static void
on_cast(enum prop_peer holder, struct bytes payload)
{
    struct msg_WS_CAST m;
    struct msg_WS_MESSAGE each = { 0 };

    if (!msg_WS_CAST_unpack(&m, payload, NULL))
        return;
    each.flags = m.flags;
    each.data = m.data;
    for (size_t at = 0; at + sizeof each.socket <= m.sockets.len; at += sizeof each.socket) {
        struct buf frame = { 0 };

        memcpy(&each.socket, m.sockets.data + at, sizeof each.socket);
        msg_WS_MESSAGE_pack(&frame, &each);
        on_message(holder, bytes_from(frame.data + FRAME_HEADER_BYTES, frame.len - FRAME_HEADER_BYTES));
        buf_fini(&frame);
    }
}

static void
on_close(struct bytes payload)
{
    struct msg_WS_CLOSE m;
    struct prop_socket *s;

    if (!msg_WS_CLOSE_unpack(&m, payload, NULL) || (s = find(m.socket)) == NULL)
        return;
    if (s->mate != 0)
        close_to(find(s->mate), s->mate, m.code, m.reason);
    else
        close_to(s, m.socket, m.code, m.reason);   /* the other side answers */
    s->is_closed = true;
}

static void
on_attach(struct bytes payload)
{
    struct msg_WS_ATTACH m;
    struct prop_socket *s;

    if (!msg_WS_ATTACH_unpack(&m, payload, NULL) || (s = find(m.socket)) == NULL || m.attachment.len > sizeof s->attachment)
        return;
    s->attachment_len = (uint32_t)m.attachment.len;
    if (m.attachment.len > 0)
        memcpy(s->attachment, m.attachment.data, m.attachment.len);
}

/* Until then the gateway lists a socket that has closed (src/gateway/sockets.h, GHOST). */
static void
on_credit(struct bytes payload)
{
    struct msg_WS_CREDIT m;
    struct prop_socket *s;

    if (msg_WS_CREDIT_unpack(&m, payload, NULL) && m.bytes == 0 && (s = find(m.socket)) != NULL && s->is_told_closed)
        s->is_over = true;
}

static void
on_auto(struct bytes payload)
{
    struct msg_WS_AUTO m;
    struct prop_agent *a;

    if (!msg_WS_AUTO_unpack(&m, payload, NULL))
        return;
    a = world_agent(&m.agent, m.class_name);
    if (m.request.len > sizeof a->auto_request || m.response.len > sizeof a->auto_response)
        prop_fail("an automatic answer is too long");
    a->auto_request_len = (uint32_t)m.request.len;
    a->auto_response_len = (uint32_t)m.response.len;
    if (m.request.len > 0)
        memcpy(a->auto_request, m.request.data, m.request.len);
    if (m.response.len > 0)
        memcpy(a->auto_response, m.response.data, m.response.len);
}

static void
on_list(struct bytes payload)
{
    const struct prop_agent *a;
    struct msg_WS_LIST m;
    bool ok = msg_WS_LIST_unpack(&m, payload, NULL);

    assert(ok);
    for (uint32_t i = 0; i < shared->sockets_count; i++) {
        struct prop_socket *s = &shared->sockets[i];

        if (!s->is_hibernatable || s->is_over || s->agent < 0 || !agent_id_equal(&shared->agents[s->agent].id, &m.agent))
            continue;
        msg_WS_SOCKET_pack(world_at_once(PEER_GATEWAY),
                           &(struct msg_WS_SOCKET){ .request = m.request, .socket = s->id, .tags = bytes_from(s->tags, s->tags_len),
                                                    .attachment = bytes_from(s->attachment, s->attachment_len), .url = BYTES_LIT("http://prog/ws") });
    }
    a = world_agent(&m.agent, m.class_name);
    msg_WS_LISTED_pack(world_at_once(PEER_GATEWAY),
                       &(struct msg_WS_LISTED){ .request = m.request, .auto_request = bytes_from(a->auto_request, a->auto_request_len),
                                                .auto_response = bytes_from(a->auto_response, a->auto_response_len) });
}

void
socket_hears(enum prop_peer holder, uint16_t type, struct bytes payload)
{
    switch (type) {
    case MSG_WS_OPEN:
        on_open(payload);
        return;
    case MSG_WS_JOIN:
        on_join(holder, payload);
        return;
    case MSG_WS_MESSAGE:
        on_message(holder, payload);
        return;
    case MSG_WS_CAST:
        on_cast(holder, payload);
        return;
    case MSG_WS_CLOSE:
        on_close(payload);
        return;
    case MSG_WS_ATTACH:
        on_attach(payload);
        return;
    case MSG_WS_LIST:
        on_list(payload);
        return;
    case MSG_WS_AUTO:
        on_auto(payload);
        return;
    case MSG_WS_CREDIT:
        on_credit(payload);
        return;
    default:
        return;                        /* automatic answers: nothing comes of them here */
    }
}

/* ---- what clients say ---- */

static struct prop_socket *
any_client(struct chance *c)
{
    uint32_t first = chance_below(c, SOCKETS_MAX);

    for (uint32_t i = 0; i < shared->sockets_count; i++) {
        struct prop_socket *s = &shared->sockets[(first + i) % shared->sockets_count];

        if (s->is_client && !s->is_closed)
            return s;
    }
    return NULL;
}

bool
world_socket_message(struct chance *c)
{
    struct prop_socket *s = any_client(c);
    char text[40];

    if (s == NULL)
        return false;
    (void)snprintf(text, sizeof text, "message %u", chance_below(c, 1000));
    say_to(s, s->id, (uint8_t)((chance_below(c, 3) > 0 ? WS_TEXT : 0) | WS_FIN), bytes_of(text));
    return true;
}

bool
world_socket_close(struct chance *c)
{
    struct prop_socket *s = any_client(c);

    if (s == NULL)
        return false;
    close_to(s, s->id, chance_below(c, 2) == 0 ? 1000 : 1005, BYTES_LIT(""));
    return true;
}
