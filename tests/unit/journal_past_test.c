/*
 * journal_past_test — which records make a state of old: by time, number and undo; bases, restores, lives, resends, parts, holes. Each case is
 * a log in a line of text; the answer is the places chosen, in the same words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/journal/journal_past.h"

/*
 * A log, oldest first: "c1@10" commit 1 at time 10, "b4@20" a base of commit 4, "r5@30" a restore, "g@40" GONE, "|" the next segment. A
 * suffix of dots makes parts: "c2.@10" is the first part of commit 2 and more follow, "c2..@10" the second, "c2.,@10" the second and last.
 */
struct line { struct past_place place[64]; size_t count; };

static void
log_read(const char *text, struct line *out)
{
    uint32_t segment = 1;

    out->count = 0;
    for (const char *at = text; *at != '\0';) {
        struct past_place *place = &out->place[out->count];
        const char kind = *at;
        char *end;
        unsigned dots = 0;

        if (kind == ' ' || kind == '|') {
            segment += kind == '|';
            at++;
            continue;
        }
        *place = (struct past_place){ .segment = segment, .offset = (uint32_t)(out->count * 8), .length = 1 };
        place->flags = kind == 'b' ? COMMIT_BASE : kind == 'r' ? COMMIT_RESTORED : kind == 'g' ? COMMIT_GONE : 0;
        place->seq = kind == 'g' ? 0 : strtoull(at + 1, &end, 10);
        if (kind == 'g')
            end = (char *)(uintptr_t)(at + 1);
        while (*end == '.') {
            dots++;
            end++;
        }
        place->part = *end == ',' ? dots : dots > 0 ? dots - 1 : 0;
        if (dots > 0 && *end != ',')
            place->flags |= COMMIT_MORE;
        end += *end == ',';
        assert_int_equal(*end, '@');
        place->time_ms = strtoll(end + 1, &end, 10);
        out->count++;
        at = end;
    }
}

static const char *
ask(const char *text, enum recall_at_mode mode, int64_t time_ms, uint64_t seq)
{
    static char answer[1024];
    struct past *past = past_create(&(struct past_query){ mode, time_ms, seq });
    const struct past_place *places;
    struct line line;
    struct err err = { 0 };
    size_t count, len = 0, end;
    uint64_t got = 99;

    log_read(text, &line);
    for (end = line.count; end > 0;) {
        size_t begin = end;

        while (begin > 0 && line.place[begin - 1].segment == line.place[end - 1].segment)
            begin--;
        for (size_t i = begin; i < end; i++)
            past_add(past, &line.place[i]);
        end = begin;
        if (past_segment_end(past))
            break;
    }
    if (!past_places(past, &places, &count, &got, &err)) {
        (void)snprintf(answer, sizeof answer, "%s", err.message);
    } else {
        answer[0] = '\0';
        for (size_t i = 0; i < count; i++)
            len += (size_t)snprintf(answer + len, sizeof answer - len, "%s%c%llu.%u", len > 0 ? " " : "",
                                    (places[i].flags & COMMIT_BASE) != 0 ? 'b' : (places[i].flags & COMMIT_RESTORED) != 0 ? 'r' : 'c',
                                    (unsigned long long)places[i].seq, places[i].part);
        (void)snprintf(answer + len, sizeof answer - len, "=%llu", (unsigned long long)got);
    }
    past_destroy(&past);
    return answer;
}

static const char *at_time(const char *text, int64_t ms) { return ask(text, RECALL_AT_TIME, ms, 0); }
static const char *at_commit(const char *text, uint64_t seq, int64_t ms) { return ask(text, RECALL_AT_COMMIT, ms, seq); }

static void
a_life_from_its_birth_needs_no_base(void **state)
{
    assert_string_equal(at_time("c1@10 c2@20 | c3@30", 20), "c1.0 c2.0=2");
    assert_string_equal(at_time("c1@10 c2@20 | c3@30", 29), "c1.0 c2.0=2");
    assert_string_equal(at_time("c1@10 c2@20 | c3@30", 1000), "c1.0 c2.0 c3.0=3");
    assert_string_equal(at_commit("c1@10 c2@20 | c3@30", 1, 15), "c1.0=1");
}

static void
the_newest_base_before_it_is_taken(void **state)
{
    assert_string_equal(at_time("c1@10 | b1@20 c2@20 c3@25 | b3@30 c4@31 | c5@40", 35), "b3.0 c4.0=4");
    assert_string_equal(at_time("c1@10 | b1@20 c2@20 c3@25 | b3@30 c4@31 | c5@40", 26), "b1.0 c2.0 c3.0=3");
    assert_string_equal(at_time("b3@30 c4@31 | c5@40", 35), "b3.0 c4.0=4");   /* older segments are gone */
    assert_string_equal(at_time("c2@20 b3@30 c4@31", 30), "b3.0=3");
    assert_string_equal(at_time("b0@9 c1@10 c2@20", 20), "b0.0 c1.0 c2.0=2"); /* a database that was there before the journal */
}

static void
what_history_does_not_reach_is_refused_with_the_oldest_time(void **state)
{
    assert_string_equal(at_time("c7@70000 | b7@80000 c8@80001", 75000),
                        "the history of this agent does not reach back to then; the oldest time that it does is 1970-01-01T00:01:20Z");
    assert_string_equal(at_time("c7@70000 c8@80000", 75000), "there is no history of this agent that reaches back to then");
    assert_string_equal(at_time("", 10), "there is no history of this agent that reaches back to then");
    assert_string_equal(at_time("c1@90000", 10), "the history of this agent does not reach back to then; the oldest time that it does is 1970-01-01T00:01:30Z");
    /* A hole: commit 2 is lost. */
    assert_string_equal(at_time("c1@10 c3@30", 40), "the history of this agent does not reach back to then; the oldest time that it does is 1970-01-01T00:00:00Z");
    assert_string_equal(at_time("c1@10 c3@30", 20), "c1.0=1");
}

