/* prop_run — one run of a program: the schedule of events, which its seed decides, and sleep after each of them, which the mode decides. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "lib/base/map.h"
#include "lib/ident/ident.h"
#include "src/worker/agent.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/heap_internal.h"
#include "src/worker/worker.h"
#include "tests/prop/prop_world.h"

#define REQUESTS      6                /* of a program */
#define THEME_EACH    4                /* programs: one of them goes back and forth (app/state.js) */
#define REQUESTS_AGAIN 3               /* of one that was killed */
#define LAST_TRIES    3                /* whose restore fails tells it to who comes next */
#define STEPS_MAX     3000
#define REST_ROUNDS   16

enum purpose { FOR_SCHEDULE = 1, FOR_SLEEP, FOR_FAULT, FOR_KILL, FOR_SLEEPERS, FOR_TROUBLES, FOR_STEPS = 1000 };
enum trouble { TROUBLE_REFUSED, TROUBLE_JOURNAL, TROUBLE_DEPLOY, TROUBLE_CONTROL, TROUBLES };       /* a program has some of them, and most have none */

static struct {
    const struct prop_plan *plan;
    struct chance           schedule, sleep, fault;
    uint32_t                requests;  /* still to come */
    uint32_t                patience;  /* how often it may end: then the worker starts over */
    bool                    has_trouble[TROUBLES];
    bool                    has_refused;   /* then the journal stays: whose database lacks commits depends on who has left memory since */
    char                    peers[400];
    struct buf              old_image; /* FAULT_OLD */
    const struct agent     *old_of;
} run;

/* ---- agents ---- */

/* A name for an agent of SLOT. */
static void
name_of_slot(uint16_t slot, uint32_t n, char *out, size_t size, struct agent_id *out_id)
{
    struct ident_key key;
    uint32_t tries = 0;

    ident_key_init(&key, BYTES_LIT("prop"), BYTES_LIT("Prog"));
    do {
        (void)snprintf(out, size, "%llu-%u-%u", (unsigned long long)run.plan->seed, n, tries++);
        ident_from_name(&key, bytes_of(out), out_id);
    } while (agent_id_slot(out_id, HOUSE_SLOTS) != slot);
}

static void
name_agents(void)
{
    struct agent_id id;
    char far[32];
    int n;

    shared->agents_count = 1 + chance_below(&run.schedule, AGENTS_MAX - 1);
    n = snprintf(run.peers, sizeof run.peers, "&near=");
    for (uint32_t i = 0; i <= shared->agents_count; i++) {
        struct prop_agent *a = &shared->agents[i];

        name_of_slot(0, i, a->name, sizeof a->name, &a->id);
        if (i == shared->agents_count)
            break;                     /* for a clone */
        n += snprintf(run.peers + n, sizeof run.peers - (size_t)n, "%s%s", i > 0 ? "," : "", a->name);
    }
    name_of_slot(1, AGENTS_MAX, far, sizeof far, &id);
    (void)snprintf(run.peers + n, sizeof run.peers - (size_t)n, "&far=%s%s%s", far, run.plan->seed % THEME_EACH == 0 ? "&theme=state" : "",
                   run.has_trouble[TROUBLE_CONTROL] ? "&asked=1" : "");
    shared->agents_count += shared->has_clone;
}

static void
choose_troubles(void)
{
    struct chance c = chance_of(run.plan->seed, FOR_TROUBLES);

    for (int i = 0; i < TROUBLES; i++)
        run.has_trouble[i] = chance_below(&c, 6) == 0;
    run.patience = 2;
}

/* ---- sleep ---- */

static void
sleep_now(enum pressure pressure)
{
    uint64_t before;

    house_press(pressure);
    for (int i = 0; i < REST_ROUNDS; i++) {
        before = worker.sleeps + worker.colds + worker.evictions;
        (void)agents_rest();
        if (worker.sleeps + worker.colds + worker.evictions == before)
            break;
    }
    house_press(PRESSURE_EASE);
}

