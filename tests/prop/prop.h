/*
 * prop — what the parts of the sleep property test share: chance, the worker's house, the world around it, one run of a program (README.md).
 *
 * A process forked for it lives one run. Time, randomness and all messages are the run's; the worker is the real one.
 */
#ifndef DORMOUSE_TESTS_PROP_H
#define DORMOUSE_TESTS_PROP_H

#include "lib/ipc/message.h"

/* ---- chance: the same seed gives the same numbers ---- */
struct chance {
    uint64_t state;
};
struct chance chance_of(uint64_t seed, uint64_t purpose);
uint64_t chance_u64(struct chance *c);
uint32_t chance_below(struct chance *c, uint32_t n);

/* ---- the house: the worker's loop, links and clock (prop_house.c) ---- */
enum prop_peer { PEER_GATEWAY, PEER_EGRESS, PEER_SCHEDULER, PEER_JOURNAL, PEER_CONTROL, PEER_WORKER, PEERS };
extern const char *const peer_names[PEERS];

#define HOUSE_SLOTS 2                  /* ours is 0; the world plays the worker of slot 1 */

/* Starts the worker with CONF_JSON; dies with a message when it does not start. */
void house_start(struct bytes conf_json);
void house_link_up(enum prop_peer peer);
void house_link_down(enum prop_peer peer);
/* The worker gives up waiting for its journal, 10 s after its link went down. */
void house_patience_ends(void);
/* What the worker's idle timer does for a deployment, also for who never rests. */
void house_finish_deploy(void);
/* The supervisor says how short of memory the worker is. */
void house_press(enum pressure level);
/* Gives the worker one frame of PEER, and runs what the loop would run before it waits. */
void house_deliver(enum prop_peer peer, struct bytes frame);
struct buf *house_out(enum prop_peer peer);        /* what the worker sent; the caller empties it */
/* When the first of the worker's own timers is due (its idle timer and its patience with the journal do not count); INT64_MAX: none. */
int64_t house_timer_due_us(void);
void house_timer_fire(void);                       /* that one */
bool house_timer_drop(uint32_t which);             /* a fault: takes one of them away. False: there is none */
bool house_exits(void);                            /* the worker wants to */
extern int64_t house_now_us;                       /* the monotonic clock */
#define HOUSE_WALL_US 1900000000000000ll           /* … and this the other one's start */
/* Random bytes for the worker come from here until the next call. */
void house_chance(struct chance c);

/* ---- what outlives a killed worker: shared between the processes of one program ---- */
#define AGENTS_MAX    4                /* the last one is made by a clone */
#define EDITIONS      3                /* of the app: each is a deployment, DATA/deploys/d, e, f */
#define MANIFEST      "{\"compatibility_date\":\"2026-11-01\",\"compatibility_flags\":[\"nodejs_compat\"],\"classes\":[\"Prog\"]," \
                      "\"namespaces\":[{\"binding\":\"PROG\",\"class\":\"Prog\"}]}"
#define TRAIL_EMPTY_HASH 7             /* app/index.js */
#define PARTS_MAX     28               /* facets, behind them */
#define SOCKETS_MAX   64
#define JOURNAL_BYTES (64u << 20)
#define TEXT_BYTES    (4u << 20)
#define MARKS_MAX     4096

struct prop_socket {
    uint64_t id, mate;                 /* mate: the other end, when a heap has that one too; 0 */
    int      agent;                    /* of the program; -1: the entry */
    bool     is_hibernatable, is_client;   /* is_client: somebody outside has the other end */
    bool     is_closed, is_told_closed, is_over;   /* is_over: its holder handled the close */
    uint32_t tags_len, attachment_len;
    uint8_t  tags[512], attachment[512];
};

/* A state of an agent's trail: its length, and a hash of all of it. First and last: when it was made, and when it may have come back; counted. */
struct prop_mark {
    int64_t  k;
    int32_t  h;
    uint32_t first, last;
};

struct prop_agent {
    struct agent_id id;
    bool            is_part;
    char            name[32];
    int64_t         alarm_ms;          /* durable; 0: none */
    int64_t         alarm_fired_ms;
    uint32_t        alarm_retry;
    bool            alarm_in_flight;
    uint32_t        auto_request_len, auto_response_len;
    uint8_t         auto_request[40], auto_response[40];       /* what the gateway answers for it */
    int64_t         trail;             /* at the end; -1: no answer */
    int32_t         trail_hash;
    char            verdict[400];      /* of verify() at the end, "" when all is well */
    uint32_t        told_first;        /* of all that answers told of, the state that was made last; EXPECTED's count */
    uint32_t        marks_count, expected_count;
};

