/*
 * prop_main — programs that sleep against programs that do not (README.md).
 *
 * usage: sleep-prop --seed N [--tell] | --seeds N [--from N] [--jobs N] [--control FAULT] | --cycles
 *        in the project's folder
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/deploy.h"
#include "src/worker/heap.h"
#include "src/worker/worker.h"
#include "tests/prop/prop.h"

#define RUNTIME    "build/js/runtime.js"
#define BUNDLE     "build/js/sleep-prop.js"
#define BOOT       "0badcafe-0000-4000-8000-000000000000"
#define JOBS_MAX   64
#define RUN_S_MAX  60                  /* a run that takes so long hangs */
#define FOLDER_MAX 256
#define KILL_EACH  3                   /* programs: one of them is killed, too */
#define FRAGMENTS_MAX 400
#define FAILED_MAX 20                  /* told in full; then a job gives up */

static const char *const mode_names[MODES] = { "awake", "warm", "cold", "mixed" };
static const char *const fault_names[FAULTS] = { "none", "image", "words", "timer", "old", "facet", "refused", "journal", "past", "snapshot", "deploy", "wipe", "piece" };

struct totals {                        /* of one job, shared with its parent */
    uint64_t programs, runs, failed, noticed, spoiled, kills, steps, turns, sleeps, colds, warm_wakes, cold_wakes, refused, resets;
    uint32_t fragments;
    struct { char name[32]; uint64_t runs; } fragment[FRAGMENTS_MAX];
};

static struct {
    uint64_t        from, seeds;
    uint32_t        jobs;
    bool            tells, cycles;
    enum prop_fault fault;
    char            root[FOLDER_MAX], data[FOLDER_MAX + 40];
    struct totals  *totals;            /* this job's */
    volatile sig_atomic_t *is_over;    /* shared: no more programs */
} test;

/* ---- folders ---- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void
remove_all(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- one run, in a process of its own ---- */

static void
start_afresh(void)
{
    const uint32_t agents = shared->agents_count;
    char path[FOLDER_MAX + 60], deploys[FOLDER_MAX + 60];

    for (uint32_t i = 0; i < AGENTS_MAX; i++)
        shared->agents[i] = (struct prop_agent){ .trail = -1 };
    shared->agents_count = agents;
    shared->parts_count = shared->marks_made = 0;
    shared->has_clone = shared->are_marks_closed = false;
    shared->sockets_count = 0;
    shared->durable_ticket = shared->last_ticket = 1;
    shared->journal_len = 0;
    shared->is_killed = false;
    remove_all(test.data);
    (void)mkdir(test.data, 0700);
    (void)snprintf(path, sizeof path, "%s/deploys", test.data);
    (void)snprintf(deploys, sizeof deploys, "%s/deploys", test.root);
    if (symlink(deploys, path) != 0)
        abort();
}

static void
in_child(void (*fn)(const struct prop_plan *), const struct prop_plan *plan)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    (void)alarm(RUN_S_MAX);
    if (fd >= 0)
        heap_use_pagemap(fd);
    free(worker.data);
    worker.data = strdup(test.data);
    if (!store_root_set(worker.data, NULL))    /* the folder was made anew */
        abort();
    fn(plan);
    _exit(0);
}

