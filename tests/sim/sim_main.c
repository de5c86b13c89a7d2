/*
 * sim_main — seeds: what each does to the house, many of them in processes of their own, and what came of it.
 *
 *   sim --seed N [--tell]                    one, with its trace
 *   sim --seeds N [--from M] [--jobs J]      many; prints those that broke a promise, and what was seen how often. Exit 1: one broke, or a
 *                                            sight was never seen (--few: does not matter)
 *   sim --seeds N --control                  a program with a fault built in: exit 0 when a seed finds it
 *   sim --seeds N --twice                    each seed twice: their traces must be equal
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/map.h"
#include "tests/sim/sim.h"

#define JOBS_MAX     16
#define SEED_S_MAX   120
#define FAILURES_MAX 20                            /* told; then only counted */
#define STEPS_MAX    256

struct outcome {                                   /* shared with a child */
    uint64_t hash, events;
    uint32_t saw[SIM_SIGHTS_COUNT];
    char     failure[512];
};
struct job {
    pid_t    pid;                                  /* 0: none */
    uint64_t seed;
};
struct options {
    uint64_t seeds, from, jobs;
    bool     is_one, is_control, is_twice, is_few;
};

struct sim_plan plan;
int64_t sim_now_us = 1000000;
bool sim_is_told;

static struct outcome *outcomes;                   /* one per job */
static struct outcome *mine;
static uint64_t chance_state;
static struct { int64_t since_us, wall_less_mono_us; } clock_steps[STEPS_MAX] = { { 0, 1700000000000000 } };
static size_t clock_steps_count = 1;

/* ---- chance and time ---- */

uint64_t
sim_u64(void)
{
    uint64_t z = chance_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint32_t
sim_below(uint32_t n)
{
    return n == 0 ? 0 : (uint32_t)((sim_u64() >> 32) * n >> 32);
}

bool
sim_chance(uint32_t per_million)
{
    return per_million > 0 && sim_below(1000000) < per_million;
}

int64_t
sim_wall_us(void)
{
    return sim_now_us + clock_steps[clock_steps_count - 1].wall_less_mono_us;
}

void
sim_clock_step(int64_t delta_us)
{
    assert(clock_steps_count < STEPS_MAX);
    clock_steps[clock_steps_count].since_us = sim_now_us;
    clock_steps[clock_steps_count].wall_less_mono_us = clock_steps[clock_steps_count - 1].wall_less_mono_us + delta_us;
    clock_steps_count++;
    sim_trace("---- the wall clock is set by %lld ms ----", (long long)delta_us / 1000);
}

/* As far as it ever was: what was set by the latest clock is due within the time that is waited for. */
void
sim_clock_settle(void)
{
    int64_t most = clock_steps[0].wall_less_mono_us;

    for (size_t i = 1; i < clock_steps_count; i++)
        if (clock_steps[i].wall_less_mono_us > most)
            most = clock_steps[i].wall_less_mono_us;
    if (most != clock_steps[clock_steps_count - 1].wall_less_mono_us)
        sim_clock_step(most - clock_steps[clock_steps_count - 1].wall_less_mono_us);
}

bool
sim_wall_reached(int64_t wall_ms, int64_t since_us)
{
    for (size_t i = 0; i < clock_steps_count; i++) {
        const int64_t end_us = i + 1 < clock_steps_count ? clock_steps[i + 1].since_us : sim_now_us;

        if (end_us >= since_us && end_us + clock_steps[i].wall_less_mono_us >= wall_ms * 1000)
            return true;
    }
    return false;
}

/* ---- the trace ---- */

void
sim_trace(const char *fmt, ...)
{
    char line[600];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    mine->events++;
    for (int i = 0; i < len && i < (int)sizeof line - 1; i++)
        mine->hash = (mine->hash ^ (uint8_t)line[i]) * 1099511628211ull;
    mine->hash = (mine->hash ^ (uint64_t)sim_now_us) * 1099511628211ull;
    if (sim_is_told)
        (void)printf("%10.3f  %s\n", (double)sim_now_us / 1000, line);
}

NORETURN void
sim_fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(mine->failure, sizeof mine->failure, fmt, args);
    va_end(args);
    (void)fflush(stdout);
    _exit(2);
}

