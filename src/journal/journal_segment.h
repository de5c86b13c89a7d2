/*
 * journal_segment — one file of the journal: a header, records, and when it is sealed an index of them.
 *
 * Promise: what segment_sync() returned true for is found again by segment_scan() and segment_read() after any crash; what was
 * written after the last such sync may be found up to the first byte that did not reach the disk, and nothing behind it.
 * After a failed sync the handle is not used for another one: the caller abandons the segment (segment_cut) and says in the next
 * one's header how long it is.
 * Here: the file. Which segments there are, and which of them is written to: journal_log.
 */
#ifndef DORMOUSE_JOURNAL_SEGMENT_H
#define DORMOUSE_JOURNAL_SEGMENT_H

#include "src/journal/journal_record.h"

#define SEGMENT_HEADER_BYTES 64
#define SEGMENT_NAME_BYTES   24
#define SEGMENT_NONE         0             /* numbers start at 1 */

struct segment;

/* Where one record lies, and what it is, as index and core keep it. */
struct found_record {
    struct record record;                  /* pages empty: not read when it comes from an index */
    uint32_t      offset;                  /* of its head */
    uint32_t      length, sum;             /* of its body */
    uint32_t      marks;
    int64_t       time_ms;                 /* of its batch */
    bool          is_damaged;              /* its body does not verify; record says who it seems to be of */
};

struct scan_result {
    bool     is_indexed;                   /* the index was used: no record was read */
    unsigned damaged;                      /* records, or gaps between records, that do not verify although they were durable once */
};

void segment_name(char out[SEGMENT_NAME_BYTES], uint32_t number);      /* "%016x.seg" */

/* False: NAME is not one that segment_name gives. */
MUST_USE bool segment_name_parse(const char *name, uint32_t *out_number);

struct segment_spec {
    uint32_t number;
    uint32_t bytes;                        /* to reserve */
    uint32_t previous, previous_bytes;     /* the segment before, and how much of it is valid */
    uint64_t first_lsn;                    /* of its first byte; grows from segment to segment by more than their lengths */
    uint64_t alarms_forgotten;             /* changes of alarms up to this lsn may be gone (journal_feed.h) */
};
/* Makes the file, and its header durable. */
MUST_USE bool segment_create(struct segment **out_segment, int dir, const struct segment_spec *spec, struct err *err);
/* ERR_CORRUPT: the header does not verify. */
MUST_USE bool segment_open(struct segment **out_segment, int dir, uint32_t number, struct err *err);
void segment_close(struct segment **segment);

uint32_t segment_number(const struct segment *segment);
uint32_t segment_previous(const struct segment *segment, uint32_t *out_bytes);
uint64_t segment_first_lsn(const struct segment *segment);
uint64_t segment_alarms_forgotten(const struct segment *segment);
uint32_t segment_end(const struct segment *segment);                  /* where the next record goes; its valid length */
uint32_t segment_durable(const struct segment *segment);
bool     segment_is_sealed(const struct segment *segment);

/* Writes the records in BATCH (record_pack) at the end, giving them their checks. Not durable before segment_sync. On failure the segment
 * is as it was, or must be abandoned: *out_is_lost. */
MUST_USE bool segment_write(struct segment *segment, struct buf *batch, uint32_t *out_offset, bool *out_is_lost, struct err *err);
MUST_USE bool segment_sync(struct segment *segment, struct err *err);
/* Forgets what is not durable. For a segment that is abandoned. */
void segment_cut(struct segment *segment);
/* Ends it: the index is written, the rest of the file given back. Only when all records are durable, for the index vouches for them;
 * itself it is not synced: one that is torn is not used. When it fails the segment is whole without. */
MUST_USE bool segment_seal(struct segment *segment, struct err *err);
/* The same in two steps: the first may run on a thread while others read the segment, and changes nothing of it but its file. */
MUST_USE bool segment_seal_write(const struct segment *segment, struct err *err);
void segment_seal_end(struct segment *segment, bool is_written);
bool segment_awaits_seal(const struct segment *segment);              /* or is written to still */
/* Makes durable what segment_scan() found, through a handle of its own. The last batch is written once more before: when its sync failed, the
 * kernel may hold it as clean, and would not write it for any later sync. */
MUST_USE bool segment_sync_found(struct segment *segment, struct err *err);

/* Tells FN every record in order. LIMIT: its valid length when another segment says so, else 0. Sets segment_end().
 * False: the file cannot be read. */
MUST_USE bool segment_scan(struct segment *segment, uint32_t limit, void (*fn)(void *owner, const struct found_record *found),
                           void *owner, struct scan_result *out_result, struct err *err);

/* Tells FN every record that the index in memory has: of a segment that is not sealed yet. False: it has none. */
MUST_USE bool segment_tell(const struct segment *segment, void (*fn)(void *owner, const struct found_record *found), void *owner);

/* Reads the body of a record into OUT (replaced). ERR_CORRUPT: it does not verify. */
MUST_USE bool segment_read(struct segment *segment, uint32_t offset, uint32_t length, uint32_t sum, struct buf *out, struct err *err);

/* Makes durable which segments there are; NUMBER is the one that came or went. */
MUST_USE bool folder_sync(int dir, uint32_t number, struct err *err);
/* err_set with ERR_DISK_FULL or ERR_IO, as errno says. */
bool disk_err(struct err *err, int sys_errno, const char *doing, uint32_t number);

#endif
