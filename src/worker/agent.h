/*
 * agent — one agent in memory (or the app's entry): its heap, its database, the events that wait for it, its gates.
 *
 * Promise: events are delivered one at a time, in order, and only when the input gate is open; what a turn sends leaves only
 * after the commit it could reflect is durable (gate.c). An agent that fails is thrown away alone: its callers learn it, its
 * next event starts it anew from its database.
 */
#ifndef DORMOUSE_WORKER_AGENT_H
#define DORMOUSE_WORKER_AGENT_H

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/ipc/message.h"
#include "src/worker/guest.h"
#include "src/worker/sleep.h"

struct agent;
struct deploy;
struct event;
struct heap;
struct link;
struct peer;
struct store;
struct call;

enum agent_state {
    AGENT_ABSENT,                      /* no heap: the next event starts one */
    AGENT_RECALLING,                   /* waits for the journal's records of its database (recall.c) */
    AGENT_LISTING,                     /* waits for the gateway to list its sockets */
    AGENT_BOOTING,                     /* the constructor ran; critical sections of its own are open */
    AGENT_AWAKE,
    AGENT_WARM,                        /* its heap is an image (agent_sleep.c) */
    AGENT_STATES
};

enum known_sockets {
    SOCKETS_NONE,                      /* its constructor has not run */
    SOCKETS_UNASKED,                   /* JavaScript has not asked for the list */
    SOCKETS_ASKED,
};

#define SECTIONS_MAX 64                /* nesting depth of blockConcurrencyWhile (surface spec 3.1) */

/* An event that waits: what to deliver, and the critical section that started it. */
enum event_order { EVENT_OTHER, EVENT_KNOWN, EVENT_BEGUN, EVENT_ORDERS };    /* entry_line.h; the later the sooner */

struct event {
    struct list_node in_queue;
    void           (*deliver)(struct agent *agent, struct event *event);   /* inside engine_run */
    void           (*drop)(struct agent *agent, struct event *event);      /* the agent failed first; NULL: nothing to do */
    uint32_t         section;
    bool             is_outside;       /* comes from outside (a new turn): waits for boot and for every section */
    uint8_t          order;         /* enum event_order */
    bool             is_last;          /* of its socket: queued whatever waits, once per socket */
    struct call     *call;             /* what it is about, or NULL */
    uint64_t         socket;
    int64_t          n1, n2;
    size_t           len;              /* of the frame that follows */
    uint8_t          frame[];
};

#define TICKET_NONE    0               /* of a turn that has not ended: its commit has no ticket yet */
#define TICKET_SETTLED 1               /* durable at all times: commits count from 2 */

struct sync_request {                  /* storage.sync() that waits */
    struct list_node in_agent;
    uint64_t         ticket;           /* until this one is durable */
    uint32_t         request, section;
};

struct held_frame {                    /* an effect behind the output gate */
    struct list_node in_outbox;
    uint64_t         ticket;           /* it leaves when this one is durable */
    struct peer     *peer;             /* a reference */
    struct buf       frames;
};

