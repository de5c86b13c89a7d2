/*
 * sim_world — the outside: who asks the agents, and the oracle of what they said.
 *
 * Every answer carries the agent's whole log, so every answer is checked: rows numbered without gaps; each operation at most once, and
 * only one that was asked of this agent and whose turn ended; everything that was told to be done before the question was asked
 * (nobody may have seen what a crash then undid: the first law); a log goes on where it was, or is a new one after the agent was deleted,
 * and then nothing of the old one comes back; alarms fire because they were set, once, and not early.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc/link.h"
#include "tests/sim/sim.h"

#define AGENTS_MAX  6
#define LIVES_MAX   64
#define OPS_MAX     8192
#define OPEN_MAX    24
#define ROWS_ENOUGH 50
#define EARLY_MS    1000                           /* what the scheduler promises */

struct operation {                                 /* a row that was asked for, or that an alarm wrote */
    uint64_t op;
    uint32_t agent, kind;
    int64_t  due_ms, asked_us;
    int64_t  known_us;                             /* since when somebody was told of it; 0: nobody was */
    int64_t  dead_us;                              /* since when it is known to be deleted; 0 */
    bool     may_be_gone;                          /* a deletion was asked for that may have taken it */
};
struct life {                                      /* of an agent, until it is deleted */
    struct world_entry *log;
    uint32_t            count, cap;
};
struct client {
    struct agent_id id;
    const char     *class_name;
    char            name[16];
    struct life     lives[LIVES_MAX];
    uint32_t        lives_count;
    uint32_t        deletions;                     /* asked for */
    uint32_t        deleting;                      /* request number of the one under way; 0 */
    uint32_t        open;                          /* questions */
    bool            is_settled;                    /* it answered without faults, and no alarm is left */
    int64_t         next_us;
};
enum question_kind { QUESTION_CALL, QUESTION_DELETE };
struct question {
    bool               is_open;
    enum question_kind kind;
    uint32_t           wire, agent;
    struct link       *link;
    struct world_request request;
    int64_t            asked_us;
    uint32_t           lives_then, count_then;     /* what was known when it was asked */
    size_t             ops_then;
    uint32_t           deletions_then;             /* UINT32_MAX: one was under way */
};

static struct client clients[AGENTS_MAX];
static struct operation ops[OPS_MAX];
static size_t ops_count;
static struct question questions[OPEN_MAX];
static struct { struct link *calls, *control; } workers[2];
static uint32_t last_wire;
static uint64_t last_op;
static int64_t next_us;
static bool is_asking;                             /* only what is there: the faults are over */

int
world_agent(const struct agent_id *id)
{
    for (uint32_t i = 0; i < plan.agents; i++)
        if (agent_id_equal(id, &clients[i].id))
            return (int)i;
    return -1;
}

/* ---- operations ---- */

static struct operation *
operation_find(uint64_t op)
{
    for (size_t i = ops_count; i > 0; i--)
        if (ops[i - 1].op == op)
            return &ops[i - 1];
    return NULL;
}

static struct operation *
operation_add(uint32_t agent, uint64_t op, uint32_t kind, int64_t due_ms)
{
    assert(ops_count < OPS_MAX);
    ops[ops_count] = (struct operation){ .op = op, .agent = agent, .kind = kind, .due_ms = due_ms, .asked_us = sim_now_us };
    return &ops[ops_count++];
}

static void
operation_known(struct operation *operation)
{
    if (operation->known_us == 0)
        operation->known_us = sim_now_us;
}

/* ---- asking ---- */

static struct question *
question_new(uint32_t agent, enum question_kind kind, struct link *link)
{
    struct client *client = &clients[agent];

    for (size_t i = 0; i < OPEN_MAX; i++) {
        struct question *q = &questions[i];

        if (q->is_open)
            continue;
        *q = (struct question){ .is_open = true, .kind = kind, .wire = ++last_wire, .agent = agent, .link = link, .asked_us = sim_now_us,
                                .lives_then = client->lives_count, .ops_then = ops_count,
                                .deletions_then = client->deleting != 0 ? UINT32_MAX : client->deletions };
        if (client->lives_count > 0)
            q->count_then = client->lives[client->lives_count - 1].count;
        client->open++;
        return q;
    }
    return NULL;
}