void
run_sleep(void)
{
    house_chance(chance_of(run.plan->seed, FOR_SLEEPERS));
    switch (run.plan->mode) {
    case MODE_WARM:
        sleep_now(PRESSURE_TIGHT);
        return;
    case MODE_COLD:
        sleep_now(PRESSURE_STARVING);
        return;
    case MODE_MIXED:
        if (chance_below(&run.sleep, 3) > 0)
            sleep_now(chance_below(&run.sleep, 2) == 0 ? PRESSURE_TIGHT : PRESSURE_STARVING);
        return;
    default:
        return;
    }
}

/* ---- faults: controls of the test ---- */

struct picking {
    struct chance *chance;
    uint32_t       page, count;
};

static void
pick_page(void *ctx, uint32_t page)
{
    struct picking *p = ctx;

    if (chance_below(p->chance, ++p->count) == 0)
        p->page = page;
}

#define WORDS_SPOILED 32               /* many words of a heap are dead, or of things that a program does not use again */

/* A bit each in words that the agent's own pages hold. */
static void
spoil_words(struct agent *a)
{
    if (!agent_wake(a))
        prop_fail("the worker refuses its own image");
    for (uint32_t tries = 0, spoiled = 0; spoiled < WORDS_SPOILED && tries < 1000; tries++) {
        struct picking p = { .chance = &run.fault };
        uint32_t *word;

        heap_own_pages(a->heap, pick_page, &p);
        word = (uint32_t *)(void *)(a->heap->base + (size_t)p.page * KERNEL_PAGE + 4ul * chance_below(&run.fault, KERNEL_PAGE / 4));
        if (*word == 0)
            continue;
        *word ^= 1u << chance_below(&run.fault, 32);
        spoiled++;
    }
    shared->spoiled++;
    agent_is_quiet(a);
}

static void
spoil_image(struct agent *a)
{
    a->image.data[chance_u64(&run.fault) % a->image.len] ^= (uint8_t)(1u << chance_below(&run.fault, 8));
    shared->spoiled++;
}

static void
spoil_bit(const char *path)
{
    FILE *file = fopen(path, "r+e");
    long len, at;
    int byte;

    if (file == NULL)
        return;
    if (fseek(file, 0, SEEK_END) == 0 && (len = ftell(file)) > 0) {
        at = (long)(chance_u64(&run.fault) % (uint64_t)len);
        if (fseek(file, at, SEEK_SET) == 0 && (byte = getc(file)) >= 0 && fseek(file, at, SEEK_SET) == 0)
            shared->spoiled += putc(byte ^ 1 << chance_below(&run.fault, 8), file) != EOF;
    }
    (void)fclose(file);
}

static void
swap_image(struct agent *a)
{
    if (run.old_of != a) {             /* later */
        buf_clear(&run.old_image);
        buf_append_bytes(&run.old_image, buf_view(&a->image));
        run.old_of = a;
        return;
    }
    if (bytes_equal(buf_view(&run.old_image), buf_view(&a->image)))
        return;
    buf_clear(&a->image);
    buf_append_bytes(&a->image, buf_view(&run.old_image));
    shared->spoiled++;
}

/* A bit of some snapshot, or of a heap that a restore left. */
static void
spoil_file(void)
{
    char path[600];

    for (uint32_t i = 0; i < shared->agents_count; i++) {
        char hex[65];
        struct dirent **names = NULL;
        int count, n;

        agent_id_to_hex(&shared->agents[i].id, hex);
        n = snprintf(path, sizeof path, "%s/agents/" AGENT_CLASS "/%.2s/%s.snapshots", worker.data, hex, hex);
        count = scandir(path, &names, NULL, NULL);
        for (int k = 0; k < count; k++) {
            (void)snprintf(path + n, sizeof path - (size_t)n, "/%s", names[k]->d_name);
            spoil_bit(path);
            free(names[k]);
        }
        free(names);
    }
}