struct agent {
    bool             is_entry, is_detached;    /* detached: the entry of an older deployment */
    struct list_node in_detached;      /* worker.detached */
    enum agent_state state;
    struct agent_id  id;
    char            *class_name, *name;    /* name NULL: none known */
    struct deploy   *deploy;           /* a reference, while a heap is there */
    struct heap     *heap;
    struct buf       image;            /* of the heap, in AGENT_WARM */
    struct sleeper   sleeper;          /* worker.sleep */
    struct store    *store;            /* opened at first use; NULL */
    struct umap     *cursors;          /* number → struct cursor (sql.c); NULL: none yet */
    uint32_t         last_cursor, oldest_cursor;
    bool             cursors_stay;     /* in AGENT_WARM: they have more rows than the heap takes */
    struct umap     *deflate_streams;  /* number → struct deflate_stream; NULL: none yet */
    uint32_t         last_deflate_stream;
    struct list_node queue;            /* struct event */
    size_t           queued;
    struct event    *line_last[EVENT_ORDERS];   /* entry_line.c: the last of each order in the queue; NULL */
    uint32_t         sections[SECTIONS_MAX];
    unsigned         sections_count;
    struct list_node calls;            /* struct call of both sides */
    struct umap     *incoming, *outgoing;  /* JavaScript's number → struct call; NULL before the first heap */
    uint32_t         next_incoming;
    unsigned         open_incoming, open_outgoing;
    struct umap     *timers;           /* id → struct timer */
    struct umap     *sockets;          /* its sockets that this worker knows: id → struct ws_info (sockets.c) */
    unsigned         live_sockets;     /* of those, not hibernatable: these keep the heap awake */
    char            *auto_request, *auto_response;   /* NULL: none known */
    uint32_t         listing;          /* request number of WS_LIST; 0: none is open */
    enum known_sockets known_sockets;  /* to its heap, when they were listed last or came with its image */
    bool             are_sockets_stale;    /* those that came with its image may not be the gateway's any more */
    int              wait_until;       /* pending waitUntil promises */
    struct list_node outbox;           /* struct held_frame: effects behind the gate */
    struct list_node syncs;            /* struct sync_request */
    struct list_node snapshots;        /* struct snapshot_job: asked for, or on their way to disk (snapshot.c) */
    bool             wants_restore;    /* its code asked for it in this turn: to restore_id; answered as restore_request when it cannot be */
    uint32_t         restore_request, restore_section;
    uint8_t          restore_id[16];   /* also: which snapshot its heap was made of, until is_resumed is over */
    bool             is_resumed, resumed_as_clone; /* its heap was made of a snapshot's, which it was not told yet */
    uint64_t         sent_seq;         /* number of the last commit of its store that was sent */
    uint64_t         ticket;           /* of its last commit (commits.c): effects since then wait for it */
    struct list_node in_settled;       /* its commits became durable, or failed; worker.settled */
    uint32_t         recall_request;   /* its question to the journal that is open; 0: none */
    struct buf       redo;             /* records recalled so far */
    bool             redo_is_anew;     /* among them: it was deleted before */
    bool             is_swept;         /* recalled in the background */
    bool             is_folderless;    /* there was no folder of it when it started, and its store was not opened since */
    bool             wants_checkpoint; /* nothing is delivered until its WAL is in its file */
    bool             is_leaving;       /* being deleted or restored: nothing is delivered */
    bool             may_restore;      /* its database may say that the next session begins with a restore (history.c) */
    bool             restore_is_void;  /* … which cannot be: it is taken back when its database is whole */
    int64_t          alarm_running_ms; /* the alarm being handled, or STORE_ALARM_NONE */
    bool             alarm_set_while_running;
    bool             alarm_changed;    /* since the last commit; the next one tells it */
    uint64_t         alarm_changed_before;     /* whether it had, when the transaction of each level began: bit 0 is the outermost */
    struct call     *turn_call;        /* the incoming call being delivered in this turn, or NULL */
    uint16_t         turn_slot;        /* where this turn's reply or calls point to; SLOT_NONE */
    uint64_t         turn;             /* number of the turn, for logs; 0 between turns */
    struct list_node in_idle;          /* worker.idle or young */
    struct list_node in_starts;        /* it waits for its turn to wake; the entry: to begin requests (starts.c) */
    unsigned         known_turns;      /* the entry: requests begun for URLs that were answered a moment ago */
    bool             is_rung;          /* there: only an alarm wakes it */
    bool             is_young;         /* its constructor has run, and it was not idle since */
    int64_t          idle_since_ms;
    bool             is_pumping;       /* agent_pump() runs: whoever posts meanwhile leaves the event to it */
    bool             is_birth;         /* its next commit is the first that tells of it: control hears once it is durable */
    bool             is_born_told, is_running, wants_reset;
    bool             is_alarm_known;   /* to the scheduler, or there is none */
    char            *abort_message;
    struct buf       boot_detail;      /* the constructor's exception, serialized */
    bool             abort_stops_alarm;
    uint32_t         boots_failed;
};

