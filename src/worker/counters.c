/* counters — see counters.h. */
#include "src/worker/counters.h"

#include <stdio.h>

#include "src/worker/commits.h"
#include "src/worker/deploy.h"
#include "src/worker/heap.h"
#include "src/worker/starts.h"
#include "src/worker/worker.h"

#define NAME_BYTES 64                  /* "images_refused." and the longest reason */

void
counters_put(struct room *room, struct buf *json)
{
    count_put(json, "agents_in_memory", worker.agents != NULL ? bmap_count(worker.agents) : 0);
    count_put(json, "awake", worker.sleep.count[SLEEP_AWAKE]);
    count_put(json, "warm", worker.sleep.count[SLEEP_WARM]);
    count_put(json, "warm_bytes", worker.sleep.warm_bytes);
    count_put(json, "waiting", starts_count());
    count_put(json, "pressure", (uint64_t)worker.sleep.pressure);
    count_put(json, "calls", worker.calls);
    count_put(json, "calls_open", worker.open_calls);
    count_put(json, "turns", worker.turns);
    count_put(json, "births", worker.births);
    count_put(json, "wakes", worker.wakes);
    count_put(json, "warm_wakes", worker.warm_wakes);
    count_put(json, "cold_wakes", worker.cold_wakes);
    count_put(json, "sleeps", worker.sleeps);
    count_put(json, "colds", worker.colds);
    count_put(json, "sleep_us", (uint64_t)worker.sleep_us);
    count_put(json, "wake_us", (uint64_t)worker.wake_us);
    count_put(json, "evictions", worker.evictions);
    count_put(json, "resets", worker.resets);
    count_put(json, "commits", commits_count());
    count_put(json, "template_bytes", worker.deploy != NULL ? template_bytes(worker.deploy->template) : 0);
    for (int i = IMAGE_FINE + 1; i < IMAGE_REFUSALS; i++) {
        char name[NAME_BYTES];

        if (worker.images_refused[i] == 0)
            continue;
        (void)snprintf(name, sizeof name, "images_refused.%s", image_refusal_text((enum image_refusal)i));
        count_put(json, name, worker.images_refused[i]);
    }
}
