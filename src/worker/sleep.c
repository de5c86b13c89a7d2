/* sleep — see sleep.h. */
#include "src/worker/sleep.h"

#include <assert.h>

static const enum sleep_state next_state[SLEEP_STATES][SLEEP_EVENTS] = {
    /*                 STARTED       IMAGED        STORED        LOST          */
    [SLEEP_ABSENT] = { SLEEP_AWAKE,  SLEEP_STATES, SLEEP_STATES, SLEEP_ABSENT },
    [SLEEP_AWAKE]  = { SLEEP_STATES, SLEEP_WARM,   SLEEP_STATES, SLEEP_ABSENT },
    [SLEEP_WARM]   = { SLEEP_AWAKE,  SLEEP_STATES, SLEEP_COLD,   SLEEP_ABSENT },
    [SLEEP_COLD]   = { SLEEP_AWAKE,  SLEEP_STATES, SLEEP_STATES, SLEEP_ABSENT },
};

enum sleep_state
sleep_after(enum sleep_state state, enum sleep_event event)
{
    assert(state < SLEEP_STATES);
    assert(event < SLEEP_EVENTS);
    return next_state[state][event];
}

void
sleep_book_init(struct sleep_book *book, const struct sleep_limits *limits)
{
    assert(limits->warm_after_ms > 0);
    assert(limits->stay_ms_max >= limits->warm_after_ms);
    assert(limits->stay_warm_ms_max >= limits->cold_after_ms);
    *book = (struct sleep_book){ .limits = *limits };
    for (int i = 0; i < SLEEP_LISTS; i++)
        list_init(&book->idle[i]);
    for (int i = 0; i < SLEEP_WARM_CLASSES; i++)
        list_init(&book->warm[i]);
}

/* ---- how long each may idle ---- */

/* To sleep and wake costs 0.15 ms of a processor (with SQL 2 ms), to stay awake 200 KB. What goes on within STIRRED_PART of the least time,
 * as the tokens of most models, finds its agent awake; where the usual gap is longer, the agent goes after so many ms, since pieces
 * come in pairs, or when so many wait for that: thousands may have their piece at the same moment. */
#define STIRRED_PART       4
#define STIRRED_RARELY_MS  25
#define STIRRED_RARELY_MAX 64

bool
sleep_is_crowded(const struct sleep_book *book)
{
    return book->count[SLEEP_AWAKE] > book->limits.awake_max;
}

static int64_t
idle_ms_of_class(const struct sleep_book *book, int touch_class)
{
    int64_t ms;

    if (book->pressure != SLEEP_AT_EASE || sleep_is_crowded(book))
        return 0;
    if (touch_class == SLEEP_DISCARDS)
        return book->limits.discard_after_ms;
    if (touch_class == SLEEP_STIRRED)
        return book->limits.warm_after_ms / STIRRED_PART;
    if (touch_class == SLEEP_STIRRED_RARELY && book->rare_count > STIRRED_RARELY_MAX)
        return 0;
    if (touch_class == SLEEP_STIRRED_RARELY)
        return STIRRED_RARELY_MS < book->limits.warm_after_ms / STIRRED_PART ? STIRRED_RARELY_MS : book->limits.warm_after_ms / STIRRED_PART;
    ms = (int64_t)book->limits.warm_after_ms << touch_class;
    return ms < book->limits.stay_ms_max ? ms : book->limits.stay_ms_max;
}

static int64_t
warm_ms_of_class(const struct sleep_book *book, int warm_class)
{
    if (book->pressure == SLEEP_STARVING || book->warm_bytes > book->limits.warm_bytes_max)
        return 0;
    return warm_class == SLEEP_RETURNS ? book->limits.stay_warm_ms_max : book->limits.cold_after_ms;
}

/* To write and read its image again costs more than its memory for so long, when it comes back by then. */
static int
warm_class_of(const struct sleep_book *book, const struct sleeper *s)
{
    uint64_t wanted = 2 * (uint64_t)s->gap_ms;

    return wanted > book->limits.cold_after_ms && wanted <= book->limits.stay_warm_ms_max ? SLEEP_RETURNS : SLEEP_LEAVES;
}

/* The least class that lets S idle twice its usual gap. Who comes back later than any class waits for need not wait at all. */
static int
class_of_touched(const struct sleep_book *book, const struct sleeper *s)
{
    uint64_t wanted = 2 * (uint64_t)s->gap_ms, ms = book->limits.warm_after_ms;

    if (wanted > book->limits.stay_ms_max)
        return 0;
    for (int i = 0; i < SLEEP_CLASSES; i++, ms *= 2)
        if (ms >= wanted)
            return i;
    return 0;
}

static int
class_of(const struct sleep_book *book, const struct sleeper *s, int64_t now_ms)
{
    if (s->discards)
        return SLEEP_DISCARDS;
    if (!s->is_stirred)
        return class_of_touched(book, s);
    if (now_ms - s->quiet_since_ms < book->limits.warm_after_ms)
        return 0;                      /* who asked may ask again: answers to the agent belong to that */
    return !s->is_costly && s->stir_gap_ms > book->limits.warm_after_ms / STIRRED_PART ? SLEEP_STIRRED_RARELY : SLEEP_STIRRED;
}

#define BURST_PART 8                   /* gaps below this part of warm_after_ms belong to one touch */

static void
learn_gap(const struct sleep_book *book, struct sleeper *s, int64_t gap_ms)
{
    if (gap_ms < book->limits.warm_after_ms / BURST_PART)
        return;
    if (gap_ms > UINT32_MAX / 4)
        gap_ms = UINT32_MAX / 4;
    s->gap_ms = s->gap_ms == 0 ? (uint32_t)gap_ms : (uint32_t)((3 * (int64_t)s->gap_ms + gap_ms) / 4);
}

