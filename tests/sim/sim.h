/*
 * sim — what the parts of the simulator share: chance, time, the trace, what was seen, the disk, the house (README.md).
 *
 * One process lives one seed. Everything that could differ from run to run comes from sim_u64(): the same seed gives the same trace.
 */
#ifndef DORMOUSE_SIM_H
#define DORMOUSE_SIM_H

#include <sys/types.h>

#include "lib/base/bytes.h"
#include "lib/ipc/message.h"

/* ---- chance and time ---- */
uint64_t sim_u64(void);
uint32_t sim_below(uint32_t n);
bool sim_chance(uint32_t per_million);
extern int64_t sim_now_us;                         /* monotonic */
int64_t sim_wall_us(void);
void sim_clock_step(int64_t delta_us);
void sim_clock_settle(void);
/* Was the wall clock at WALL_MS or later at any moment from SINCE_US (monotonic) until now? */
bool sim_wall_reached(int64_t wall_ms, int64_t since_us);

/* ---- what a seed does to the house: each fault has its own rate, many are 0 ---- */
struct sim_plan {
    bool     is_calm;                              /* no faults any more: everything must come right */
    uint32_t events;                               /* iterations of rooms until then */
    uint32_t kill, power, stall, step, part;       /* per million iterations */
    uint32_t journal_kill;
    uint32_t write_eio, write_full, write_short, sync_eio, syncfs_eio, read_eio, name_eio;   /* per million calls */
    uint32_t writeback;                            /* per million iterations: the kernel writes on its own */
    uint32_t segment_bytes, kept_bytes, backed_up_bytes;
    uint32_t workers, agents;
    uint32_t away_ms_max;                          /* how long a dead room stays away */
    bool     names_in_order;                       /* a power cut keeps a prefix of each folder's changes; else any of them */
    bool     has_wide;                             /* commits of several messages */
};
extern struct sim_plan plan;

/* ---- the trace, and the end of a seed ---- */
extern bool sim_is_told;                           /* print the trace */
void sim_trace(const char *fmt, ...) PRINTF(1, 2);
NORETURN void sim_fail(const char *fmt, ...) PRINTF(1, 2);     /* a promise was broken */

/* ---- what happened sometimes: each must, over many seeds ---- */
#define SIM_SIGHTS(X)                                                                                                  \
    X(JOURNAL_KILLED, "journal killed") X(KILLED_IN_BATCH, "journal killed in the middle of a batch")                   \
    X(WORKER_KILLED, "worker killed") X(WORKER_KILLED_IN_CALL, "worker killed inside a call to the kernel")            \
    X(SCHEDULER_KILLED, "scheduler killed") X(POWER_CUT, "power cut") X(POWER_CUT_IN_CALL, "power cut inside a call to the kernel") \
    X(POWER_CUT_AGAIN, "power cut while it recovers from one")                                                         \
    X(RESEND, "commit sent again") X(REFUSED, "batch refused") X(TORN_TAIL, "journal segment torn by a power cut")     \
    X(TORN_DATABASE, "checkpoint torn by a power cut") X(NAME_LOST, "name lost by a power cut") X(CARRY, "records carried forward") \
    X(WANTED, "checkpoint wanted") X(RECALL, "records recalled") X(SYNCFS_FAILED, "sync of the databases failed")        \
    X(SYNC_FAILED, "sync of a segment failed") X(VOID, "claims voided") X(GONE, "agent deleted") X(MORE, "commit of several messages") \
    X(RETIRED, "segment retired") X(SEALED, "segment sealed") \
    X(ALARM_FIRED, "alarm fired") X(ALARM_RETRIED, "alarm retried") X(ALARM_SCAN, "databases scanned for alarms") X(ALARM_GAP, "gap in the feed of alarms") \
    X(TRAP, "turn trapped after writing") X(IMAGED, "heap put to sleep") X(WOKEN, "heap woken from its image")          \
    X(CLOCK_STEPPED, "wall clock set") X(STALLED, "room stalled") X(PARTED, "link broken while both ends live") X(NO_SPACE, "disk full") X(WRITE_SHORT, "short write") \
    X(UNKNOWN, "request with an unknown end") X(FAILED, "request failed") X(STOPPED, "house stopped in order") X(IMPATIENT, "room gave up by itself")
enum sim_sight {
#define X(name, text) SAW_##name,
    SIM_SIGHTS(X)
#undef X
        SIM_SIGHTS_COUNT
};
void sim_saw(enum sim_sight sight);

/* ---- the disk (sim_disk.c) ---- */
void disk_init(void);                              /* takes over sys_table */
void disk_make_folder(const char *path);
void disk_writeback(void);                         /* some of what is not synced reaches the disk */
void disk_power_cut(void);
void disk_close_of(const void *owner);             /* the process OWNER is dead: its handles are closed */
uint64_t disk_now(void);                           /* a syncfs() that begins */
void disk_syncfs_end(uint64_t begun, bool is_ok);

/* ---- the house (sim_house.c) ---- */
enum sim_death { DEATH_NONE, DEATH_KILL, DEATH_POWER };
const void *house_current(void);                   /* the process that runs now */
/* A call to the kernel: the running process, or the machine, may die here; it does not return then. */
void house_syscall(void);
/* Will it die in this call? A write may then be done in part. */
bool house_dies_now(void);
void house_run(void);                              /* the whole life of a seed */

/* ---- what passes by (sim_frames.c) ---- */
void frame_tell(const char *who, const struct msg_HELLO *peer, uint16_t type, struct bytes payload);
void frame_look(uint16_t type, struct bytes payload);
bool frame_ends_agent(uint16_t type, struct bytes payload);    /* a commit that deletes it */
void segment_look(const uint8_t *data, size_t len, off_t at);

/* ---- the world outside (sim_world.c) ---- */
struct link;
void world_init(void);
void world_up(struct link *link, bool is_control);
void world_down(struct link *link);
void world_message(struct link *link, uint16_t type, struct bytes payload);
void world_act(void);                              /* before the outside waits: new requests */
int64_t world_next_us(void);
void world_calm(void);                             /* no more faults: asks every agent */
bool world_is_settled(void);                       /* every agent has answered, every alarm has fired */
const char *world_awaited(void);                   /* what it waits for then, for people */
void world_ask_again(void);                        /* after a last restart */
int world_agent(const struct agent_id *id);        /* its number in the trace; -1: none of ours */
/* What the guest (sim_guest.c, in the worker) tells the outside of an agent: entries of its log. */
enum entry_kind { ENTRY_WRITE = 1, ENTRY_SET, ENTRY_CLEAR, ENTRY_FIRED, ENTRY_TRAP };
struct world_request {
    uint64_t op;
    int64_t  due_ms;
    uint32_t kind;                                 /* enum entry_kind; 0: only read */
    uint32_t bytes;                                /* of the row */
};
struct world_entry {
    uint64_t op;
    int64_t  due_ms, at_ms;
    uint32_t number, kind;
};

#endif
