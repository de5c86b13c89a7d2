/*
 * prop_cycles — one agent that answers, sleeps and wakes, two thousand times: in the second thousand neither its heap nor the process gets
 * larger than in the first. What cycles of objects a heap gathers between collections (GC_TURN_SLACK_BYTES) comes and goes.
 */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "src/worker/agent.h"
#include "src/worker/worker.h"
#include "tests/prop/prop_world.h"

#define CYCLES        1000
#define IMAGE_SLACK(bytes) ((bytes) / 8)   /* collections come at other moments, and leave other holes */
#define PROCESS_SLACK 16384

struct size {
    size_t in_use, mappings, descriptors, image;
};

static size_t
count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    size_t lines = 0;

    for (int c; maps != NULL && (c = getc(maps)) != EOF;)
        lines += c == '\n';
    if (maps != NULL)
        (void)fclose(maps);
    return lines;
}

static size_t
count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

/* Of the agent's image in memory or on disk, whichever it has. */
static size_t
image_bytes(void)
{
    const struct agent *a = agent_find(BYTES_LIT(AGENT_CLASS), &shared->agents[0].id);
    char path[600], hex[65];
    FILE *file;
    long size = 0;

    if (a != NULL)
        return a->image.len;
    agent_id_to_hex(&shared->agents[0].id, hex);
    (void)snprintf(path, sizeof path, "%s/agents/" AGENT_CLASS "/%.2s/%s/image", worker.data, hex, hex);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    (void)fclose(file);
    return (size_t)size;
}

static void
cycle(void)
{
    world.calls_count = 0;
    shared->text_len = 0;
    world_request(0, "/end", false);
    world_hear();
    if (!world_is_answered())
        prop_fail("an agent that slept does not answer");
    run_sleep();
    world_hear();
}

/* The largest that each became. */
static struct size
measure(void)
{
    struct size most = { 0 };

    for (int i = 0; i < CYCLES; i++) {
        const size_t in_use = mallinfo2().uordblks;
        size_t image;

        cycle();
        image = image_bytes();
        most.image = image > most.image ? image : most.image;
        most.in_use = in_use > most.in_use ? in_use : most.in_use;
    }
    most.mappings = count_mappings();
    most.descriptors = count_descriptors();
    return most;
}

void
run_cycles(const struct prop_plan *plan)
{
    struct size first, second;
    uint64_t slept;

    run_program(plan);
    shared->is_done = false;
    world.uploads_count = 0;
    slept = worker.sleeps;
    first = measure();
    second = measure();
    slept = worker.sleeps - slept;
    (void)snprintf(shared->text, TEXT_BYTES, "%llu sleeps; at most in the first and the second half: image %zu, %zu bytes; process %zu, %zu; mappings %zu, %zu; "
                                             "descriptors %zu, %zu",
                   (unsigned long long)slept, first.image, second.image, first.in_use, second.in_use, first.mappings, second.mappings,
                   first.descriptors, second.descriptors);
    if (slept != 2 * CYCLES || first.image == 0)
        prop_fail("it did not sleep: %s", shared->text);
    if (second.image > first.image + IMAGE_SLACK(first.image) || second.in_use > first.in_use + PROCESS_SLACK || second.mappings > first.mappings ||
        second.descriptors != first.descriptors)
        prop_fail("something grew: %s", shared->text);
    shared->is_done = true;
}
