/*
 * engine_chunks — the facts about the engine's allocators that engine_version.h does not have: dlmalloc (wasi-libc), and the free lists of
 * the slabs. A file of its own, because the engine's build does not depend on it. tests/unit/worker_image_test.c proves each fact.
 */
#ifndef DORMOUSE_WORKER_ENGINE_CHUNKS_H
#define DORMOUSE_WORKER_ENGINE_CHUNKS_H

#include "src/worker/engine_version.h"

#define CHUNK_HEADER 8                 /* u32 size of the chunk before if that is free, u32 own size and flags; then the block */
#define CHUNK_IN_USE 2u
#define CHUNK_FLAGS 7u
#define CHUNK_BYTES_MIN 16
#define CHUNK_FREE_BYTES 32            /* of a free chunk that the allocator uses: links of its lists and trees */
#define CHUNK_FOOT 56                  /* bytes behind the last chunk, which is free, at the end of memory */

/* Slabs with free blocks, as engine_version.h has all slabs: list heads per class; the nodes lie at the start of each slab. */
#define SLAB_OFF_FREE_LISTS (ENGINE_OFF_SLABS + 8 * ENGINE_SLAB_CLASSES)
#define SLAB_CLASS 16                  /* u8: which sizes */
#define SLAB_FIRST_FREE 22             /* u16 number of a block; each free block's header has the next one's */
#define SLAB_NO_BLOCK 0xffffu

#define RUNTIME_OFF_MALLOC_SIZE 24     /* u32: bytes of all blocks; what the collector's threshold is compared with */

#endif
