/*
 * snapshot_file — a snapshot as bytes, and its file (decision 011): an agent's database and heap as of one moment between two turns.
 *
 * Promise: what is read is whole and within its bounds, or refused with the reason; what is written is on disk, under its name, or absent.
 * Not here: whether the heap fits an engine and a deployment (image.h), and the pages a database (lib/store).
 */
#ifndef DORMOUSE_WORKER_SNAPSHOT_FILE_H
#define DORMOUSE_WORKER_SNAPSHOT_FILE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/ident/ident.h"
#include "src/worker/worker_limits.h"

#define SNAPSHOT_ID_BYTES 16
#define SNAPSHOT_ID_HEX   32

struct snapshot_id {                   /* when (48 bits of ms since 1970, big-endian), then chance: they order as time does */
    uint8_t bytes[SNAPSHOT_ID_BYTES];
};

/* Whether there is a heap, or why not. Numbers are in files. */
enum snapshot_heap {
    SNAPSHOT_HEAP,
    SNAPSHOT_UNASKED,                  /* the database was asked for only */
    SNAPSHOT_ABSENT,                   /* the agent had none: it was not in memory */
    SNAPSHOT_DISCARDED,                /* its class does not keep heaps */
    SNAPSHOT_LARGE,                    /* IMAGE_BYTES_MAX */
    SNAPSHOT_HEAPS
};
const char *snapshot_heap_text(enum snapshot_heap heap);

struct snapshot_timer {                /* one that was armed */
    uint32_t id, section;
    int64_t  left_ms;
};

struct snapshot {
    struct snapshot_id id;
    struct agent_id    agent;          /* whose it is */
    int64_t            time_ms;
    uint64_t           seq;            /* of the commit that both show */
    enum snapshot_heap heap;
    bool               is_passing;     /* made for one clone: not listed, and soon gone */
    /* What the host keeps of a heap beside it. */
    uint32_t           next_incoming, last_cursor, last_deflate_stream, wait_until;
    struct bytes       class_name, label;
    struct bytes       packs;          /* ids of the packs that have its pages, oldest first (snapshot_pages.h); empty: `pages` has */
    struct bytes       timers;         /* struct snapshot_timer, packed: snapshot_timer_at() */
    struct bytes       pages;          /* page sets of the whole database (lib/store/store_pages.h) */
    struct bytes       image;          /* image.h, standing alone; empty when there is no heap */
};

void snapshot_pack(struct buf *out, const struct snapshot *snapshot);
/* *out_snapshot points into FILE. */
MUST_USE bool snapshot_unpack(struct snapshot *out_snapshot, struct bytes file, struct err *err);
/* The same of the first SNAPSHOT_HEAD_MAX_BYTES of a file, or all of a shorter one: without timers, pages, image. */
#define SNAPSHOT_HEAD_MAX_BYTES 2048
MUST_USE bool snapshot_unpack_head(struct snapshot *out_snapshot, struct bytes head, struct err *err);
size_t snapshot_timers_count(const struct snapshot *snapshot);
struct snapshot_timer snapshot_timer_at(const struct snapshot *snapshot, size_t index);
void snapshot_timer_pack(struct buf *out, const struct snapshot_timer *timer);

struct snapshot_id snapshot_id_new(int64_t now_ms);
void snapshot_id_to_hex(const struct snapshot_id *id, char out[SNAPSHOT_ID_HEX + 1]);
MUST_USE bool snapshot_id_from_hex(struct snapshot_id *out_id, struct bytes hex);

/* Writes DATA to PATH, whose folder is there, durably. False: PATH is as it was or, when only the folder could not be synced, new. */
MUST_USE bool snapshot_file_write(const char *path, struct bytes data, struct err *err);
/* The same in steps, whose syncs are the caller's: an open file PATH.new with DATA, to be synced (-1: ERR); its name; the open folder of PATH, to be
 * synced (-1: ERR). Or nothing stays of it. */
MUST_USE int snapshot_file_begin(const char *path, struct bytes data, struct err *err);
MUST_USE bool snapshot_file_name(const char *path, struct err *err);
MUST_USE int snapshot_folder_open(const char *path, struct err *err);
void snapshot_file_drop(const char *path);
/* Makes FOLDER, if it is not there; the one that it is in has to be synced. */
MUST_USE bool snapshot_folder_make(const char *folder, struct err *err);
/* Appends all of PATH to OUT; ERR_NOT_FOUND when it is absent. */
MUST_USE bool snapshot_file_read(const char *path, struct buf *out, struct err *err);

#endif
