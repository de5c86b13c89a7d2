/* prop_cycles — one agent that sleeps and wakes a thousand times: its heap and the process stay as they were. */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "src/worker/agent.h"
#include "src/worker/worker.h"
#include "tests/prop/prop_world.h"

#define CYCLES_FIRST 60                /* until buffers that are kept have their size */
#define CYCLES       1000
#define SLACK_BYTES  1024              /* of the process: buffers that are kept grow in steps */

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

static struct size
measure(void)
{
    return (struct size){ mallinfo2().uordblks, count_mappings(), count_descriptors(), image_bytes() };
}

static void
cycle(void)
{
    world.calls_count = 0;
    shared->text_len = 0;
    world_request(0, "/hashes", false);
    world_hear();
    if (!world_is_answered())
        prop_fail("an agent that slept does not answer");
    run_sleep();
    world_hear();
}

void
run_cycles(const struct prop_plan *plan)
{
    struct size before, after;

    run_program(plan);
    shared->is_done = false;
    world.uploads_count = 0;
    for (int i = 0; i < CYCLES_FIRST; i++)
        cycle();
    before = measure();
    shared->sleeps = worker.sleeps;
    for (int i = 0; i < CYCLES; i++)
        cycle();
    after = measure();
    (void)snprintf(shared->text, TEXT_BYTES, "%llu sleeps: image %zu → %zu bytes, process %zu → %zu bytes, mappings %zu → %zu, descriptors %zu → %zu",
                   (unsigned long long)(worker.sleeps - shared->sleeps), before.image, after.image, before.in_use, after.in_use, before.mappings,
                   after.mappings, before.descriptors, after.descriptors);
    if (worker.sleeps - shared->sleeps != CYCLES || before.image == 0)
        prop_fail("it did not sleep: %s", shared->text);
    if (after.image != before.image || after.in_use > before.in_use + SLACK_BYTES || after.mappings > before.mappings ||
        after.descriptors != before.descriptors)
        prop_fail("something grew: %s", shared->text);
    shared->is_done = true;
}
