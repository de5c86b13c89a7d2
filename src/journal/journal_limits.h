/* The limits of the journal, each with its reason. */
#ifndef DORMOUSE_JOURNAL_LIMITS_H
#define DORMOUSE_JOURNAL_LIMITS_H

#define SEGMENT_BYTES         (64u << 20)      /* a start reads one segment's tail; 20 of them are a second's worth of a fast disk */
#define SEGMENT_BYTES_MIN     4096u            /* configured by tests only: a header and a few records */
#define BATCH_BYTES_MAX       (8u << 20)       /* written early: a sync of more would let everybody wait */
#define BODY_BYTES_MAX        (COMMIT_PART_MAX_BYTES + 4096)   /* a commit's part with its names */
#define INDEX_BYTES_MAX       (48u << 20)      /* a footer: a segment of the smallest records has 570,000 of them */
#define KEPT_BYTES_MAX        (512ull << 20)   /* beyond it what pins the oldest segment is asked for or carried forward */
#define SEGMENTS_MAX          4096             /* files at a start; beyond it something else writes into our folder */
#define SCAN_WINDOW_BYTES     (4u << 20)       /* read at once at a start: larger than any record */
#define SUSPECTS_CHUNK_BYTES  (60 * 1024)      /* of SUSPECTS.entries: below CHUNK_MAX_BYTES by more than one entry */
#define RECALLS_PER_LINK_MAX  4096             /* questions of one worker that wait; it asks once per agent that it starts */
#define FAREWELL_PARTS        4                /* of a stop's grace: the longest wait for workers' links to end; the rest is for the disk */
#define SYNC_RETRY_MS         1000             /* after a failed sync of the databases */

#endif