static void
run_in_child(void (*fn)(const struct prop_plan *), const struct prop_plan *plan)
{
    pid_t pid;
    int status = 0;

    shared->steps = 0;
    shared->is_done = false;
    shared->failure[0] = '\0';
    (void)fflush(NULL);
    pid = fork();
    assert(pid >= 0);
    if (pid == 0)
        in_child(fn, plan);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        (void)snprintf(shared->failure, sizeof shared->failure, "%s", WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
    else if (!shared->is_done && !shared->is_killed && shared->failure[0] == '\0')
        (void)snprintf(shared->failure, sizeof shared->failure, "it ended with status %d", WEXITSTATUS(status));
    test.totals->steps += shared->steps;
    test.totals->runs++;
}

static void
run_on(const struct prop_plan *plan)
{
    shared->text_len = 0;
    shared->spoiled = 0;
    run_in_child(run_program, plan);
}

static void
run_fresh(const struct prop_plan *plan)
{
    start_afresh();
    run_on(plan);
}

/* ---- comparing ---- */

static void
tell_failure(const struct prop_plan *plan, const char *what)
{
    if (test.totals->failed++ < FAILED_MAX)
        (void)printf("program %llu, %s%s: %s\n    build/release/prop/sleep-prop --seed %llu --tell\n", (unsigned long long)plan->seed,
                     mode_names[plan->mode], plan->kill_step > 0 ? ", killed" : "", what, (unsigned long long)plan->seed);
    (void)fflush(stdout);
}

static size_t
line_end(const char *text, size_t len, size_t at)
{
    const char *end = memchr(text + at, '\n', len - at);

    return end != NULL ? (size_t)(end - text) : len;
}

/* Where A and B part, with what came just before. */
static void
tell_difference(struct bytes a, struct bytes b)
{
    const char *x = (const char *)a.data, *y = (const char *)b.data;
    size_t same = 0, line = 0, before = 0;

    while (same < a.len && same < b.len && x[same] == y[same])
        same++;
    for (size_t i = 0; i < same; i++) {
        if (x[i] != '\n')
            continue;
        line = i + 1;
        if (i + 3 < same && memcmp(x + i + 1, "-- ", 3) == 0)
            before = i + 1;
    }
    (void)printf("    %.*s    awake: %.*s\n    slept: %.*s\n", (int)(line - before), x + before, (int)(line_end(x, a.len, line) - line), x + line,
                 (int)(line_end(y, b.len, line) - line), y + line);
}

static void
note_fragments(struct bytes text)
{
    struct totals *t = test.totals;

    for (size_t i = 0; i + 1 < text.len; i++) {
        size_t n = 0;
        uint32_t f = 0;

        if (text.data[i] != '[')
            continue;
        while (i + 1 + n < text.len && n < sizeof t->fragment[0].name - 1 && text.data[i + 1 + n] >= 'A' && text.data[i + 1 + n] <= 'z' &&
               text.data[i + 1 + n] != ']')
            n++;
        if (n < 2 || i + n + 2 >= text.len || text.data[i + 1 + n] != ']' || text.data[i + n + 2] != ' ')
            continue;
        while (f < t->fragments && !bytes_equal_str(bytes_from(text.data + i + 1, n), t->fragment[f].name))
            f++;
        if (f == FRAGMENTS_MAX)
            continue;
        if (f == t->fragments) {
            t->fragments++;
            memcpy(t->fragment[f].name, text.data + i + 1, n);
        }
        t->fragment[f].runs++;
    }
}

static void
add_counts(void)
{
    struct totals *t = test.totals;

    t->turns += shared->turns;
    t->sleeps += shared->sleeps;
    t->colds += shared->colds;
    t->warm_wakes += shared->warm_wakes;
    t->cold_wakes += shared->cold_wakes;
    t->refused += shared->refused;
    t->resets += shared->resets;
    shared->turns = shared->sleeps = shared->colds = shared->warm_wakes = shared->cold_wakes = shared->refused = shared->resets = 0;
}

/* The first line of the verdicts at the end of a run, or NULL. */
static const char *
bad_verdict(void)
{
    for (uint32_t i = 0; i < shared->agents_count; i++)
        if (shared->agents[i].verdict[0] != '\0' || shared->agents[i].trail < 0)
            return shared->agents[i].trail < 0 ? "an agent does not answer" : shared->agents[i].verdict;
    return NULL;
}

static void
run_killed(uint64_t seed, uint32_t steps)
{
    struct chance c = chance_of(seed, 99);
    struct prop_plan plan = { .seed = seed, .mode = (enum prop_mode)(seed / KILL_EACH % MODES), .kill_step = 1 + chance_below(&c, steps) };
    uint32_t counts[AGENTS_MAX];

    for (uint32_t i = 0; i < AGENTS_MAX; i++) {
        counts[i] = shared->agents[i].marks_count;
        memcpy(shared->expected[i], shared->marks[i], counts[i] * sizeof shared->marks[i][0]);
    }
    start_afresh();
    for (uint32_t i = 0; i < AGENTS_MAX; i++)
        shared->agents[i].expected_count = counts[i];
    run_on(&plan);
    if (shared->failure[0] == '\0' && shared->is_killed) {
        test.totals->kills++;
        run_in_child(run_again, &plan);
        if (test.tells)
            (void)printf("%.*s", (int)shared->text_len, shared->text);
    }
    if (shared->failure[0] != '\0')
        tell_failure(&plan, shared->failure);
    else if (bad_verdict() != NULL)
        tell_failure(&plan, bad_verdict());
    add_counts();
}

static void
run_slept(uint64_t seed, struct bytes awake)
{
    struct prop_plan plan = { .seed = seed, .mode = (enum prop_mode)(MODE_WARM + seed / KILL_EACH % (MODES - 1)), .fault = test.fault };
    bool differs;

    run_fresh(&plan);
    if (test.tells)
        (void)printf("%.*s==== and %s ====\n%.*s", (int)awake.len, (const char *)awake.data, mode_names[plan.mode], (int)shared->text_len, shared->text);
    test.totals->spoiled += shared->spoiled;
    differs = shared->failure[0] != '\0' || bad_verdict() != NULL || !bytes_equal(awake, bytes_from(shared->text, shared->text_len));
    if (test.fault != FAULT_NONE) {
        test.totals->noticed += differs && shared->spoiled > 0;
        if (differs && shared->spoiled == 0)
            tell_failure(&plan, "it differs without a fault");
    } else if (shared->failure[0] != '\0') {
        tell_failure(&plan, shared->failure);
    } else if (differs) {
        tell_failure(&plan, bad_verdict() != NULL ? bad_verdict() : "it goes on otherwise when it sleeps");
        if (test.totals->failed <= FAILED_MAX)
            tell_difference(awake, bytes_from(shared->text, shared->text_len));
    }
    add_counts();
}

static void
cycle_seed(uint64_t seed)
{
    struct prop_plan plan = { .seed = seed };

    for (plan.mode = MODE_WARM; plan.mode <= MODE_COLD; plan.mode++) {
        test.totals->programs++;
        start_afresh();
        shared->text_len = 0;
        run_in_child(run_cycles, &plan);
        if (shared->failure[0] != '\0')
            tell_failure(&plan, shared->failure);
        else
            (void)printf("program %llu, %s: %s\n", (unsigned long long)seed, mode_names[plan.mode], shared->text);
    }
}

static void
run_seed(uint64_t seed)
{
    const struct prop_plan plan = { .seed = seed };
    struct buf awake = { 0 };
    uint32_t steps;

    test.totals->programs++;
    run_fresh(&plan);
    steps = shared->steps;
    if (shared->failure[0] != '\0' || bad_verdict() != NULL) {
        tell_failure(&plan, shared->failure[0] != '\0' ? shared->failure : bad_verdict());
        if (test.tells)
            (void)printf("%.*s", (int)shared->text_len, shared->text);
        return;
    }
    add_counts();
    buf_append(&awake, shared->text, shared->text_len);
    note_fragments(buf_view(&awake));
    if (test.fault == FAULT_NONE && seed % KILL_EACH == 0)
        run_killed(seed, steps);
    run_slept(seed, buf_view(&awake));
    buf_fini(&awake);
}

/* ---- many ---- */

static void *
shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert(memory != MAP_FAILED);
    return memory;
}

