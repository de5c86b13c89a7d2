/*
 * store_power_journaled_test — power cuts, when commits go to a journal and nothing of a store is ever synced by itself.
 *
 * A life is recorded: commits given away, said durable, checkpoints, now and then a syncfs() of the disk. Then, for every moment, disks
 * are built as a power cut could have left them: db.sqlite as of the last syncfs(), and of what was written since, names and sectors kept
 * or lost by the toss of a coin. The journal has every record since then up to the durable one, or some more. Oracle: opened with
 * these, the database is exactly what it was at the last record's commit, sound, and goes on; also when the power is cut
 * again while that is checkpointed. Controls, each caught by the same oracle: records left out; a checkpoint of a commit that is not durable.
 *   store_power_journaled_test [DISKS [SEED]]     so many disks at least, of as many lives as it takes (make crash-images)
 */
#include "lib/store/store_internal.h"
#include "tests/unit/store_disk.h"

#define COMMITS    70
#define TOSSES     24
#define ROWS       60
#define DISKS_MIN  5000
#define SEED       20261120

enum mark { MARK_COMMIT, MARK_DURABLE, MARK_CHECKPOINTED };        /* a commit's number */

static struct buf records[COMMITS + 2];    /* by number: the page sets */
static int64_t signatures[COMMITS + 2];    /* what the database was */

static int disks_wanted = DISKS_MIN;
static uint64_t first_seed = SEED;
static uint64_t life_seed;

static int
chance(int below)
{
    life_seed = life_seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (int)((life_seed >> 33) % (uint64_t)below);
}

/* ---- a life --------------------------------------------------------------------------------------------------------------- */

static int64_t
signature(struct store *store)
{
    if (!run(store, "select 1 from t"))
        return 0;
    return number(store, "select count(*) * 1000003 + coalesce(sum(a * 31 + c * 1009 + length(b) * 7), 0) from t") +
           number(store, "select count(*) * 17 + coalesce(sum(length(x)), 0) * 3 from u");
}

/* Commit number SEQ: rows change in many pages, some grow beyond a page, now and then most go. */
static void
turn(struct store *store, int seq)
{
    char sql[256];

    if (!run(store, "select 1 from t"))
        assert_true(quiet(store, "create table t(a integer primary key, b, c integer); create index i on t(c); create table u(x)"));
    (void)snprintf(sql, sizeof sql, "insert or replace into t values(%d, zeroblob(%d), %d)", chance(ROWS), chance(8) == 0 ? 20000 : chance(900), seq);
    assert_true(quiet(store, sql));
    (void)snprintf(sql, sizeof sql, "update t set c = %d where a %% %d = 0", seq, 1 + chance(9));
    assert_true(quiet(store, sql));
    (void)snprintf(sql, sizeof sql, "insert into u values(hex(zeroblob(%d)))", chance(2000));
    assert_true(quiet(store, sql));
    if (chance(15) == 0)
        assert_true(quiet(store, "delete from t where a > 5; delete from u"));
}

static void
record_add(void *owner, struct bytes pages, bool more)
{
    buf_append_bytes(owner, pages);
}

static void
redo_gather(struct buf *out, int after, int until)
{
    for (int i = after + 1; i <= until; i++)
        buf_append_bytes(out, buf_view(&records[i]));
}

static bool
open_redo(struct store **out_store, const char *folder, struct bytes redo, int seq, struct err *err)
{
    struct store_options options = { .is_journaled = true, .redo = redo, .redo_seq = redo.len > 0 ? (uint64_t)seq : 0 };

    err_clear(err);
    return store_open(out_store, folder, &options, err);
}

struct life {
    struct store *store;
    int           seq, durable, checkpointed, retired;
    bool          lies;                    /* control: says durable what is not */
};

static void
life_checkpoint(struct life *life)
{
    struct err err;

    if (life->lies) {
        store_set_durable(life->store, (uint64_t)life->seq);
    } else {
        mark_add(MARK_DURABLE, life->seq);
        store_set_durable(life->store, (uint64_t)life->seq);
        life->durable = life->seq;
    }
    assert_true(store_checkpoint(life->store, &err));
    life->checkpointed = life->seq;
    mark_add(MARK_CHECKPOINTED, life->seq);
}

