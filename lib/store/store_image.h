/* store_image — the first page of an empty database in WAL mode, and what the bytes at the start of a file tell. */
#ifndef DORMOUSE_STORE_IMAGE_H
#define DORMOUSE_STORE_IMAGE_H

#include "lib/base/macros.h"
#include "lib/store/store.h"
#include "lib/store/store_limits.h"

#define IMAGE_HEADER_BYTES  100            /* SQLite's database header, file format 1.3 */
#define IMAGE_MODE_OFFSET   18             /* write version */
#define IMAGE_MODE_JOURNAL  1
#define IMAGE_MARK_OFFSET   72             /* first byte of "reserved for expansion"; SQLite neither reads nor writes it */
#define IMAGE_MARK          0xd0           /* this file's name may not be on disk yet */
#define IMAGE_STAMP_OFFSET  72             /* without the mark: the number of the last commit in the file, big-endian */
#define IMAGE_STAMP_BYTES   8
#define IMAGE_MEMO_BYTES    12             /* behind the stamp: struct store_base, big-endian; of `marks` a byte, before it three of a checksum of both */

#define IMAGE_RESERVE_OFFSET 20            /* bytes at the end of each page that SQLite leaves alone */
#define IMAGE_SUM_BYTES     4              /* the page's checksum; SEE and cksumvfs reserve more */

/* The page: STORE_PAGE_BYTES bytes, the same for all, with its checksum. */
const uint8_t *image_page(void);

/* Whether the pages of a database that begins with HEADER carry checksums. */
bool image_has_sums(const uint8_t header[IMAGE_HEADER_BYTES]);
/* The checksum is CRC-32C of the page's number and of its bytes, but for the stamp and memo of a first page. */
void image_sum_put(uint8_t page[STORE_PAGE_BYTES], uint32_t number);
bool image_sum_is_right(const uint8_t page[STORE_PAGE_BYTES], uint32_t number);

enum image_state {
    IMAGE_SOUND,                           /* a database, or something SQLite must judge */
    IMAGE_MARKED,                          /* a database whose folders were not synced */
    IMAGE_MISSING                          /* too short or all zero: its first page was never made durable */
};
enum image_state image_state(const uint8_t *header, size_t header_bytes, int64_t file_bytes);

/* Whether a journaled store's file begins as SQLite needs it to; a power cut can leave only the front of that, over zeros. */
bool image_is_head(const uint8_t header[IMAGE_HEADER_BYTES]);

/* The stamp of a first page that begins with HEADER; 0 without one. */
uint64_t image_stamp_of(const uint8_t *header, size_t header_bytes);
void image_stamp(uint8_t page[STORE_PAGE_BYTES], uint64_t stamp);
/* The memo of a first page that begins with HEADER; zeros without a stamp. */
struct store_base image_memo_of(const uint8_t *header, size_t header_bytes);
/* Both, with their checksum. */
void image_note_pack(uint8_t out[IMAGE_STAMP_BYTES + IMAGE_MEMO_BYTES], uint64_t stamp, struct store_base memo);
/* Whether stamp and memo are as they were packed; true for those without a checksum. */
bool image_note_is_right(const uint8_t header[IMAGE_HEADER_BYTES]);
/* What SQLite is to see of LEN bytes read at AT of a database: mark and stamp are ours, and it would carry them elsewhere. */
void image_hide_stamp(uint8_t *data, size_t len, int64_t at);

#endif