struct prop_shared {
    uint32_t           agents_count, sockets_count;
    uint32_t           parts_count, marks_made;
    bool               has_clone;                      /* the last of the agents is one */
    bool               are_marks_closed;               /* a killed worker's are told from its own */
    struct prop_agent  agents[AGENTS_MAX + PARTS_MAX];
    struct prop_mark   marks[AGENTS_MAX][MARKS_MAX];
    struct prop_mark   expected[AGENTS_MAX][MARKS_MAX];        /* those of the run that never slept */
    struct prop_socket sockets[SOCKETS_MAX];
    uint64_t           durable_ticket, last_ticket;    /* of the worker that wrote the journal; tickets count from 2 */
    size_t             journal_len;    /* struct journal_entry, each with its payload */
    _Alignas(8) uint8_t journal[JOURNAL_BYTES];
    size_t             text_len;
    char               text[TEXT_BYTES];               /* the transcript */
    char               failure[1000];  /* of the run itself; "" */
    uint32_t           steps;
    bool               is_done, is_killed;
    uint64_t           turns, sleeps, colds, warm_wakes, cold_wakes, refused, resets, spoiled;
};
extern struct prop_shared *shared;

void say(const char *fmt, ...) PRINTF(1, 2);       /* a line of the transcript */
NORETURN void prop_fail(const char *fmt, ...) PRINTF(1, 2);

enum prop_fault {
    FAULT_NONE, FAULT_IMAGE, FAULT_WORDS, FAULT_TIMER, FAULT_OLD, FAULT_FACET, FAULT_REFUSED, FAULT_JOURNAL, FAULT_PAST, FAULT_SNAPSHOT, FAULT_DEPLOY,
    FAULT_WIPE, FAULT_PIECE, FAULTS
};

/* ---- the world: gateway, egress, journal, scheduler, control, the other worker (prop_world.c) ---- */
/* Links and what a worker must know before it starts agents. IS_BORN_ANEW: after a kill; DROPS: of the commits without answer are lost. */
void world_begin(uint64_t seed, bool is_born_anew);
/* Takes what the worker sent, notes it, and prepares what comes of it. */
void world_hear(void);
uint32_t world_waiting(void);                      /* how many things could happen now */
void world_happen(uint32_t which);                 /* one of them does */
void world_request(int agent, const char *path, bool has_upload);
bool world_socket_message(struct chance *c);       /* a client says something; false: nobody is connected */
bool world_socket_close(struct chance *c);
bool world_cancel(struct chance *c);               /* a caller goes away */
int64_t world_alarm_due_us(void);                  /* INT64_MAX: none */
void world_alarm_fire(void);
/* Of the journal (prop_journal.c). False: it does not happen now. */
bool journal_refuses(struct chance *c);
void journal_dies(struct chance *c);
void journal_returns(void);
bool journal_is_away(void);
/* Of control (prop_control.c). */
void marks_tell(uint32_t agent, int64_t k, int32_t h);             /* an answer told of this state of a trail */
const char *marks_judge(uint32_t agent);           /* after a kill: what is wrong with the state that is left, or NULL */
bool control_deploys(void);            /* the next edition of the app; false: there is none */
/* For a snapshot, a clone; when it MAY_GO_BACK also for a rollback, a restore, a deletion, which must not fail half way: who is awake loses its heap then. */
void control_asks(struct chance *c, bool may_go_back);
void world_hurry(void);                            /* late answers come too, from now on */
bool world_is_answered(void);                      /* every request of ours has its answer */

/* ---- one run (prop_run.c) ---- */
enum prop_mode { MODE_AWAKE, MODE_WARM, MODE_COLD, MODE_MIXED, MODES };
struct prop_plan {
    uint64_t        seed;
    enum prop_mode  mode;
    enum prop_fault fault;
    uint32_t        kill_step;         /* 0: never */
};
void run_program(const struct prop_plan *plan);
/* The same agents in a new worker, after run_program() was killed. */
void run_again(const struct prop_plan *plan);
void run_sleep(void);                  /* now, as the plan's mode has it */
/* A program, then a thousand cycles of one of its agents (prop_cycles.c). The transcript is a line that tells the sizes. */
void run_cycles(const struct prop_plan *plan);

#endif