static void
question_end(struct question *q)
{
    clients[q->agent].open--;
    q->is_open = false;
}

static struct link *
link_for(uint32_t agent, bool is_control)
{
    const uint16_t slot = agent_id_slot(&clients[agent].id, (uint16_t)plan.workers);

    return is_control ? workers[slot].control : workers[slot].calls;
}

static void
ask_call(uint32_t agent, struct world_request request)
{
    struct client *client = &clients[agent];
    struct link *link = link_for(agent, false);
    struct question *q = link != NULL ? question_new(agent, QUESTION_CALL, link) : NULL;
    struct msg_CALL m;

    if (q == NULL)
        return;
    if (request.kind != 0) {
        struct operation *operation;

        request.op = ++last_op;
        operation = operation_add(agent, request.op, request.kind, request.due_ms);
        operation->may_be_gone = client->deleting != 0;
    }
    q->request = request;
    m = (struct msg_CALL){ .call = q->wire, .kind = CALL_RPC, .flags = CALL_HAS_BODY, .agent = client->id, .class_name = bytes_of(client->class_name),
                           .name = bytes_of(client->name), .method = BYTES_LIT("log"), .body = bytes_from(&q->request, sizeof q->request) };
    sim_trace("ask %u: agent %u kind %u op %llu", q->wire, agent, request.kind, (unsigned long long)request.op);
    msg_CALL_pack(link_out(link), &m);
}

static void
ask_deletion(uint32_t agent)
{
    struct client *client = &clients[agent];
    struct link *link = link_for(agent, true);
    const bool may_ask = link != NULL && client->deleting == 0 && client->deletions + 2 < LIVES_MAX;
    struct question *q = may_ask ? question_new(agent, QUESTION_DELETE, link) : NULL;
    struct buf json = { 0 };
    char hex[65];

    if (q == NULL)
        return;
    client->deletions++;
    client->deleting = q->wire;
    for (size_t i = 0; i < ops_count; i++)
        if (ops[i].agent == agent)
            ops[i].may_be_gone = true;
    agent_id_to_hex(&client->id, hex);
    buf_printf(&json, "{\"op\":\"delete\",\"class\":\"%s\",\"id\":\"%s\",\"name\":\"%s\"}", client->class_name, hex, client->name);
    sim_trace("ask %u: delete agent %u", q->wire, agent);
    msg_ADMIN_pack(link_out(link), &(struct msg_ADMIN){ .request = q->wire, .json = buf_view(&json) });
    buf_fini(&json);
}

/* ---- the oracle ---- */

static void
check_entry(uint32_t agent, const struct question *q, const struct world_entry *entry, uint32_t i)
{
    struct operation *operation = operation_find(entry->op);

    if (entry->number != i + 1)
        sim_fail("agent %u: row %u has number %u", agent, i + 1, entry->number);
    if (operation == NULL && (entry->kind == ENTRY_FIRED || entry->kind == ENTRY_SET)) {
        operation = operation_add(agent, entry->op, entry->kind, entry->due_ms);   /* an alarm's */
        operation->asked_us = 0;
        operation->may_be_gone = clients[agent].deletions != q->deletions_then;
    }
    if (operation == NULL || operation->agent != agent || operation->kind != entry->kind || operation->due_ms != entry->due_ms)
        sim_fail("agent %u: row %u is of op %llu, which was never asked of it", agent, i + 1, (unsigned long long)entry->op);
    if (operation->kind == ENTRY_TRAP)
        sim_fail("agent %u: row %u is of a turn that did not end", agent, i + 1);
    if (operation->dead_us != 0 && operation->dead_us <= q->asked_us)
        sim_fail("agent %u: row %u, op %llu, was deleted and is back", agent, i + 1, (unsigned long long)entry->op);
}