/* ---- what happens ---- */

static void
unlist(struct sleep_book *book, struct sleeper *s)
{
    if (s->state == SLEEP_AWAKE && s->idle_class == SLEEP_STIRRED_RARELY && list_is_linked(&s->in_order))
        book->rare_count--;
    list_remove(&s->in_order);
}

void
sleep_recall(struct sleep_book *book, struct sleeper *s, uint32_t gap_ms, int64_t idle_since_ms, int64_t now_ms)
{
    s->gap_ms = gap_ms;
    if (idle_since_ms > 0 && idle_since_ms <= now_ms)
        learn_gap(book, s, now_ms - idle_since_ms);
}

void
sleep_touch(struct sleep_book *book, struct sleeper *s, int64_t now_ms)
{
    if (s->was_touched && !s->is_stirred)
        return;
    s->was_touched = true;
    s->is_stirred = false;
    if (s->quiet_since_ms > 0)
        learn_gap(book, s, now_ms - s->quiet_since_ms);
    if (s->state == SLEEP_AWAKE)
        unlist(book, s);
}

void
sleep_stir(struct sleep_book *book, struct sleeper *s, int64_t now_ms)
{
    int64_t gap_ms = now_ms - s->idle_since_ms;

    if (s->was_touched)
        return;
    s->was_touched = s->is_stirred = true;
    if (gap_ms > book->limits.warm_after_ms)
        gap_ms = book->limits.warm_after_ms;
    s->stir_gap_ms = s->stir_gap_ms == 0 ? (uint32_t)gap_ms : (uint32_t)((3 * (int64_t)s->stir_gap_ms + gap_ms) / 4);
    if (s->state == SLEEP_AWAKE)
        unlist(book, s);
}

void
sleep_idle(struct sleep_book *book, struct sleeper *s, int64_t now_ms)
{
    assert(s->state == SLEEP_AWAKE);
    if (!s->was_touched && list_is_linked(&s->in_order))
        return;
    s->was_touched = false;
    s->idle_since_ms = now_ms;
    if (!s->is_stirred)
        s->quiet_since_ms = now_ms;
    unlist(book, s);
    s->idle_class = (uint8_t)class_of(book, s, now_ms);
    book->rare_count += s->idle_class == SLEEP_STIRRED_RARELY;
    list_push_back(&book->idle[s->idle_class], &s->in_order);
}

static void
leave(struct sleep_book *book, struct sleeper *s)
{
    unlist(book, s);
    if (s->state == SLEEP_WARM) {
        assert(book->warm_bytes >= s->image_bytes);
        book->warm_bytes -= s->image_bytes;
        s->image_bytes = 0;
    }
    if (s->state == SLEEP_AWAKE || s->state == SLEEP_WARM)
        book->count[s->state]--;
}

void
sleep_note(struct sleep_book *book, struct sleeper *s, enum sleep_event event, uint64_t image_bytes, int64_t now_ms)
{
    enum sleep_state state = sleep_after(s->state, event);

    assert(state != SLEEP_STATES);
    leave(book, s);
    s->state = state;
    if (state == SLEEP_AWAKE || state == SLEEP_WARM)
        book->count[state]++;
    if (state == SLEEP_AWAKE)
        s->was_touched = true;         /* whoever starts has something to do */
    if (state == SLEEP_WARM) {
        s->image_bytes = image_bytes;
        book->warm_bytes += image_bytes;
        s->warm_since_ms = now_ms;
        list_push_back(&book->warm[warm_class_of(book, s)], &s->in_order);
    }
}

int64_t
sleep_left_ms(const struct sleep_book *book, const struct sleeper *s, int64_t now_ms)
{
    int64_t left = s->state == SLEEP_WARM ? s->warm_since_ms + warm_ms_of_class(book, warm_class_of(book, s)) - now_ms
                                          : s->idle_since_ms + idle_ms_of_class(book, s->idle_class) - now_ms;

    return left > 0 ? left : 0;
}

void
sleep_defer(struct sleep_book *book, struct sleeper *s, int64_t now_ms)
{
    assert(list_is_linked(&s->in_order));
    unlist(book, s);
    if (s->state == SLEEP_WARM) {
        s->warm_since_ms = now_ms;
        list_push_back(&book->warm[warm_class_of(book, s)], &s->in_order);
    } else {
        sleep_idle(book, s, now_ms);
    }
}

/* ---- who goes ---- */

static int64_t
soonest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct sleeper *
sleep_next(struct sleep_book *book, int64_t now_ms, int64_t *out_ms)
{
    struct sleeper *longest = NULL, *s;

    for (int i = 0; i < SLEEP_LISTS; i++) {
        int64_t left;

        s = list_first(&book->idle[i], struct sleeper, in_order);
        if (s == NULL)
            continue;
        left = s->idle_since_ms + idle_ms_of_class(book, i) - now_ms;
        if (left > 0)
            *out_ms = soonest(*out_ms, left);
        else if (longest == NULL || s->idle_since_ms < longest->idle_since_ms)
            longest = s;
    }
    for (int i = 0; i < SLEEP_WARM_CLASSES && longest == NULL; i++) {
        int64_t left;

        s = list_first(&book->warm[i], struct sleeper, in_order);
        if (s == NULL)
            continue;
        left = s->warm_since_ms + warm_ms_of_class(book, i) - now_ms;
        if (left > 0)
            *out_ms = soonest(*out_ms, left);
        else
            longest = s;
    }
    return longest;
}
