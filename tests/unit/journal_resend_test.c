/*
 * journal_resend_test — a worker that lives on while its journal dies, at random moments and again in the middle of the resends: each commit
 * counts exactly once, and in order, also across lives of an agent that look alike.
 */
#include "tests/unit/journal_rig.h"

#define AGENTS      3
#define HISTORY_MAX 20000
#define RUNS        40
#define STEPS       150

struct commit { unsigned agent; uint64_t seq; uint8_t fill; unsigned parts; };     /* seq 0: GONE */

static char folder[64];
static struct rig rig;
static struct commit history[HISTORY_MAX];
static size_t made, sent, told;            /* commits that exist; that this journal heard; that it said to be durable */
static uint64_t last_seq[AGENTS];
static size_t forgotten[AGENTS];           /* commits before this one may be forgotten */
static uint32_t seed;
static unsigned drops;
static unsigned resent;

static uint32_t
chance(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % below;
}

static void
make_some(void)
{
    for (uint32_t more = 1 + chance(4); more > 0; more--) {
        const unsigned n = chance(AGENTS);
        const bool is_gone = chance(4) == 0;

        assert_true(made < HISTORY_MAX);
        last_seq[n] = is_gone ? 0 : last_seq[n] + 1;
        history[made++] = (struct commit){ n, last_seq[n], is_gone ? 0 : (uint8_t)(1 + chance(2)), is_gone || chance(5) > 0 ? 1 : 2 };
    }
}

static void
send_one(size_t number, bool is_again)
{
    const struct commit *commit = &history[number];

    rig.ticket = number;                   /* the next is number + 1: a resend has the ticket that it had */
    for (unsigned part = 0; part < commit->parts; part++) {
        const uint8_t flags = (commit->seq == 0 ? COMMIT_GONE : 0) | (part + 1 < commit->parts ? COMMIT_MORE : 0) | (is_again ? COMMIT_AGAIN : 0);
        const enum core_verdict verdict = rig_send(&rig, commit->agent + 1, commit->seq, flags, commit->fill, commit->seq == 0 ? 0 : 40 + part);

        assert_int_not_equal(verdict, CORE_BROKEN);
        if (!is_again)
            assert_int_equal(verdict, CORE_APPEND);
        drops += verdict == CORE_DROP;
        resent += is_again;
    }
}

static void
flush(void)
{
    struct err err = { 0 };

    assert_int_equal(rig_flush(&rig, &err), LOG_DURABLE);
    core_check(rig.core);
}

static void
start(void)
{
    struct err err = { 0 };

    if (!rig_open(&rig, folder, &err))
        fail_msg("%s", err.message);
}

/* The journal dies, perhaps with a batch that it had not written; the next one hears again what was not told to be durable. */
static void
die_and_resend(void)
{
    const size_t until = sent;
    size_t next;

    rig_close(&rig);
    start();
    for (next = told; next < until; next++) {
        send_one(next, true);
        if (chance(3) == 0)
            flush();
        if (chance(25) == 0) {             /* and it dies again */
            rig_close(&rig);
            start();
            next = told - 1;
        }
    }
    flush();
}

/* Nothing is under way: what is kept is the end of each agent's history. */
static void
check(void)
{
    static struct rig_kept kept;

    for (unsigned n = 0; n < AGENTS; n++) {
        size_t at, must = 0;
        size_t i;

        rig_recall(&rig, n + 1, &kept);
        assert_true(kept.is_ok);
        i = kept.count;
        for (at = made; at > 0 && i > 0; at--) {
            const struct commit *commit = &history[at - 1];

            if (commit->agent != n)
                continue;
            for (unsigned part = commit->parts; part > 0; part--) {
                assert_true(i > 0);
                i--;
                assert_int_equal(kept.seq[i], commit->seq);
                assert_int_equal(kept.fill[i], commit->fill);
                assert_int_equal(kept.len[i], commit->seq == 0 ? 0 : 40 + part - 1);
            }
            if (commit->seq == 0)
                break;                     /* a GONE is the first */
        }
        assert_int_equal(i, 0);
        for (at = made; at > forgotten[n]; at--) {     /* and nothing of it is missing */
            if (history[at - 1].agent != n)
                continue;
            must += history[at - 1].parts;
            if (history[at - 1].seq == 0)
                break;
        }
        assert_true(kept.count >= must);
    }
}

static void
run(void)
{
    made = sent = told = 0;
    memset(last_seq, 0, sizeof last_seq);
    memset(forgotten, 0, sizeof forgotten);
    start();
    for (int step = 0; step < STEPS; step++) {
        make_some();
        for (; sent < made; sent++) {
            send_one(sent, false);
            if (chance(6) == 0)
                flush();
        }
        if (chance(4) == 0)
            die_and_resend();              /* what was in the batch is lost, and sent again */
        flush();
        if (chance(3) == 0)
            told = sent;
        check();
        if (told == sent && chance(3) == 0) {
            const unsigned n = chance(AGENTS);

            rig_forget(&rig, n + 1);
            forgotten[n] = made;
        }
    }
    rig_close(&rig);
}

static void
each_commit_counts_once_whenever_the_journal_dies(void **state)
{
    char command[96];

    for (uint32_t i = 0; i < RUNS; i++) {
        seed = i * 7919;
        (void)snprintf(folder, sizeof folder, "/tmp/dormouse-resend-XXXXXX");
        assert_non_null(mkdtemp(folder));
        run();
        (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
        assert_int_equal(system(command), 0);
    }
    assert_true(resent > 1000);            /* so that this proves something */
    assert_true(drops > resent / 4);
    assert_true(drops < resent);
}

/* The machine stays on: syncs would only cost time. */
static int
no_sync(int fd)
{
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_commit_counts_once_whenever_the_journal_dies),
    };

    sys_table.fsync = sys_table.fdatasync = no_sync;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