static void
a_base_that_was_sent_again_belongs_before_its_commit(void **state)
{
    assert_string_equal(at_time("c4@40 c5@50 b4@51 c6@60", 60), "b4.0 c5.0 c6.0=6");
    assert_string_equal(at_time("c4@40 b4@50 | c5@50 c5@51 b4@51 | c6@60", 60), "b4.0 c5.0 c6.0=6");
}

static void
parts_count_together_or_not_at_all(void **state)
{
    assert_string_equal(at_time("c1@10 c2.@20 | c2..@21 c2..,@22", 30), "c1.0 c2.0 c2.1 c2.2=2");
    assert_string_equal(at_time("c1@10 c2.@20 | c2..@21 c2..,@22", 21), "c1.0=1");          /* not complete then */
    assert_string_equal(at_time("c1@10 c2@20 b2.@30 b2.,@30 c3@30", 40), "b2.0 b2.1 c3.0=3");
    assert_string_equal(at_time("c1@10 c2@20 b2.,@30 c3@30", 40), "c1.0 c2.0 c3.0=3");       /* a base that lost its first part */
    assert_string_equal(at_time("c1@10 c2.@20 c2.@21 c2.,@21", 30), "c1.0 c2.0 c2.1=2");     /* begun, lost with its link, sent again */
}

static void
a_restore_begins_a_state_of_its_own_and_is_undone(void **state)
{
    assert_string_equal(at_time("c1@10 c2@20 r3@30 c4@40", 50), "r3.0 c4.0=4");
    assert_string_equal(at_time("c1@10 c2@20 r3@30 c4@40", 25), "c1.0 c2.0=2");
    assert_string_equal(ask("c1@10 c2@20 c3@26 r4@30 c5@40", RECALL_AT_UNDO, 25, 0), "c1.0 c2.0 c3.0=3");
    assert_string_equal(ask("c1@10 c2@20 | r3@30 | c4@40 r5@50 c6@60", RECALL_AT_UNDO, 25, 0), "c1.0 c2.0=2");   /* the first one since */
    assert_string_equal(ask("c1@10 r2@20 c3@30", RECALL_AT_UNDO, 25, 0), "nothing was restored since this bookmark was made");
}

static void
a_deletion_ends_a_life(void **state)
{
    const char *text = "c1@10 c2@20 | g@30 | c1@40 c2@50";

    assert_string_equal(at_time(text, 25), "c1.0 c2.0=2");
    assert_string_equal(at_time(text, 35), "the agent did not exist at that time: it had been deleted");
    assert_string_equal(at_time(text, 45), "c1.0=1");
    assert_string_equal(at_commit(text, 1, 45), "c1.0=1");
    assert_string_equal(at_commit(text, 2, 25), "the agent was deleted after this bookmark was made; restore it to a time instead");
    assert_string_equal(at_commit("g@30 | c1@40 | b1@60 c2@60", 1, 59), "b1.0=1");
    assert_string_equal(at_commit("c1@10", 0, 5), "=0");                               /* before the first commit: empty */
    assert_string_equal(ask("c1@10 c2@20 g@30", RECALL_AT_UNDO, 25, 0), "the agent was deleted after this bookmark was made; restore it to a time instead");
}

static void
a_list_has_all_commits_and_is_bounded(void **state)
{
    struct past *past = past_create(&(struct past_query){ RECALL_AT_LIST, 0, 0 });
    struct buf out = { 0 };
    unsigned long long commits = 0, lines = 0;
    bool is_over;

    for (int64_t segment = 20; segment > 0; segment--) {
        for (int64_t i = 0; i < 1000; i++)
            past_add(past, &(struct past_place){ .seq = 1, .time_ms = segment * 5000000 + i * 5000, .length = 10, .segment = (uint32_t)segment });
        is_over = past_segment_end(past);
        assert_false(is_over);
    }
    past_list(past, &out);
    for (const char *at = buf_cstr(&out); *at != '\0'; at = strchr(at, '\n') + 1) {
        long long from, to;
        unsigned long long count, bytes;

        assert_int_equal(sscanf(at, "%lld %lld %llu %llu", &from, &to, &count, &bytes), 4);
        assert_true(from <= to);
        assert_int_equal(bytes, count * 10);
        commits += count;
        lines++;
    }
    assert_int_equal(commits, 20000);
    assert_true(lines > 50);
    assert_true(lines <= 256);
    buf_fini(&out);
    past_destroy(&past);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_from_its_birth_needs_no_base),
        cmocka_unit_test(the_newest_base_before_it_is_taken),
        cmocka_unit_test(what_history_does_not_reach_is_refused_with_the_oldest_time),
        cmocka_unit_test(a_base_that_was_sent_again_belongs_before_its_commit),
        cmocka_unit_test(parts_count_together_or_not_at_all),
        cmocka_unit_test(a_restore_begins_a_state_of_its_own_and_is_undone),
        cmocka_unit_test(a_deletion_ends_a_life),
        cmocka_unit_test(a_list_has_all_commits_and_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