static void
spoil_as_planned(void)
{
    size_t cursor = 0;
    struct bytes key;
    void *value;

    if (run.plan->fault == FAULT_NONE || shared->spoiled > 0 || shared->steps < 8 || chance_below(&run.fault, 6) > 0)
        return;
    if (run.plan->fault == FAULT_TIMER) {
        shared->spoiled += house_timer_drop(chance_below(&run.fault, 64));
        return;
    }
    if (run.plan->fault == FAULT_SNAPSHOT) {
        spoil_file();
        return;
    }
    while (run.plan->fault <= FAULT_FACET && bmap_next(worker.agents, &cursor, &key, &value)) {
        struct agent *a = value;

        if (a->state != AGENT_WARM || (run.plan->fault == FAULT_FACET && strcmp(a->class_name, PART_CLASS) != 0))
            continue;
        if (run.plan->fault == FAULT_IMAGE || run.plan->fault == FAULT_FACET)
            spoil_image(a);
        else if (run.plan->fault == FAULT_WORDS)
            spoil_words(a);
        else
            swap_image(a);
        return;
    }
}

/* ---- the schedule ---- */

static void
request(void)
{
    struct chance *c = &run.schedule;
    const int agent = (int)chance_below(c, shared->agents_count);
    const uint32_t kind = chance_below(c, 12), seed = (uint32_t)(chance_u64(c) >> 34), fragments = 2 + chance_below(c, 7);
    char path[600];

    (void)snprintf(path, sizeof path, "%s?s=%u&n=%u%s", kind == 0 ? "/ws" : kind == 1 ? "/up" : "/go", seed, fragments, run.peers);
    world_request(agent, path, kind == 1);
}

/* To the next timer or alarm, or nowhere. */
static bool
let_time_pass(void)
{
    const int64_t timer = house_timer_due_us(), alarm = world_alarm_due_us();

    if (timer == INT64_MAX && alarm == INT64_MAX)
        return false;
    if (alarm < timer) {
        world_alarm_fire();
    } else {
        say("a timer");
        house_timer_fire();
    }
    return true;
}

/* While the journal is away: it comes back, or the worker's patience ends. False: not now. */
static bool
wait_for_journal(struct chance *c)
{
    const uint32_t what = chance_below(c, 12);

    if (!journal_is_away() || what > 3)
        return false;
    if (what > 0 || run.patience == 0) {
        journal_returns();
        return true;
    }
    run.patience--;
    run.has_refused = true;
    say("the worker's patience ends");
    house_patience_ends();
    return true;
}

/* Something that few programs meet. False: not now. */
static bool
meet_trouble(struct chance *c)
{
    uint32_t trouble = chance_below(c, TROUBLES), tries = 0;

    while (!run.has_trouble[trouble] && tries++ < TROUBLES)
        trouble = (trouble + 1) % TROUBLES;
    if (!run.has_trouble[trouble])
        return false;
    switch ((enum trouble)trouble) {
    case TROUBLE_REFUSED:
        return journal_refuses(c) && (run.has_refused = true);
    case TROUBLE_JOURNAL:
        if (run.has_refused || journal_is_away())
            return false;
        journal_dies(c);
        return true;
    case TROUBLE_DEPLOY:
        return control_deploys();
    default:
        control_asks(c, !run.has_trouble[TROUBLE_REFUSED] && !run.has_trouble[TROUBLE_JOURNAL]);
        return true;
    }
}

/* Nothing happens but what waits for the clock: old code that was given time to finish, the journal. */
static bool
wait_idly(void)
{
    if (journal_is_away()) {
        journal_returns();
        return true;
    }
    if (worker.deployed_ms == 0)
        return false;
    say("time passes");
    house_now_us += 1000000;
    return true;
}

/* One event. False: there is nothing left to happen. */
static bool
act(void)
{
    struct chance *c = &run.schedule;
    const uint32_t what = chance_below(c, 100), waiting = world_waiting();

    if (journal_is_away() && wait_for_journal(c))
        return true;
    if (run.requests > 0 && what >= 38 && what < 50 && meet_trouble(c))
        return true;

    if (run.requests > 0 && what < 30) {
        run.requests--;
        request();
        return true;
    }
    if (run.requests > 0 && ((what < 36 && world_socket_message(c)) || (what == 36 && world_socket_close(c)) || (what == 37 && world_cancel(c))))
        return true;
    if (waiting > 0 && (what < 85 || house_timer_due_us() == INT64_MAX)) {
        world_happen(chance_below(c, waiting));
        return true;
    }
    return let_time_pass() || waiting > 0 || run.requests > 0 || wait_idly();
}