/* The worker goes, or the agent: another opens the database, with what the journal has kept. */
static void
life_reopen(struct life *life)
{
    struct buf redo = { 0 };
    struct err err;

    mark_add(MARK_DURABLE, life->seq);
    life->durable = life->seq;
    store_close(&life->store);
    redo_gather(&redo, life->retired, life->seq);
    if (!open_redo(&life->store, agent_folder("agent"), buf_view(&redo), life->seq, &err))
        fail_msg("%s", err.message);
    assert_int_equal(store_seq(life->store), life->seq);
    assert_true(signature(life->store) == signatures[life->seq]);
    buf_fini(&redo);
}

static void
life_live(bool lies, uint64_t seed)
{
    struct life life = { .lies = lies };
    struct err err;

    life_seed = seed;
    assert_true(open_redo(&life.store, agent_folder("agent"), BYTES_NONE, 0, &err));
    while (life.seq < COMMITS) {
        turn(life.store, life.seq + 1);
        assert_int_equal(commit(life.store), ++life.seq);
        buf_clear(&records[life.seq]);
        store_take_pages(life.store, record_add, &records[life.seq]);
        signatures[life.seq] = signature(life.store);
        store_rollback(life.store);        /* the reads */
        mark_add(MARK_COMMIT, life.seq);
        if (chance(3) > 0 && !lies) {
            life.durable += chance(life.seq - life.durable + 1);
            mark_add(MARK_DURABLE, life.durable);
            store_set_durable(life.store, (uint64_t)life.durable);
        }
        if (chance(3) == 0)
            life_checkpoint(&life);
        if (chance(5) == 0 && !lies) {
            (void)op_add(OP_SYNC_ALL, -1, 0);
            life.retired = life.checkpointed;
        }
        if (chance(7) == 0 && !lies)
            life_reopen(&life);
    }
    store_close(&life.store);
}

/* For another life in the same folder. */
static void
life_forget(void)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/db.sqlite", agent_folder("agent"));
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(agent_folder("agent")), 0);
    (void)snprintf(path, sizeof path, "%s/ab", test_folder);
    assert_int_equal(remove(path), 0);
}

/* ---- the oracle ------------------------------------------------------------------------------------------------------------- */

static int
row_note(void *owner, int columns, char **values, char **names)
{
    if (strcmp(values[0], "ok") != 0)
        *(bool *)owner = false;
    return 0;
}

static bool
is_sound(struct store *store)
{
    bool is_ok = true;
    int rc;

    store->is_trusted = true;              /* agents may not ask */
    rc = sqlite3_exec(store->db, "PRAGMA integrity_check", row_note, &is_ok, NULL);
    store->is_trusted = false;
    return rc == SQLITE_OK && is_ok;
}

/* What is in FOLDER, with REDO, is the database of commit SEQ, and goes on. */
static bool
is_right(const char *folder, struct bytes redo, int seq)
{
    struct store *store = NULL;
    struct buf ignored = { 0 };
    int64_t after = 0;
    uint64_t next;
    struct err err;
    bool ok;

    if (!open_redo(&store, folder, redo, seq, &err))
        return false;
    ok = store_seq(store) == (uint64_t)seq && is_sound(store) && signature(store) == signatures[seq];
    store_rollback(store);
    if (ok) {
        turn(store, seq + 1);
        ok = store_commit(store, &next, &err) && next == (uint64_t)seq + 1;
        after = signature(store);
        store_rollback(store);
    }
    if (ok) {
        store_take_pages(store, record_add, &ignored);
        store_set_durable(store, next);
        ok = store_checkpoint(store, &err);
    }
    store_close(&store);
    if (ok) {
        ok = open_redo(&store, folder, BYTES_NONE, 0, &err) && store_seq(store) == next && is_sound(store) && signature(store) == after;
        store_close(&store);
    }
    buf_fini(&ignored);
    return ok;
}