static void
check_alarms(uint32_t agent, const struct world_entry *log, uint32_t count)
{
    const struct world_entry *armed = NULL;

    for (uint32_t i = 0; i < count; i++) {
        if (log[i].kind == ENTRY_SET)
            armed = &log[i];
        if (log[i].kind == ENTRY_CLEAR)
            armed = NULL;
        if (log[i].kind != ENTRY_FIRED)
            continue;
        if (armed == NULL || armed->due_ms != log[i].due_ms)
            sim_fail("agent %u: row %u: an alarm fired that was not set", agent, i + 1);
        if (plan.step == 0 ? log[i].at_ms < log[i].due_ms - EARLY_MS
                           : !sim_wall_reached(log[i].due_ms - EARLY_MS, operation_find(armed->op)->asked_us))
            sim_fail("agent %u: row %u: an alarm fired %lld ms early", agent, i + 1, (long long)(log[i].due_ms - log[i].at_ms));
        armed = NULL;
    }
}

static bool
log_has(const struct world_entry *log, uint32_t count, uint64_t op)
{
    for (uint32_t i = 0; i < count; i++)
        if (log[i].op == op)
            return true;
    return false;
}

/* What somebody was told before Q was asked must be there. */
static void
check_kept(uint32_t agent, const struct question *q, const struct world_entry *log, uint32_t count)
{
    for (size_t i = 0; i < ops_count; i++) {
        const struct operation *operation = &ops[i];

        if (operation->agent != agent || operation->known_us == 0 || operation->known_us > q->asked_us || operation->may_be_gone)
            continue;
        if (!log_has(log, count, operation->op))
            sim_fail("agent %u: op %llu was told to be done at %lld us and is gone from the answer to %u, asked at %lld us", agent,
                     (unsigned long long)operation->op, (long long)operation->known_us, q->wire, (long long)q->asked_us);
    }
}

static uint32_t
life_of(struct client *client, const struct world_entry *first)
{
    for (uint32_t i = 0; i < client->lives_count; i++)
        if (client->lives[i].log[0].op == first->op)
            return i;
    if (client->lives_count > client->deletions)
        sim_fail("agent %ld: a log that begins with op %llu, though it was deleted %u times only", (long)(client - clients),
                 (unsigned long long)first->op, client->deletions);
    assert(client->lives_count < LIVES_MAX);
    return client->lives_count++;
}

static void
life_learn(struct life *life, const struct world_entry *log, uint32_t count)
{
    if (count > life->cap) {
        life->cap = count * 2;
        life->log = realloc(life->log, life->cap * sizeof life->log[0]);
        assert(life->log != NULL);
    }
    for (; life->count < count; life->count++) {
        const struct world_entry *entry = &log[life->count];

        life->log[life->count] = *entry;
        operation_known(operation_find(entry->op));
        if (entry->kind == ENTRY_FIRED)
            sim_saw(SAW_ALARM_FIRED);
    }
}

static void
check_life(uint32_t agent, const struct question *q, const struct world_entry *log, uint32_t count)
{
    struct client *client = &clients[agent];
    const uint32_t number = life_of(client, &log[0]);
    struct life *life = &client->lives[number];

    if (number + 1 < q->lives_then)
        sim_fail("agent %u: an old log is back in the answer to %u", agent, q->wire);
    if (number + 1 == q->lives_then && count < q->count_then)
        sim_fail("agent %u: %u rows were seen before %u was asked, now there are %u", agent, q->count_then, q->wire, count);
    for (uint32_t i = 0; i < count && i < life->count; i++)
        if (life->log[i].op != log[i].op)
            sim_fail("agent %u: row %u was op %llu for one caller and is op %llu for another", agent, i + 1, (unsigned long long)life->log[i].op,
                     (unsigned long long)log[i].op);
    for (uint32_t i = 0; i < count; i++)
        if (log_has(log, i, log[i].op))
            sim_fail("agent %u: op %llu was done twice", agent, (unsigned long long)log[i].op);
    life_learn(life, log, count);
}

static void
check_answer(const struct question *q, struct bytes body)
{
    const uint32_t agent = q->agent, count = (uint32_t)(body.len / sizeof(struct world_entry));
    struct world_entry *log = malloc(body.len + 1);

    assert(log != NULL);
    memcpy(log, body.data, body.len);
    for (uint32_t i = 0; i < count; i++)
        check_entry(agent, q, &log[i], i);
    if (q->request.kind != 0 && (count == 0 || log[count - 1].op != q->request.op))
        sim_fail("agent %u: the answer to %u lacks its own row", agent, q->wire);
    check_kept(agent, q, log, count);
    check_alarms(agent, log, count);
    if (count > 0)
        check_life(agent, q, log, count);
    free(log);
}

