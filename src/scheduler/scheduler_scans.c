/* scheduler_scans — see scheduler_scans.h. */
#include "src/scheduler/scheduler_scans.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "src/scheduler/scheduler_limits.h"

struct scan {
    bool     is_whole;
    uint32_t since;                        /* scans with a lower number began too early */
    uint16_t slots;                        /* as the workers said last; 0: none did */
    uint16_t told;                         /* how many of them have */
    bool     has_told[APP_WORKERS_MAX];
};

struct scans {
    struct bmap *apps;                     /* app → struct scan */
    uint32_t     number;
};

struct scans *
scans_create(void)
{
    struct scans *scans = calloc(1, sizeof *scans);

    assert(scans != NULL);
    scans->apps = bmap_create();
    scans->number = 1;
    return scans;
}

void
scans_destroy(struct scans **owned)
{
    struct scans *scans = *owned;
    struct bytes key;
    size_t at = 0;
    void *scan;

    if (scans == NULL)
        return;
    *owned = NULL;
    while (bmap_next(scans->apps, &at, &key, &scan))
        free(scan);
    bmap_destroy(&scans->apps);
    free(scans);
}

static struct scan *
scan_get(struct scans *scans, struct bytes app)
{
    struct scan *scan = bmap_get(scans->apps, app);

    if (scan != NULL)
        return scan;
    scan = calloc(1, sizeof *scan);
    assert(scan != NULL);
    (void)bmap_put(scans->apps, app, scan);
    return scan;
}

static void
scan_forget(struct scan *scan, uint32_t since)
{
    *scan = (struct scan){ .since = since };
}

void
scans_put(struct scans *scans, struct bytes app)
{
    scan_get(scans, app)->is_whole = true;
}

bool
scans_has(const struct scans *scans, struct bytes app)
{
    const struct scan *scan = bmap_get(scans->apps, app);

    return scan != NULL && scan->is_whole;
}

bool
scans_next(const struct scans *scans, size_t *cursor, struct bytes *out_app)
{
    void *scan;

    while (bmap_next(scans->apps, cursor, out_app, &scan))
        if (((struct scan *)scan)->is_whole)
            return true;
    return false;
}

void
scans_forget(struct scans *scans, struct bytes app)
{
    scan_forget(scan_get(scans, app), ++scans->number);
}

void
scans_forget_all(struct scans *scans)
{
    struct bytes key;
    size_t at = 0;
    void *scan;

    scans->number++;
    while (bmap_next(scans->apps, &at, &key, &scan))
        scan_forget(scan, scans->number);
}

uint32_t
scans_number(const struct scans *scans)
{
    return scans->number;
}

bool
scans_told(struct scans *scans, struct bytes app, uint32_t number, uint16_t index, uint16_t slots)
{
    struct scan *scan = scan_get(scans, app);

    if (scan->is_whole || number < scan->since || number > scans->number || slots == 0 || slots > APP_WORKERS_MAX || index >= slots)
        return false;
    if (slots != scan->slots) {            /* agents are shared out anew: what a worker told before was about others */
        scan_forget(scan, scan->since);
        scan->slots = slots;
    }
    if (!scan->has_told[index]) {
        scan->has_told[index] = true;
        scan->told++;
    }
    scan->is_whole = scan->told == slots;
    return scan->is_whole;
}
