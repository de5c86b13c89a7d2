/* prop_control — control as workers meet it: deployments, an administrator's questions, and what agents log of their trails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/prop/prop_world.h"

static struct {
    uint32_t edition;                  /* of the app */
    uint32_t requests;
    uint32_t clone_request;            /* the snapshot that it asks for becomes another agent; 0: none */
    uint32_t clone_of;                 /* whose */
    bool     is_cloned;                /* once is enough */
} control;

/* ---- marks ---- */

static struct prop_mark *
mark_find(struct prop_mark *marks, uint32_t count, int64_t k, int32_t h)
{
    for (uint32_t i = count; i > 0; i--)
        if (marks[i - 1].k == k && marks[i - 1].h == h)
            return &marks[i - 1];
    return NULL;
}

static void
mark_add(uint32_t agent, int64_t k, int32_t h)
{
    struct prop_agent *a = &shared->agents[agent];
    struct prop_mark *m = mark_find(shared->marks[agent], a->marks_count, k, h);

    shared->marks_made++;
    if (m != NULL) {
        m->last = shared->marks_made;
        return;
    }
    if (a->marks_count == MARKS_MAX)
        prop_fail("a trail has too many states");
    shared->marks[agent][a->marks_count++] = (struct prop_mark){ k, h, shared->marks_made, shared->marks_made };
}

void
marks_come_back(uint32_t agent)
{
    shared->marks_made++;
    for (uint32_t i = 0; i < shared->agents[agent].marks_count; i++)
        shared->marks[agent][i].last = shared->marks_made;
    mark_add(agent, 0, TRAIL_EMPTY_HASH);
}

static void
marks_inherit(uint32_t agent, uint32_t source)
{
    for (uint32_t i = 0; i < shared->agents[source].marks_count; i++)
        mark_add(agent, shared->marks[source][i].k, shared->marks[source][i].h);
}

void
marks_tell(uint32_t agent, int64_t k, int32_t h)
{
    struct prop_agent *a = &shared->agents[agent];
    const struct prop_mark *m = mark_find(shared->expected[agent], a->expected_count, k, h);

    if (m != NULL && m->first > a->told_first && !shared->are_marks_closed)
        a->told_first = m->first;
}

const char *
marks_judge(uint32_t agent)
{
    const struct prop_agent *a = &shared->agents[agent];
    const struct prop_mark *expected = mark_find(shared->expected[agent], a->expected_count, a->trail, a->trail_hash);
    const struct prop_mark *own = mark_find(shared->marks[agent], a->marks_count, a->trail, a->trail_hash);

    if (expected == NULL && (a->trail > 0 || a->told_first > 0))
        return "it did other things than without sleep";
    if (expected != NULL && (own != NULL ? own : expected)->last < a->told_first)
        return "it lacks something that an answer told of";
    return NULL;
}

static void
on_log(struct bytes payload)
{
    struct msg_LOG m;
    char *text;
    long long k;
    int h;

    if (!msg_LOG_unpack(&m, payload, NULL) || !bytes_equal_str(m.class_name, AGENT_CLASS) || shared->are_marks_closed)
        return;
    text = bytes_dup(m.text);
    if (sscanf(text, "mark %lld %d", &k, &h) == 2)
        mark_add((uint32_t)(world_agent(&m.agent, m.class_name) - shared->agents), k, h);
    free(text);
}

/* ---- deployments ---- */

bool
control_deploys(void)
{
    struct msg_DEPLOY m = { .manifest = BYTES_LIT(MANIFEST) };
    struct buf frame = { 0 };
    char hash[2] = "d";

    if (control.edition + 1 == EDITIONS)
        return false;
    hash[0] = (char)('d' + ++control.edition);
    m.hash = bytes_of(hash);
    if (world.fault == FAULT_DEPLOY) {
        shared->spoiled++;             /* it goes to nobody */
        return true;
    }
    msg_DEPLOY_pack(&frame, &m);
    world_note("", PEER_CONTROL, buf_view(&frame));
    house_deliver(PEER_CONTROL, buf_view(&frame));
    buf_fini(&frame);
    return true;
}

