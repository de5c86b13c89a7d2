/*
 * sleep — which agents sleep, how deeply, and when: one table of states and one policy, without any effect of its own.
 *
 * Promise: an agent in this book is in exactly one state. Whoever is idle longest goes first; who is touched often stays longer; the limits
 * of the worker and pressure on memory come before every idle time. The caller does what sleep_next() says and reports it.
 * Threads: none.
 *
 *     absent ── boot ──▶ awake ◀── wake ── warm ◀─ ─ wake ─ ─ cold
 *                          └── image ──▶ warm ── image to disk ──▶ cold
 */
#ifndef DORMOUSE_WORKER_SLEEP_H
#define DORMOUSE_WORKER_SLEEP_H

#include "lib/base/list.h"
#include "lib/base/macros.h"

enum sleep_state {
    SLEEP_ABSENT,                      /* no heap anywhere: the constructor and the database */
    SLEEP_AWAKE,                       /* a heap in memory */
    SLEEP_WARM,                        /* its image in memory */
    SLEEP_COLD,                        /* its image in its folder */
    SLEEP_STATES
};

enum sleep_event {
    SLEEP_STARTED,                     /* its heap is there: made by the constructor or of an image */
    SLEEP_IMAGED,                      /* its image is in memory, its heap gone */
    SLEEP_STORED,                      /* its image is in its folder, and gone from memory */
    SLEEP_LOST,                        /* heap or image thrown away: reset, refused, discarded, deployed over */
    SLEEP_EVENTS
};

/* The state after EVENT; SLEEP_STATES when EVENT cannot happen in STATE. */
enum sleep_state sleep_after(enum sleep_state state, enum sleep_event event);

enum sleep_pressure {
    SLEEP_AT_EASE,
    SLEEP_TIGHT,                       /* memory gets scarce: idle heaps go at once, one after the other */
    SLEEP_STARVING,                    /* images in memory go to disk too */
};

struct sleep_limits {
    uint32_t warm_after_ms;            /* idle so long, a heap becomes an image */
    uint32_t stay_ms_max;              /* who is touched often may stay awake so long */
    uint32_t discard_after_ms;         /* idle so long, a heap that cannot or must not become an image is thrown away */
    uint32_t cold_after_ms;            /* warm so long, an image goes to disk */
    uint32_t stay_warm_ms_max;         /* … of an agent that is known to come back by then */
    uint32_t awake_max;                /* heaps in memory, unless all of them are busy */
    uint64_t warm_bytes_max;           /* of images in memory */
};

#define SLEEP_CLASSES 4                /* how often an agent is touched: each class may idle twice as long as the one before */
#define SLEEP_DISCARDS SLEEP_CLASSES   /* the list of those without images */
#define SLEEP_STIRRED (SLEEP_CLASSES + 1)      /* the list of those that nobody asked: what they began goes on */
#define SLEEP_STIRRED_RARELY (SLEEP_CLASSES + 2) /* … and it does so rarely: a slow stream, a timer */
#define SLEEP_LISTS (SLEEP_CLASSES + 3)
enum { SLEEP_LEAVES, SLEEP_RETURNS, SLEEP_WARM_CLASSES };

/* One agent in the book. Embedded in the agent; zeroed before its first use, then this module's except for `discards`. */
struct sleeper {
    struct list_node in_order;         /* of its class while it idles, of the warm ones while it is warm */
    enum sleep_state state;
    bool             discards;         /* no image: its class does not want one, or the last one was too large */
    bool             was_touched;      /* since it was last idle */
    bool             is_stirred;       /* nobody asked for what it did last */
    bool             is_costly;        /* to put it away costs ten times as much: its database is open */
    uint8_t          idle_class;       /* the list in which it idles */
    uint32_t         gap_ms;           /* mean idle time between touches; 0: not known yet */
    uint32_t         stir_gap_ms;      /* the same before what nobody asked for, none counted for more than warm_after_ms */
    int64_t          idle_since_ms, warm_since_ms;
    int64_t          quiet_since_ms;   /* since when nobody asked */
    uint64_t         image_bytes;
};

struct sleep_book {
    struct sleep_limits limits;
    enum sleep_pressure pressure;
    struct list_node idle[SLEEP_LISTS];        /* longest idle first */
    struct list_node warm[SLEEP_WARM_CLASSES]; /* longest warm first */
    uint32_t         rare_count;               /* in idle[SLEEP_STIRRED_RARELY] */
    uint32_t         count[SLEEP_STATES];      /* absent and cold ones are none of the book's */
    uint64_t         warm_bytes;
};

void sleep_book_init(struct sleep_book *book, const struct sleep_limits *limits);

/* S, which was cold, is as it was when it left: its usual gap, and since when it idled. Before SLEEP_STARTED. */
void sleep_recall(struct sleep_book *book, struct sleeper *s, uint32_t gap_ms, int64_t idle_since_ms, int64_t now_ms);
/* S has something to do from now on, in whatever state. */
void sleep_touch(struct sleep_book *book, struct sleeper *s, int64_t now_ms);
/* The same, and nobody asked: a piece of a stream, a timer, an answer to itself. That says nothing of when S is wanted next: it goes soon,
 * unless it was asked lately. */
void sleep_stir(struct sleep_book *book, struct sleeper *s, int64_t now_ms);
/* S, awake, has nothing to do from now on. */
void sleep_idle(struct sleep_book *book, struct sleeper *s, int64_t now_ms);
/* EVENT happened to S. IMAGE_BYTES counts with SLEEP_IMAGED. */
void sleep_note(struct sleep_book *book, struct sleeper *s, enum sleep_event event, uint64_t image_bytes, int64_t now_ms);

/* More are awake than should be: who idles goes at once, and who comes waits for that. */
bool sleep_is_crowded(const struct sleep_book *book);

/* How long S, idle or warm, still has if nothing happens; 0: it goes next. */
int64_t sleep_left_ms(const struct sleep_book *book, const struct sleeper *s, int64_t now_ms);

/* S cannot do now what sleep_next() wanted: it waits its time again, behind the others. */
void sleep_defer(struct sleep_book *book, struct sleeper *s, int64_t now_ms);

/* Who has to go now; the caller makes an image of it (awake), throws it away (awake, discards) or stores its image (warm), and notes what
 * came of it: asked again without that, it is the same one. NULL: nobody; *out_ms then says in how many ms to ask, at most as many as it
 * said before. */
struct sleeper *sleep_next(struct sleep_book *book, int64_t now_ms, int64_t *out_ms);

#endif