struct state {                             /* at one moment */
    struct disk_file files[NODES_MAX];
    int              commit, durable, checkpointed, retired;
};

static void
state_step(struct state *state, int now)
{
    const struct op *op = &rec->ops[now];

    if (op->kind == OP_NAME)
        state->files[op->node].exists = true;
    if (op->kind == OP_SYNC_ALL) {
        disk_sync_all(state->files, now);
        state->retired = state->checkpointed;
    }
    if (op->kind == OP_MARK)
        *(op->mark == MARK_COMMIT ? &state->commit : op->mark == MARK_DURABLE ? &state->durable : &state->checkpointed) = (int)op->at;
}

static void
file_take(const char *path, struct disk_file *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY);

    if (fd < 0)
        return;
    assert_int_equal(fstat(fd, &st), 0);
    buf_reserve(&out->durable, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, out->durable.data, (size_t)st.st_size), st.st_size);
    out->durable.len = (size_t)st.st_size;
    out->exists = out->name_is_durable = true;
    (void)close(fd);
}

/* The next start checkpoints what the journal gave, and the power goes again: anywhere in there. FOLDER is left as that cut leaves it. */
static bool
cut_again(const char *cut, const char *folder, struct bytes redo, int seq)
{
    struct recording *outer = rec;
    struct recording second = { 0 };
    struct disk_file files[NODES_MAX] = { 0 };
    struct store *store = NULL;
    char path[256];
    struct err err;
    int now;

    record(&second, cut);
    (void)snprintf(path, sizeof path, "%s/ab", cut);
    (void)node_make(path, true);
    (void)node_make(folder, true);
    (void)snprintf(path, sizeof path, "%s/db.sqlite", folder);
    (void)node_make(path, false);
    file_take(path, &files[2]);
    files[0].exists = files[1].exists = true;
    files[0].name_is_durable = access(folder, F_OK) == 0;
    files[1].name_is_durable = files[0].name_is_durable;
    if (!open_redo(&store, folder, redo, seq, &err) || !store_checkpoint(store, &err))
        return false;
    store_close(&store);
    record_stop();
    now = chance(second.ops_count + 1);
    for (int i = 0; i < now; i++)
        if (second.ops[i].node == 2)
            files[2].exists = true;
    disk_clear(cut);
    assert_int_equal(mkdir(cut, 0700), 0);
    disk_build(files, now, cut);
    disk_fini(files);
    recording_fini(&second);
    rec = outer;
    return true;
}

struct tally {
    int disks, again, wrong;
};

enum records_given { RECORDS_ALL, RECORDS_NONE };

static void
cut_once(const struct state *state, int now, int toss, enum records_given given, struct tally *tally)
{
    struct buf redo = { 0 };
    char cut[128];
    char folder[160];
    int kept;
    bool ok = true;

    cut_choose(cut);
    (void)snprintf(folder, sizeof folder, "%s/ab/agent", cut);
    coins_begin(now, toss);
    life_seed = coin_seed;
    kept = state->durable + chance(state->commit - state->durable + 1);
    if (given == RECORDS_ALL)
        redo_gather(&redo, state->retired, kept);
    assert_int_equal(mkdir(cut, 0700), 0);
    disk_build(state->files, now, cut);
    if (toss % 4 == 3 && given == RECORDS_ALL) {
        ok = cut_again(cut, folder, buf_view(&redo), kept);
        tally->again++;
    }
    ok = ok && is_right(folder, buf_view(&redo), kept);
    tally->wrong += !ok;
    tally->disks++;
    disk_clear(cut);
    buf_fini(&redo);
}

