/*
 * engine_version — the facts about exactly one engine build: npm quickjs-wasi 3.6.2 (QuickJS-NG 0.17.0).
 *
 * Nothing else in the tree knows an offset, a table index or a generated name. tools/engine-build refuses another module;
 * tests/unit/worker_engine_test.c proves each fact. An upgrade is this file and one test run.
 */
#ifndef DORMOUSE_WORKER_ENGINE_VERSION_H
#define DORMOUSE_WORKER_ENGINE_VERSION_H

#define ENGINE_VERSION_TEXT "quickjs-wasi 3.6.2 (QuickJS-NG 0.17.0)"
#define ENGINE_WASM_SHA256 "d4c9375f2b1ca4dc95f72c8aa2982a7a9951ac8011490d79c6582df732b4bbd9"

/* Behind 4 GiB of address space per heap: covers the largest constant offset of a load or store (1,167,192). */
#define ENGINE_RESERVE_EXTRA 2097152

#define ENGINE_TABLE_SIZE 532                     /* entries of the function table before ours */
#define ENGINE_FN_PROMISE_THEN w2c_f438
#define ENGINE_JOB_PROMISE_REACTION 24            /* table index of promise_reaction_job: its context is captured by then */
#define ENGINE_JOB_MICROTASK 93                   /* table index of the job behind queueMicrotask(fn): calls its argument */
#define ENGINE_OFF_GC_OBJ_LIST 596                /* JSRuntime.gc_obj_list: nodes lie at the start of each object */
#define ENGINE_OFF_COUNT (-4)                     /* from any object, string or atom to its reference count */

/* The engine's allocator of small blocks (js_malloc_rt): per size class a list of all slabs, nodes at +8 of each slab. A slab: u16 used
 * at 18, u16 blocks at 20, the blocks from 24 on. A block begins with 8 bytes: u16 next free, u8 class, u8 type, u32 reference count. */
#define ENGINE_OFF_SLABS 40                       /* from the runtime: list heads, 8 bytes each */
#define ENGINE_SLAB_CLASSES 31
#define ENGINE_SLAB_SIZES 1085936                 /* address of u16 block sizes by class */
#define ENGINE_SLAB_NODE 8
#define ENGINE_SLAB_BLOCKS 20
#define ENGINE_SLAB_FIRST 24
#define ENGINE_SLAB_BYTES_MAX 512                 /* larger blocks come from malloc; their header is 0xffff, 0xff, type, count */
#define ENGINE_LARGE_HEADER 0xffffffu
#define ENGINE_CHUNK_ALIGN 16
#define ENGINE_DATA_END 1168000u                  /* behind the module's static data: the allocators' memory follows */
#define ENGINE_BLOCK_HEADER 8
#define ENGINE_OFF_SHAPE_HASHED 8                 /* u8: 1 when the shape is in the table of shared shapes */
#define ENGINE_TYPE_SHAPE 2                       /* low four bits of the type byte */

/* A reference count that the build never writes back (tools/engine-build). */
#define ENGINE_IMMORTAL 0x5a000000u
#define ENGINE_COUNT_SITES 480                    /* at least so many places count references */

/* NaN boxing on a 32-bit heap: tag in the upper half. */
#define ENGINE_TAG_FIRST (-9)
#define ENGINE_TAG_BIG_INT (-9)
#define ENGINE_TAG_SYMBOL (-8)
#define ENGINE_TAG_STRING (-7)
#define ENGINE_TAG_STRING_ROPE (-6)
#define ENGINE_TAG_OBJECT (-1)
#define ENGINE_TAG_INT 0
#define ENGINE_TAG_BOOL 1
#define ENGINE_TAG_NULL 2
#define ENGINE_TAG_UNDEFINED 3
#define ENGINE_TAG_UNINITIALIZED 4
#define ENGINE_TAG_EXCEPTION 6
#define ENGINE_TAG_SHORT_BIG_INT 7
#define ENGINE_TAG_FLOAT64 8

/* Class numbers (JS_GetClassID). */
enum engine_class {
    ENGINE_CLASS_OBJECT = 1, ENGINE_CLASS_ARRAY = 2, ENGINE_CLASS_ERROR = 3, ENGINE_CLASS_NUMBER = 4, ENGINE_CLASS_STRING = 5,
    ENGINE_CLASS_BOOLEAN = 6, ENGINE_CLASS_SYMBOL = 7, ENGINE_CLASS_ARGUMENTS = 8, ENGINE_CLASS_MAPPED_ARGUMENTS = 9,
    ENGINE_CLASS_DATE = 10, ENGINE_CLASS_REGEXP = 19, ENGINE_CLASS_ARRAY_BUFFER = 20, ENGINE_CLASS_DATA_VIEW = 34,
    ENGINE_CLASS_BIG_INT = 35, ENGINE_CLASS_MAP = 36, ENGINE_CLASS_SET = 37, ENGINE_CLASS_PROXY = 51
};

#define ENGINE_EVAL_GLOBAL 0
#define ENGINE_EVAL_MODULE 1
#define ENGINE_PROP_NORMAL 7                      /* configurable, writable, enumerable */

#endif
