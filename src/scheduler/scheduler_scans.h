/*
 * scheduler_scans — which apps' databases the index has heard out: pure state.
 *
 * Promise: an app counts as scanned only when each of its workers, all with the same number of slots, has told the end of a scan
 * that began after the index was last found incomplete.
 */
#ifndef DORMOUSE_SCHEDULER_SCANS_H
#define DORMOUSE_SCHEDULER_SCANS_H

#include "lib/base/bytes.h"

struct scans;

struct scans *scans_create(void);
void scans_destroy(struct scans **scans);
/* APP is scanned; also for what the disk says. */
void scans_put(struct scans *scans, struct bytes app);
bool scans_has(const struct scans *scans, struct bytes app);
/* The next app that is scanned; *CURSOR starts at 0. */
bool scans_next(const struct scans *scans, size_t *cursor, struct bytes *out_app);
/* The index lacks something of APP, or of all apps: what scans under way have told does not count any more. */
void scans_forget(struct scans *scans, struct bytes app);
void scans_forget_all(struct scans *scans);
/* What to call a scan that begins now. */
uint32_t scans_number(const struct scans *scans);
/* Worker INDEX of SLOTS has told all. True: APP is scanned with this one, and was not before. */
bool scans_told(struct scans *scans, struct bytes app, uint32_t number, uint16_t index, uint16_t slots);

#endif