static struct tally
cut_everywhere(int tosses, enum records_given given, bool is_told)
{
    struct state state = { 0 };
    struct tally tally = { 0 };

    for (int now = 0; now <= rec->ops_count; now++) {
        for (int toss = 0; toss < tosses; toss++) {
            int before = tally.wrong;
            cut_once(&state, now, toss, given, &tally);
            if (is_told && tally.wrong > before)
                print_error("power cut at step %d of %d, toss %d: commit %d, durable %d, checkpointed %d, retired %d\n", now, rec->ops_count, toss,
                            state.commit, state.durable, state.checkpointed, state.retired);
        }
        if (now < rec->ops_count)
            state_step(&state, now);
    }
    disk_fini(state.files);
    return tally;
}

static void
what_is_durable_is_never_lost_and_nothing_is_invented(void **state)
{
    struct tally all = { 0 };

    for (uint64_t seed = first_seed; all.disks < disks_wanted; seed++) {
        struct recording recording = { 0 };
        struct tally tally;

        coin_salt = (seed - SEED) << 32;
        record(&recording, test_folder);
        life_live(false, seed);
        record_stop();
        tally = cut_everywhere(TOSSES, RECORDS_ALL, true);
        all.disks += tally.disks;
        all.again += tally.again;
        if (tally.wrong > 0)
            fail_msg("seed %llu: %d of %d disks are wrong", (unsigned long long)seed, tally.wrong, tally.disks);
        /* Control: without the records most of it is lost, or torn. */
        tally = cut_everywhere(1, RECORDS_NONE, false);
        assert_true(tally.wrong > tally.disks / 2);
        recording_fini(&recording);
        life_forget();
    }
    print_message("%d disks after power cuts, %d of them cut twice: all are right\n", all.disks, all.again);
}

/* Control: a store that is told that its commits are durable, when the journal does not have them. */
static void
a_checkpoint_ahead_of_the_journal_is_caught(void **state)
{
    struct recording recording = { 0 };
    struct tally tally;

    record(&recording, test_folder);
    life_live(true, SEED);
    record_stop();
    tally = cut_everywhere(1, RECORDS_ALL, false);
    assert_true(tally.wrong > 20);
    recording_fini(&recording);
}

/* Records that are too many for memory are written to the file as the database is opened: the power is cut while they are. */
static void
a_long_redo_may_be_cut_off(void **state)
{
    struct recording recording = { 0 };
    struct state now = { 0 };
    struct tally tally = { 0 };
    struct life life = { 0 };
    struct err err;

    record(&recording, test_folder);
    assert_true(open_redo(&life.store, agent_folder("agent"), BYTES_NONE, 0, &err));
    for (int seq = 1; seq <= 2; seq++) {
        turn(life.store, seq);
        if (seq == 2)
            assert_true(quiet(life.store, "with recursive c(n) as (select 1 union all select n + 1 from c where n < 2600)"
                                          " insert into u select randomblob(4000) from c"));
        assert_int_equal(commit(life.store), seq);
        buf_clear(&records[seq]);
        store_take_pages(life.store, record_add, &records[seq]);
        signatures[seq] = signature(life.store);
        store_rollback(life.store);
        life.seq = seq;
        mark_add(MARK_COMMIT, seq);
        mark_add(MARK_DURABLE, seq);
        if (seq == 1)
            life_checkpoint(&life);
    }
    store_close(&life.store);
    record_stop();
    assert_true(records[2].len > STORE_REDO_BYTES_MAX);
    for (int i = 0; i < rec->ops_count; i++)
        state_step(&now, i);
    for (int toss = 0; toss < 40; toss++)
        cut_once(&now, rec->ops_count, toss * 4 + 3, RECORDS_ALL, &tally);
    assert_int_equal(tally.again, 40);
    assert_int_equal(tally.wrong, 0);
    disk_fini(now.files);
    recording_fini(&recording);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_durable_is_never_lost_and_nothing_is_invented, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_checkpoint_ahead_of_the_journal_is_caught, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_long_redo_may_be_cut_off, folder_setup, folder_teardown),
    };
    int failed;

    real = sys_table;
    disks_wanted = argc > 1 ? (int)strtol(argv[1], NULL, 10) : DISKS_MIN;
    first_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : SEED;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        buf_fini(&records[i]);
    return failed;
}