static void
end_if_killed(bool has_been_heard)
{
    struct chance c = chance_of(run.plan->seed, FOR_KILL);

    if (shared->steps != run.plan->kill_step || (chance_below(&c, 2) == 0) != has_been_heard)
        return;
    shared->is_killed = true;
    _exit(0);
}

static bool
step(bool (*fn)(void))
{
    bool is_more;

    if (++shared->steps > STEPS_MAX)
        prop_fail("the program does not come to rest");
    say("-- %u at %lld", shared->steps, (long long)house_now_us / 1000);
    house_chance(chance_of(run.plan->seed, FOR_STEPS + shared->steps));
    house_now_us += 1000 * (int64_t)chance_below(&run.schedule, 4);
    is_more = fn();
    house_finish_deploy();
    end_if_killed(false);
    world_hear();
    end_if_killed(true);
    run_sleep();
    world_hear();
    spoil_as_planned();
    if (house_exits())
        prop_fail("the worker exits");
    return is_more;
}

static uint32_t asked;                 /* agent of ask_last() */

static bool
ask_last(void)
{
    world_request((int)asked, "/end", false);
    return true;
}

static void
finish(void)
{
    while (step(act))
        ;
    world_hurry();
    while (step(act))
        ;
    for (asked = 0; asked < shared->agents_count; asked++) {
        for (int i = 0; i < LAST_TRIES && shared->agents[asked].trail < 0; i++) {
            (void)step(ask_last);
            while (step(act))
                ;
        }
    }
    if (!world_is_answered())
        prop_fail("a request has no answer");
}

static void
count(void)
{
    shared->turns += worker.turns;
    shared->sleeps += worker.sleeps;
    shared->colds += worker.colds;
    shared->warm_wakes += worker.warm_wakes;
    shared->cold_wakes += worker.cold_wakes;
    shared->resets += worker.resets;
    for (int i = 0; i < IMAGE_REFUSALS; i++)
        shared->refused += worker.images_refused[i];
}

void
run_program(const struct prop_plan *plan)
{
    run.plan = plan;
    run.schedule = chance_of(plan->seed, FOR_SCHEDULE);
    run.sleep = chance_of(plan->seed, FOR_SLEEP);
    run.fault = chance_of(plan->seed, FOR_FAULT);
    run.requests = REQUESTS;
    world.fault = plan->fault;
    choose_troubles();
    name_agents();
    world_begin(plan->seed, false);
    finish();
    count();
    shared->is_done = true;
}

/* What is left of a killed agent: whole commits, all that anybody was told of, nothing else. */
static void
judge(uint32_t agent)
{
    const struct prop_agent *a = &shared->agents[agent];
    const char *wrong = a->trail < 0 ? "no answer" : a->verdict[0] != '\0' ? a->verdict : marks_judge(agent);

    if (wrong != NULL)
        prop_fail("after the kill, agent %s, with %lld operations: %s", a->name, (long long)a->trail, wrong);
}

void
run_again(const struct prop_plan *plan)
{
    static struct prop_plan again;
    const int64_t now_us = house_now_us;

    again = *plan;
    again.kill_step = 0;
    run.plan = &again;
    run.schedule = chance_of(plan->seed, FOR_SCHEDULE);
    name_agents();
    run.schedule = chance_of(plan->seed, FOR_KILL);
    run.sleep = chance_of(plan->seed, FOR_SLEEP);
    house_now_us = now_us + 60 * 1000000ll;
    shared->are_marks_closed = true;
    say("==== the worker was killed ====");
    world_begin(plan->seed, true);
    for (asked = 0; asked < shared->agents_count; asked++) {
        for (int i = 0; i < LAST_TRIES && shared->agents[asked].trail < 0; i++) {
            (void)step(ask_last);
            while (world_waiting() > 0)
                (void)step(act);
        }
    }
    for (uint32_t i = 0; i < shared->agents_count; i++)
        judge(i);
    for (uint32_t i = 0; i < shared->agents_count; i++)
        shared->agents[i].trail = -1;
    run.requests = REQUESTS_AGAIN;
    finish();
    count();
    shared->is_done = true;
}
