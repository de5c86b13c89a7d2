/* prop_world — what the parts of the world share (prop.h has what runs use). */
#ifndef DORMOUSE_TESTS_PROP_WORLD_H
#define DORMOUSE_TESTS_PROP_WORLD_H

#include "tests/prop/prop.h"

#define AGENT_CLASS   "Prog"
#define CALLS_OPEN_MAX 512

struct journal_entry {                 /* followed by LEN bytes: the COMMIT */
    struct agent_id agent;
    uint64_t        ticket;
    uint32_t        len;
    bool            is_checkpoint;
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

struct buf *world_later(enum prop_peer peer, uint64_t chain);      /* where to pack the one frame of a new happening */
/* Answers that only an agent which slept may ask for are given at once: they must not change the schedule. */
struct buf *world_at_once(enum prop_peer peer);
void world_make_late(void);            /* the newest one */
void world_forget(uint64_t chain);
struct prop_agent *world_agent(const struct agent_id *id);
/* A line of the transcript for FRAME, unless it is about what sleeping may change. */
void world_note(const char *indent, enum prop_peer peer, struct bytes frame);

void gateway_hears(uint16_t type, struct bytes payload);
void journal_hears(uint16_t type, struct bytes payload);
void scheduler_hears(uint16_t type, struct bytes payload);
void answerer_hears(enum prop_peer peer, uint16_t type, struct bytes payload);     /* egress, the other worker */
void socket_hears(enum prop_peer holder, uint16_t type, struct bytes payload);

#endif