static void
job(uint32_t index)
{
    struct buf conf = { 0 };

    (void)snprintf(test.data, sizeof test.data, "%s/%u", test.root, index);
    (void)mkdir(test.data, 0700);
    shared = shared_memory(sizeof *shared);
    buf_printf(&conf, "{\"mode\":\"serve\",\"app\":\"prop\",\"dir\":\"%s/deploys/d\",\"runtime\":\"" RUNTIME "\",\"data\":\"%s\",\"deploy\":\"d\","
                      "\"manifest\":" MANIFEST ",\"slot\":0,\"slots\":%d,\"boot\":\"" BOOT "\",\"history_mb\":100,\"limits\":{\"cpu_ms\":50000}}",
               test.root, test.data, HOUSE_SLOTS);
    house_start(buf_view(&conf));
    for (uint64_t seed = test.from + index; seed < test.from + test.seeds && test.totals->failed < FAILED_MAX && !*test.is_over; seed += test.jobs)
        (test.cycles ? cycle_seed : run_seed)(seed);
    remove_all(test.data);
    (void)fflush(NULL);
    _exit(0);
}

/* The bundle with another "EDITION = 0", as EDITION's deployment. */
static bool
make_template(struct bytes bundle, int edition)
{
    static const char key[] = "EDITION = 0";
    char path[FOLDER_MAX + 40], folder[FOLDER_MAX + 20];
    char *text = bytes_dup(bundle), *at = strstr(text, key);
    struct buf json = { 0 };
    struct err err = { 0 };
    FILE *file;
    bool ok;

    (void)snprintf(folder, sizeof folder, "%s/deploys/%c", test.root, 'd' + edition);
    (void)mkdir(folder, 0700);
    (void)snprintf(path, sizeof path, "%s/bundle.js", folder);
    file = fopen(path, "we");
    if (at == NULL || file == NULL)
        return false;
    at[sizeof key - 2] = (char)('0' + edition);
    ok = fputs(text, file) != EOF;
    ok = fclose(file) == 0 && ok && deploy_build(folder, BYTES_LIT(MANIFEST), &json, &err);
    if (!ok)
        (void)fprintf(stderr, "sleep-prop: %s\n%s\n", err.message, buf_cstr(&json));
    free(text);
    buf_fini(&json);
    return ok;
}