/* Whatever alarm the agent's log ends with has fired. */
static bool
alarms_are_over(struct bytes body)
{
    const struct world_entry *log = (const struct world_entry *)(const void *)body.data;
    bool is_armed = false;

    for (size_t i = 0; i < body.len / sizeof *log; i++) {
        struct world_entry entry;

        memcpy(&entry, &log[i], sizeof entry);
        is_armed = entry.kind == ENTRY_SET || (is_armed && entry.kind == ENTRY_WRITE);
    }
    return !is_armed;
}

/* ---- answers ---- */

static struct question *
question_find(const struct link *link, uint32_t wire, enum question_kind kind)
{
    for (size_t i = 0; i < OPEN_MAX; i++)
        if (questions[i].is_open && questions[i].wire == wire && questions[i].kind == kind && questions[i].link == link)
            return &questions[i];
    return NULL;
}

static void
deletion_end(struct question *q, bool is_done)
{
    struct client *client = &clients[q->agent];

    sim_trace("agent %u: deletion %u is %s", q->agent, q->wire, is_done ? "done" : "not known to be done");
    for (size_t i = 0; is_done && i < q->ops_then; i++)
        if (ops[i].agent == q->agent && ops[i].known_us != 0 && ops[i].known_us <= q->asked_us && ops[i].dead_us == 0)
            ops[i].dead_us = sim_now_us;
    for (size_t i = 0; i < ops_count; i++)
        if (ops[i].agent == q->agent)
            ops[i].may_be_gone = true;             /* also those asked for meanwhile: before it or after it */
    client->deleting = 0;
    question_end(q);
}

static void
on_reply(struct link *link, struct bytes payload)
{
    struct msg_REPLY m;
    struct question *q;
    bool ok = msg_REPLY_unpack(&m, payload, NULL);

    assert(ok);
    q = question_find(link, m.call, QUESTION_CALL);
    if (q == NULL)
        sim_fail("an answer to %u, which nobody waits for", m.call);
    sim_trace("answer %u: agent %u has %zu rows", q->wire, q->agent, m.body.len / sizeof(struct world_entry));
    check_answer(q, m.body);
    if (is_asking && q->request.kind == 0)
        clients[q->agent].is_settled = alarms_are_over(m.body);
    question_end(q);
}

static void
on_fail(struct link *link, struct bytes payload)
{
    struct msg_FAIL m;
    struct question *q;
    bool ok = msg_FAIL_unpack(&m, payload, NULL);

    assert(ok);
    q = question_find(link, m.call, QUESTION_CALL);
    if (q == NULL)
        sim_fail("a failure of %u, which nobody waits for", m.call);
    sim_trace("failure %u: %.*s", q->wire, (int)m.message.len, (const char *)m.message.data);
    sim_saw(SAW_FAILED);
    question_end(q);
}

static void
on_admin_reply(struct link *link, struct bytes payload)
{
    struct msg_ADMIN_REPLY m;
    struct question *q;
    bool ok = msg_ADMIN_REPLY_unpack(&m, payload, NULL);

    assert(ok);
    q = question_find(link, m.request, QUESTION_DELETE);
    if (q == NULL)
        sim_fail("an answer to the deletion %u, which nobody waits for", m.request);
    sim_trace("answer %u: %.*s", q->wire, (int)m.json.len, (const char *)m.json.data);
    deletion_end(q, memmem(m.json.data, m.json.len, "\"ok\":true", 9) != NULL);
}

void
world_message(struct link *link, uint16_t type, struct bytes payload)
{
    if (type == MSG_REPLY)
        on_reply(link, payload);
    else if (type == MSG_FAIL)
        on_fail(link, payload);
    else if (type == MSG_ADMIN_REPLY)
        on_admin_reply(link, payload);
}

/* ---- links ---- */

void
world_up(struct link *link, bool is_control)
{
    const struct msg_HELLO *peer = link_peer(link);

    if (is_control) {
        workers[peer->index].control = link;
        return;
    }
    workers[peer->index].calls = link;
    msg_WS_AGENTS_pack(link_out(link), &(struct msg_WS_AGENTS){ .present = 1 });   /* nobody has sockets here */
}

