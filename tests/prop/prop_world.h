/* prop_world — what the parts of the world share (prop.h has what runs use). */
#ifndef DORMOUSE_TESTS_PROP_WORLD_H
#define DORMOUSE_TESTS_PROP_WORLD_H

#include "tests/prop/prop.h"

#define AGENT_CLASS   "Prog"
#define PART_CLASS    "Part"               /* of facets */
#define CALLS_OPEN_MAX 512

struct journal_entry {                 /* followed by LEN bytes: the COMMIT */
    struct agent_id agent;
    uint64_t        ticket, seq;
    int64_t         time_ms;
    uint32_t        len;
    uint8_t         flags;             /* enum commit_flag */
    bool            is_checkpoint, is_void;    /* is_void: it was refused, or lost */
};

enum call_state { CALL_ASKED, CALL_STREAMING, CALL_OVER };
struct world_call {                    /* of the gateway */
    enum call_state state;
    int             agent;
    bool            is_upload_open;
    char            path[16];
};

struct world_upload {                  /* to egress or the other worker: counted, then answered */
    enum prop_peer peer;
    uint32_t       call;
    size_t         bytes;
    bool           is_open;
};

struct world {
    enum prop_fault     fault;
    bool                is_hurrying;
    uint32_t            calls_count, uploads_count, last_alarm;
    struct world_call   calls[CALLS_OPEN_MAX];     /* their number is the call's */
    struct world_upload uploads[CALLS_OPEN_MAX];
    uint64_t            last_socket;
};
extern struct world world;

/* Chains: what belongs together happens in order. */
#define CHAIN_JOURNAL             1ull
#define CHAIN_CALL(peer, call)    (1ull << 60 | (uint64_t)(peer) << 50 | (call))
#define CHAIN_CREDIT(peer, call)  (2ull << 60 | (uint64_t)(peer) << 50 | (call))
#define CHAIN_UPLOAD(call)        (3ull << 60 | (call))
#define CHAIN_SOCKET(socket)      (4ull << 60 | (socket))
#define CHAIN_PAST                (5ull << 60)
#define CHAIN_CONTROL             (6ull << 60)
#define CHAIN_FILES               (7ull << 60)

struct buf *world_later(enum prop_peer peer, uint64_t chain);      /* where to pack the one frame of a new happening */
/* Answers that only an agent which slept may ask for are given at once: they must not change the schedule. */
struct buf *world_at_once(enum prop_peer peer);
void world_make_late(void);            /* the newest one */
void world_newest_tells(uint64_t ticket);          /* … is the DURABLE of TICKET */
void world_answer_past(struct bytes question);     /* a RECALL_AT, later */
void world_forget(uint64_t chain);
bool world_has(uint64_t chain);
/* One of the program's, or a facet of theirs, which is added when it is seen first. */
struct prop_agent *world_agent(const struct agent_id *id, struct bytes class_name);
/* A line of the transcript for FRAME, unless it is about what sleeping may change. */
void world_note(const char *indent, enum prop_peer peer, struct bytes frame);

void gateway_hears(uint16_t type, struct bytes payload);
void journal_hears(uint16_t type, struct bytes payload);
void journal_becomes_durable(uint64_t ticket);     /* and all before it */
void journal_packs_durable(struct buf *out, uint64_t ticket);      /* and the bases behind it */
void journal_answers_past(struct bytes question, struct buf *out);
/* C: the worker was killed; NULL: it is the first. */
void journal_begins(struct chance *c);
int64_t journal_first_ms(const struct agent_id *agent);       /* of its first durable commit in this life; INT64_MAX: none */
uint64_t journal_ticket_shown(uint64_t ticket);
void control_hears(uint16_t type, struct bytes payload);
void scheduler_hears(uint16_t type, struct bytes payload);
void answerer_hears(enum prop_peer peer, uint16_t type, struct bytes payload);     /* egress, the other worker */
void socket_hears(enum prop_peer holder, uint16_t type, struct bytes payload);


/* ---- what an agent said of its trail (prop_control.c) ---- */
void marks_come_back(uint32_t agent);  /* a state of before is about to be its own: it may be any of them */
void control_hears_of_clone(uint32_t agent);       /* its first commit */

#endif