/* The agent in memory for (class, id), created (absent) when it is not. NAME may be empty. */
struct agent *agent_get(struct bytes class_name, const struct agent_id *id, struct bytes name);
struct agent *agent_find(struct bytes class_name, const struct agent_id *id);   /* NULL: not in memory */
struct agent *agent_entry(void);
/* Queues EVENT (owned from now on) and delivers what can be delivered. */
void agent_post(struct agent *agent, struct event *event);
struct event *event_create(void (*deliver)(struct agent *, struct event *), size_t len);
void agent_pump(struct agent *agent);
/* A turn that no event started, of an agent whose heap is there: runs FN inside. The caller pumps. False: the agent was reset. */
MUST_USE bool agent_run_aside(struct agent *agent, void (*fn)(void *arg), void *arg);
bool agent_has_event(const struct agent *agent);   /* one that can be delivered now */
/* Ends the heap: callers get CODE and MESSAGE with FLAGS; queued events stay for the next one. */
void agent_reset(struct agent *agent, enum err_code code, unsigned flags, const char *message);
/* Puts an idle agent away: database closed, heap unmapped, structure freed. False when it is not idle. */
bool agent_evict(struct agent *agent);
/* Makes the heap of an agent that is absent, if there is an image of it; runs no constructor. */
void agent_resume(struct agent *agent);
bool agent_is_idle(const struct agent *agent);
/* Agents that are idle give back caches, then sleep, then leave. Returns in how many ms to call again. */
int64_t agents_rest(void);
void agents_press(enum pressure level);            /* memory is short, or is not any more */
void agents_put_away(void);                        /* the worker stops: databases are brought up to date */
/* The library's word that the constructor is done; failure NULL: it returned. */
void agent_booted(struct agent *agent, const char *failure, struct bytes detail);
void agent_listed(struct agent *agent);            /* the gateway has listed its sockets: go on with the start */
void agents_finish_deploy(int64_t now_ms);         /* until its grace is over; then whatever is left of the old one ends */
void agents_on_deploy(void);                       /* a new deployment: agents with nothing to do move at their next event */
struct agent *agent_current(void);                 /* whose heap is entered; never NULL inside a native after template time */

/* ---- natives' doors ---- */
/* The database of the current heap's agent, opened on demand. NULL: a JavaScript exception is pending (the entry has none, or it failed). */
struct store *agent_current_store(void);
/* What callers and code are told of a database that cannot be opened: paths are for the log. */
const char *agent_storage_text(enum err_code code);
/* Opens AGENT's database in its folder with what the journal has beyond it (may be empty). */
MUST_USE bool agent_open_store(struct agent *agent, struct bytes redo, uint64_t redo_seq, struct err *err);
const char *agent_folder(const struct agent *agent, char out[], size_t size);
const char *agent_folder_of(struct bytes class_name, const struct agent_id *id, char out[], size_t size);

/* ---- gate ---- */
/* Where a frame to PEER goes at this moment: straight to the peer, or behind the output gate. */
struct buf *agent_out(struct agent *agent, struct peer *peer);
/* End of a turn: commit, then let the effects go. False: the commit failed and the agent was reset. */
bool gate_end_turn(struct agent *agent);
/* Commits what the turn wrote so far. False: it is undone; the turn goes on. */
MUST_USE bool gate_commit(struct agent *agent, struct err *err);
#define TEXT_STORAGE_FAILED "Internal error in Durable Object storage caused object to be reset."   /* the platform's */
/* Forgets held effects: of the turn that did not end, or all. Callers whose answers are among them get this failure instead. */
enum gate_which { GATE_UNCOMMITTED, GATE_ALL };
void gate_drop(struct agent *agent, enum gate_which which, enum err_code code, unsigned flags, const char *message);
/* Commits of AGENT became durable: what waited for them leaves, and its queue goes on. May end in the agent's eviction. */
void gate_settled(struct agent *agent);
void gate_flush(struct agent *agent);              /* sends what is held, when nothing holds it any more */

#endif
