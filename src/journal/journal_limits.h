/* The limits of the journal, each with its reason. */
#ifndef DORMOUSE_JOURNAL_LIMITS_H
#define DORMOUSE_JOURNAL_LIMITS_H

#define SEGMENT_BYTES         (64u << 20)      /* a start reads one segment's tail; 20 of them are a second's worth of a fast disk */
#define SEGMENT_BYTES_SPARE   (1u << 20)       /* on a disk without room for more: fifty commits of the largest usual kind between two switches */
#define SEGMENT_BYTES_MIN     4096u            /* configured by tests only: a header and a few records */
#define BATCH_BYTES_MAX       (8u << 20)       /* written early: a sync of more would let everybody wait */
#define BODY_BYTES_MAX        (COMMIT_PART_MAX_BYTES + 4096)   /* a commit's part with its names */
#define INDEX_BYTES_MAX       (48u << 20)      /* a footer: a segment of the smallest records has 570,000 of them */
#define KEPT_BYTES_MAX        (512ull << 20)   /* beyond it what pins the oldest segment is asked for or carried forward */
#define SEGMENTS_MAX          4096             /* files at a start; beyond it something else writes into our folder */
#define KEPT_SEGMENTS_MAX     (SEGMENTS_MAX / 4)   /* the same beyond so many: backups cut the log into small ones, and a start must be able to list them */
#define SCAN_WINDOW_BYTES     (4u << 20)       /* read at once at a start: larger than any record */
#define SUSPECTS_CHUNK_BYTES  (60 * 1024)      /* of SUSPECTS.entries: below CHUNK_MAX_BYTES by more than one entry */
#define RECALLS_PER_LINK_MAX  4096             /* questions of one worker that wait; it asks once per agent that it starts */
#define FAREWELL_PARTS        4                /* of a stop's grace: the longest wait for workers' links to end; the rest is for the disk */
#define HISTORY_DAYS          30               /* as on Cloudflare; "history_days" changes it */
#define HISTORY_BASE_DAYS     10               /* a worker makes a base so often: kept longer, so that there is one for each day of the history */
#define HISTORY_HOLD_NAME     "hold"           /* a backup touches this file in the journal's folder */
#define HISTORY_HOLD_MS       (10 * 60 * 1000) /* … at least so often; else it died */
#define HISTORY_PRUNE_MS      (60 * 60 * 1000) /* also of a node where nothing happens */
#define HISTORY_ROOM_SEGMENTS 4                /* deleted at once on a full disk: more than the next segment needs */
#define LOOKUP_ANSWER_BYTES_MAX (512ull << 20) /* what one question about history may give: a worker holds it in memory */
#define LOOKUP_PASS_BYTES     (4u << 20)       /* of records sent in one pass: batches go between */
#define LOOKUP_SPANS_MAX      256              /* lines of a list of commits; more are merged */
#define SYNC_RETRY_MS         1000             /* after a failed sync of the databases */

#endif