/* An assertion of the rooms is a promise broken like any other. */
NORETURN void __assert_fail(const char *assertion, const char *file, unsigned int line, const char *function);
NORETURN void
__assert_fail(const char *assertion, const char *file, unsigned int line, const char *function)
{
    sim_fail("%s:%u: %s: %s", file, line, function, assertion);
}

void
sim_saw(enum sim_sight sight)
{
    mine->saw[sight]++;
}

/* ---- plans ---- */

/* Most kinds of fault are absent from most seeds: what is left can go far. */
static uint32_t
rate(uint32_t one_of, uint32_t most)
{
    return sim_below(one_of) > 0 ? 0 : 1 + sim_below(most);
}

static void
plan_make(void)
{
    plan = (struct sim_plan){
        .events = 300 + sim_below(sim_below(4) == 0 ? 6000 : 1500),
        .kill = rate(2, 8000), .journal_kill = rate(2, 15000), .power = rate(2, 4000), .stall = rate(3, 8000), .step = rate(5, 4000),
        .write_eio = rate(4, 8000), .write_full = rate(4, 20000), .write_short = rate(4, 60000), .sync_eio = rate(3, 20000),
        .syncfs_eio = rate(3, 500000), .read_eio = rate(8, 3000), .name_eio = rate(8, 10000), .writeback = rate(2, 100000),
        .segment_bytes = 4096u << sim_below(4), .kept_bytes = 8192u << sim_below(5), .backed_up_bytes = sim_below(4) == 0 ? 3000 : 1 << 20,
        .workers = 1 + sim_below(2), .agents = 1 + sim_below(6), .away_ms_max = sim_below(3) == 0 ? 40000 : 1500,
        .names_in_order = sim_below(2) == 0, .has_wide = sim_below(40) == 0,
    };
    plan.part = rate(8, 2000);
}

static void
seed_live(uint64_t seed)
{
    chance_state = seed * 0x2545f4914f6cdd1dull + 1;
    (void)sim_u64();
    (void)alarm(SEED_S_MAX);
    map_seed(sim_u64());
    plan_make();
    disk_init();
    disk_make_folder("/journal");
    disk_make_folder("/data");
    disk_make_folder("/data/scheduler");
    disk_make_folder("/apps");
    disk_make_folder("/apps/shop");
    world_init();
    house_run();
    (void)fflush(stdout);
    _exit(0);
}

/* ---- many seeds ---- */

static struct job jobs[JOBS_MAX];
static uint64_t failures;
static uint64_t events;
static uint64_t saw_total[SIM_SIGHTS_COUNT], saw_seeds[SIM_SIGHTS_COUNT];
static const char *program_name;

static void
job_start(size_t i, uint64_t seed)
{
    memset(&outcomes[i], 0, sizeof outcomes[i]);
    outcomes[i].hash = 14695981039346656037ull;
    jobs[i].seed = seed;
    (void)fflush(stdout);
    jobs[i].pid = fork();
    if (jobs[i].pid == 0) {
        mine = &outcomes[i];
        seed_live(seed);
    }
    if (jobs[i].pid < 0) {
        perror("fork");
        exit(3);
    }
}

static void
job_failed(size_t i, int status)
{
    failures++;
    if (failures > FAILURES_MAX)
        return;
    if (outcomes[i].failure[0] == '\0' && WIFSIGNALED(status))
        (void)snprintf(outcomes[i].failure, sizeof outcomes[i].failure, "%s", WTERMSIG(status) == SIGALRM ? "it does not end" : strsignal(WTERMSIG(status)));
    (void)printf("seed %llu: %s\n    %s --seed %llu --tell\n", (unsigned long long)jobs[i].seed, outcomes[i].failure, program_name,
                 (unsigned long long)jobs[i].seed);
}

/* Waits for one of them. */
static size_t
job_end(void)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, 0);

    for (size_t i = 0; i < JOBS_MAX; i++) {
        if (jobs[i].pid != pid || pid <= 0)
            continue;
        jobs[i].pid = 0;
        if (status != 0)
            job_failed(i, status);
        events += outcomes[i].events;
        for (int k = 0; k < SIM_SIGHTS_COUNT; k++) {
            saw_total[k] += outcomes[i].saw[k];
            saw_seeds[k] += outcomes[i].saw[k] > 0;
        }
        return i;
    }
    perror("waitpid");
    exit(3);
}