void
world_down(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        if (workers[i].calls == link)
            workers[i].calls = NULL;
        if (workers[i].control == link)
            workers[i].control = NULL;
    }
    for (size_t i = 0; i < OPEN_MAX; i++) {
        struct question *q = &questions[i];

        if (!q->is_open || q->link != link)
            continue;
        sim_trace("nobody will answer %u", q->wire);
        sim_saw(SAW_UNKNOWN);
        if (q->kind == QUESTION_DELETE)
            deletion_end(q, false);
        else
            question_end(q);
    }
}

/* ---- what is asked ---- */

static void
act_once(uint32_t agent)
{
    struct client *client = &clients[agent];
    const uint32_t rows = client->lives_count > 0 ? client->lives[client->lives_count - 1].count : 0;
    const uint32_t dice = sim_below(100);
    struct world_request request = { .bytes = sim_below(sim_below(8) == 0 ? 9000 : 300) };

    if (dice < 4 || (rows > ROWS_ENOUGH && dice < 30)) {
        ask_deletion(agent);
        return;
    }
    if (dice < 20 || rows > ROWS_ENOUGH)
        request.kind = 0;
    else if (dice < 36)
        request.kind = ENTRY_SET;
    else if (dice < 40)
        request.kind = ENTRY_CLEAR;
    else if (dice < 44)
        request.kind = ENTRY_TRAP;
    else
        request.kind = ENTRY_WRITE;
    if (request.kind == ENTRY_SET)
        request.due_ms = sim_wall_us() / 1000 + (int64_t)sim_below(sim_below(4) == 0 ? 60000 : 3000) - 500;
    if (plan.has_wide && request.kind == ENTRY_WRITE && sim_below(30) == 0)
        request.bytes = 1200000;
    ask_call(agent, request);
}

static void
act_calm(void)
{
    for (uint32_t i = 0; i < plan.agents; i++) {
        struct client *client = &clients[i];

        if (client->is_settled || client->open > 0 || sim_now_us < client->next_us)
            continue;
        client->next_us = sim_now_us + 2000000;
        ask_call(i, (struct world_request){ 0 });
    }
}

void
world_act(void)
{
    if (is_asking) {
        act_calm();
        return;
    }
    if (sim_now_us < next_us)
        return;
    for (uint32_t n = 1 + sim_below(4); n > 0; n--)
        act_once(sim_below(plan.agents));
    next_us = sim_now_us + (int64_t)sim_below(sim_below(6) == 0 ? 3000000 : 4000);
}

int64_t
world_next_us(void)
{
    int64_t next = INT64_MAX;

    if (!is_asking)
        return next_us;
    for (uint32_t i = 0; i < plan.agents; i++)
        if (!clients[i].is_settled && clients[i].open == 0 && clients[i].next_us < next)
            next = clients[i].next_us;
    return next;
}

void
world_calm(void)
{
    is_asking = true;
    world_ask_again();
}

void
world_ask_again(void)
{
    for (uint32_t i = 0; i < plan.agents; i++) {
        clients[i].is_settled = false;
        clients[i].next_us = sim_now_us;
    }
}

bool
world_is_settled(void)
{
    for (uint32_t i = 0; i < plan.agents; i++)
        if (!clients[i].is_settled || clients[i].open > 0)
            return false;
    return true;
}

const char *
world_awaited(void)
{
    static struct buf text;

    buf_clear(&text);
    for (size_t i = 0; i < OPEN_MAX; i++)
        if (questions[i].is_open)
            buf_printf(&text, "no answer to %u of agent %u; ", questions[i].wire, questions[i].agent);
    for (uint32_t i = 0; i < plan.agents; i++)
        if (!clients[i].is_settled)
            buf_printf(&text, "agent %u; ", i);
    return buf_cstr(&text);
}

void
world_init(void)
{
    static const char *const classes[] = { "Room", "Counter" };

    for (uint32_t i = 0; i < plan.agents; i++) {
        for (size_t k = 0; k < sizeof clients[i].id.bytes; k++)
            clients[i].id.bytes[k] = (uint8_t)sim_u64();
        clients[i].class_name = classes[sim_below(2)];
        (void)snprintf(clients[i].name, sizeof clients[i].name, "agent %u", i);
    }
}