/* ---- questions ---- */

/* To AGENT: {"op": OP, …MORE}. */
static void
ask(struct buf *out, uint32_t agent, const char *op, const char *more)
{
    struct buf json = { 0 };
    char hex[65];

    agent_id_to_hex(&shared->agents[agent].id, hex);
    buf_printf(&json, "{\"op\":\"%s\",\"class\":\"" AGENT_CLASS "\",\"id\":\"%s\",\"name\":\"%s\"%s}", op, hex, shared->agents[agent].name, more);
    msg_ADMIN_pack(out, &(struct msg_ADMIN){ .request = ++control.requests, .json = buf_view(&json) });
    buf_fini(&json);
}

void
control_asks(struct chance *c, bool may_go_back)
{
    const uint32_t agent = chance_below(c, shared->agents_count), what = chance_below(c, 10);
    const int64_t first_ms = journal_first_ms(&shared->agents[agent].id), now_ms = (HOUSE_WALL_US + house_now_us) / 1000;
    struct buf frame = { 0 };
    char more[100] = "";

    if (what < 3 || (!may_go_back && (what < 6 || what > 7))) {
        ask(&frame, agent, "snapshot", what == 0 ? ",\"heap\":false" : ",\"label\":\"asked\"");
    } else if (what < 6) {
        ask(&frame, agent, "rollback", what == 3 ? ",\"heap\":false,\"snapshot\":\"latest\"" : ",\"snapshot\":\"latest\"");
    } else if (what < 8 && !shared->has_clone && !control.is_cloned) {
        ask(&frame, agent, "snapshot", ",\"passing\":true");
        control.is_cloned = true;
        control.clone_request = control.requests;
        control.clone_of = agent;
    } else if (what == 8 && first_ms <= now_ms) {
        (void)snprintf(more, sizeof more, ",\"at_ms\":%lld", (long long)(first_ms + (int64_t)chance_below(c, (uint32_t)(now_ms - first_ms + 1))));
        ask(&frame, agent, "restore", more);
    } else {
        ask(&frame, agent, may_go_back && chance_below(c, 3) == 0 ? "delete" : "snapshots", "");
    }
    world_note("", PEER_CONTROL, buf_view(&frame));
    house_deliver(PEER_CONTROL, buf_view(&frame));
    buf_fini(&frame);
}

/* The snapshot for a clone is there: a new agent becomes it, when that happens. */
static void
clone_from(const char *answer)
{
    static const char key[] = "\"snapshot\":\"";
    const char *id = strstr(answer, key);
    char more[300], hex[65];

    if (id == NULL)
        return;
    agent_id_to_hex(&shared->agents[control.clone_of].id, hex);
    (void)snprintf(more, sizeof more, ",\"source\":\"%s\",\"snapshot\":\"%.*s\",\"alarm\":true", hex, (int)strcspn(id + sizeof key - 1, "\""), id + sizeof key - 1);
    ask(world_later(PEER_CONTROL, CHAIN_CONTROL), shared->agents_count, "clone", more);
}

void
control_hears_of_clone(uint32_t agent)
{
    if (shared->has_clone || agent != shared->agents_count)
        return;
    shared->has_clone = true;
    shared->agents_count++;
    marks_inherit(agent, control.clone_of);
}

void
control_hears(uint16_t type, struct bytes payload)
{
    struct msg_ADMIN_REPLY m;
    char *text;

    if (type == MSG_LOG) {
        on_log(payload);
    } else if (type == MSG_ADMIN_REPLY && msg_ADMIN_REPLY_unpack(&m, payload, NULL) && m.request == control.clone_request) {
        text = bytes_dup(m.json);
        control.clone_request = 0;
        clone_from(text);
        free(text);
    }
}