static bool
make_templates(void)
{
    char path[FOLDER_MAX + 40];
    struct buf bundle = { 0 };
    struct err err = { 0 };
    FILE *file = fopen(BUNDLE, "re");
    bool ok = file != NULL;

    (void)snprintf(path, sizeof path, "%s/deploys", test.root);
    (void)mkdir(path, 0700);
    for (int c; ok && (c = getc(file)) != EOF;)
        buf_append_byte(&bundle, (uint8_t)c);
    if (file != NULL)
        (void)fclose(file);
    engine_init();
    ok = ok && runtime_library_load(RUNTIME, &err);
    for (int i = 0; i < EDITIONS && ok; i++)
        ok = make_template(buf_view(&bundle), i);
    buf_fini(&bundle);
    return ok;
}

static void
add_up(struct totals *sum, const struct totals *one)
{
    const uint64_t *from = &one->programs;
    uint64_t *to = &sum->programs;

    for (size_t i = 0; i < offsetof(struct totals, fragments) / sizeof *to; i++)
        to[i] += from[i];
    for (uint32_t i = 0; i < one->fragments; i++) {
        uint32_t f = 0;

        while (f < sum->fragments && strcmp(sum->fragment[f].name, one->fragment[i].name) != 0)
            f++;
        if (f == sum->fragments)
            memcpy(sum->fragment[sum->fragments++].name, one->fragment[i].name, sizeof sum->fragment[f].name);
        sum->fragment[f].runs += one->fragment[i].runs;
    }
}

