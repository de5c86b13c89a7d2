/*
 * store_frames — a WAL in memory: what SQLite believes is the file db.sqlite-wal of a journaled store.
 *
 * Frames of commits that are over come first, then those of the transaction under way. Once db.sqlite has a page (a checkpoint), its
 * frame keeps only the head, and reads of it go to db.sqlite: so memory is bounded even while an open cursor keeps SQLite from
 * starting the WAL over. SQLite reads only the last frame of a page, which makes that right.
 */
#ifndef DORMOUSE_STORE_FRAMES_H
#define DORMOUSE_STORE_FRAMES_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/store/store_pages.h"

struct frames;

extern size_t frames_bytes_max;            /* STORE_FRAMES_BYTES_MAX, unless a test lowered it */

struct frames *frames_create(void);
void frames_destroy(struct frames **frames);

/* What SQLite does to its file. Writing fails at STORE_TXN_BYTES_MAX of one transaction and at frames_bytes_max of all stores. DB_FD: db.sqlite, -1 when there is none. */
MUST_USE bool frames_write(struct frames *frames, struct bytes data, int64_t at);
/* Fails with errno when db.sqlite cannot be read, with EBADMSG when its pages HAS_SUMS and one is wrong. *out_got < LEN: the WAL ends there. */
MUST_USE bool frames_read(const struct frames *frames, int db_fd, bool has_sums, void *data, size_t len, int64_t at, size_t *out_got);
void frames_truncate(struct frames *frames, int64_t size);
int64_t frames_bytes(const struct frames *frames);

/* A commit is over: it ends with frame COUNT of the WAL. */
void frames_commit(struct frames *frames, uint32_t count);
/* Forgets what belongs to no commit. */
void frames_rollback(struct frames *frames);
/* Commits that db.sqlite lacks, in pages; the memory all of it takes. */
uint32_t frames_held(const struct frames *frames);
size_t frames_memory(const struct frames *frames);

/* Gives FN the page sets of the commits since the last call. */
void frames_take(struct frames *frames, void (*fn)(void *owner, struct bytes pages, bool more), void *owner);
bool frames_are_taken(const struct frames *frames);

/* The last image of each page that db.sqlite lacks, numbers rising; owned by the caller (free), images borrowed. *out_size_pages: of the
 * database after the last commit, 0 when there was none. */
struct page_image *frames_latest(const struct frames *frames, size_t *out_count, uint32_t *out_size_pages);
/* Of the database after the last commit, in pages; 0 when there was none. */
uint32_t frames_size_pages(const struct frames *frames);
/* db.sqlite has everything that was committed: gives the pages' memory back. */
void frames_drop(struct frames *frames);

/* Makes the empty WAL one of a single commit with these IMAGES (1 or more, numbers rising), as recovery reads it. Not given to frames_take(). */
void frames_fill(struct frames *frames, const struct page_image *images, size_t count, uint32_t size_pages);

#endif