static int
sights_tell(const struct options *options)
{
    static const char *const names[] = {
#define X(name, text) text,
        SIM_SIGHTS(X)
#undef X
    };
    int never = 0;

    for (int k = 0; k < SIM_SIGHTS_COUNT; k++) {
        (void)printf("  %-45s %10llu in %7llu seeds\n", names[k], (unsigned long long)saw_total[k], (unsigned long long)saw_seeds[k]);
        never += saw_total[k] == 0;
    }
    if (never > 0 && !options->is_few)
        (void)printf("%d of these never happened: the seeds do not reach what they are for\n", never);
    return options->is_few ? 0 : never;
}

static int
seeds_run(const struct options *options)
{
    uint64_t next = options->from, running = 0;
    int never = 0;

    while (next < options->from + options->seeds || running > 0) {
        if (running < options->jobs && next < options->from + options->seeds && !(options->is_control && failures > 0)) {
            size_t i = 0;

            while (jobs[i].pid != 0)
                i++;
            job_start(i, next++);
            running++;
            continue;
        }
        if (running == 0)
            break;
        (void)job_end();
        running--;
    }
    if (options->is_control) {
        (void)printf("%s\n", failures > 0 ? "caught: 1 passed" : "not caught: the simulator would not see such a fault");
        return failures > 0 ? 0 : 1;
    }
    never = sights_tell(options);
    (void)printf("%llu seeds, %llu events\n%llu passed, %llu failed\n", (unsigned long long)options->seeds, (unsigned long long)events,
                 (unsigned long long)(options->seeds - failures), (unsigned long long)failures + (never > 0));
    return failures > 0 || never > 0;
}

static int
seeds_twice(const struct options *options)
{
    uint64_t differ = 0;

    for (uint64_t seed = options->from; seed < options->from + options->seeds; seed++) {
        uint64_t first;

        job_start(0, seed);
        (void)job_end();
        first = outcomes[0].hash;
        job_start(0, seed);
        (void)job_end();
        if (first == outcomes[0].hash)
            continue;
        differ++;
        (void)printf("seed %llu: two runs of it differ\n", (unsigned long long)seed);
    }
    (void)printf("%llu passed, %llu failed\n", (unsigned long long)(options->seeds - differ), (unsigned long long)differ);
    return differ > 0 || failures > 0;
}

/* ---- start ---- */

static bool
options_read(int argc, char **argv, struct options *out)
{
    *out = (struct options){ .seeds = 100, .from = 1, .jobs = 2 };
    for (int i = 1; i < argc; i++) {
        const bool has_value = i + 1 < argc;

        if (strcmp(argv[i], "--seed") == 0 && has_value) {
            out->from = strtoull(argv[++i], NULL, 10);
            out->seeds = 1;
            out->is_one = out->is_few = true;
        } else if (strcmp(argv[i], "--seeds") == 0 && has_value) {
            out->seeds = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--from") == 0 && has_value) {
            out->from = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--jobs") == 0 && has_value) {
            out->jobs = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--tell") == 0) {
            sim_is_told = true;
        } else if (strcmp(argv[i], "--control") == 0) {
            out->is_control = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            out->is_twice = true;
        } else if (strcmp(argv[i], "--few") == 0) {
            out->is_few = true;
        } else {
            return false;
        }
    }
    return out->jobs >= 1 && out->jobs <= JOBS_MAX && out->seeds > 0;
}

int
main(int argc, char **argv)
{
    static char lines[1 << 16];
    struct options options;

    /* Addresses are keys here and there: the same ones in every run. */
    if ((personality(0xffffffff) & ADDR_NO_RANDOMIZE) == 0 && personality(ADDR_NO_RANDOMIZE) != -1)
        (void)execv("/proc/self/exe", argv);
    (void)setvbuf(stdout, lines, _IOFBF, sizeof lines);
    program_name = argv[0];
    if (!options_read(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: %s --seed N [--tell] | --seeds N [--from M] [--jobs J] [--few] [--control] [--twice]\n", argv[0]);
        return 2;
    }
    outcomes = mmap(NULL, JOBS_MAX * sizeof *outcomes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcomes == MAP_FAILED) {
        perror("mmap");
        return 3;
    }
    return options.is_twice ? seeds_twice(&options) : seeds_run(&options);
}