static int
conclude(const struct totals *t)
{
    uint64_t least = UINT64_MAX;
    const char *rarest = "";

    for (uint32_t i = 0; i < t->fragments; i++) {
        if (t->fragment[i].runs >= least)
            continue;
        least = t->fragment[i].runs;
        rarest = t->fragment[i].name;
    }
    if (test.cycles) {
        (void)printf("%llu passed, %llu failed\n", (unsigned long long)(t->programs - t->failed), (unsigned long long)t->failed);
        return t->failed == 0 ? 0 : 1;
    }
    (void)printf("%llu programs, %llu runs, %llu steps, %llu turns; %llu sleeps (%llu to disk), %llu wakes warm, %llu cold, %llu images refused; %llu resets, %llu kills; "
                 "%u fragments, the rarest ('%s') ran %llu times\n", (unsigned long long)t->programs, (unsigned long long)t->runs, (unsigned long long)t->steps,
                 (unsigned long long)t->turns, (unsigned long long)t->sleeps, (unsigned long long)t->colds, (unsigned long long)t->warm_wakes,
                 (unsigned long long)t->cold_wakes, (unsigned long long)t->refused, (unsigned long long)t->resets, (unsigned long long)t->kills, t->fragments, rarest, (unsigned long long)least);
    if (test.fault != FAULT_NONE) {
        (void)printf("%s: %llu of %llu faults were noticed\n", fault_names[test.fault], (unsigned long long)t->noticed, (unsigned long long)t->spoiled);
        return t->noticed > 0 && t->failed == 0 ? 0 : 1;
    }
    (void)printf("%llu passed, %llu failed\n", (unsigned long long)(t->programs - (t->failed < t->programs ? t->failed : t->programs)), (unsigned long long)t->failed);
    return t->failed == 0 && (test.seeds < 10 || (t->colds > 0 && t->cold_wakes > 0 && t->warm_wakes > 0 && t->kills > 0)) ? 0 : 1;
}

/* SIGTERM, SIGINT: the programs that run end, then the totals are told. */
static void
stop(int signo)
{
    *test.is_over = 1;
}

static int
run_all(void)
{
    static struct totals sum;
    struct totals *totals = shared_memory(test.jobs * sizeof *totals);
    int status = 0, worst = 0;

    test.is_over = shared_memory(sizeof *test.is_over);
    (void)signal(SIGTERM, stop);
    (void)signal(SIGINT, stop);
    for (uint32_t i = 0; i < test.jobs; i++) {
        test.totals = &totals[i];
        if (fork() == 0)
            job(i);
    }
    while (wait(&status) > 0 || errno == EINTR)
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            worst = 1;
    for (uint32_t i = 0; i < test.jobs; i++)
        add_up(&sum, &totals[i]);
    status = conclude(&sum);
    return worst != 0 ? worst : status;
}

static bool
take_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "seed", required_argument, NULL, 's' }, { "seeds", required_argument, NULL, 'n' }, { "from", required_argument, NULL, 'f' },
        { "jobs", required_argument, NULL, 'j' }, { "tell", no_argument, NULL, 't' }, { "cycles", no_argument, NULL, 'y' }, { "control", required_argument, NULL, 'c' }, { 0 },
    };
    int option;

    test.jobs = test.seeds = test.from = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 's' || option == 'f')
            test.from = strtoull(optarg, NULL, 10);
        else if (option == 'n')
            test.seeds = strtoull(optarg, NULL, 10);
        else if (option == 'j')
            test.jobs = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 't')
            test.tells = true;
        else if (option == 'y')
            test.cycles = true;
        else if (option != 'c')
            return false;
        for (int i = 0; option == 'c' && i < FAULTS; i++)
            if (strcmp(optarg, fault_names[i]) == 0)
                test.fault = (enum prop_fault)i;
    }
    return optind == argc && test.jobs > 0 && test.jobs <= JOBS_MAX;
}

int
main(int argc, char **argv)
{
    int status = 1;

    if (!take_arguments(argc, argv)) {
        (void)fprintf(stderr, "usage: sleep-prop --seed N [--tell] | --seeds N [--from N] [--jobs N] [--control FAULT] | --cycles\n");
        return 2;
    }
    (void)snprintf(test.root, sizeof test.root, "/dev/shm/dormouse-prop-%d", (int)getpid());
    if (mkdir(test.root, 0700) != 0)
        return 1;
    if (make_templates())
        status = run_all();
    remove_all(test.root);
    return status;
}
