/*
 * image — a heap as bytes: what differs from its template, small enough to keep thousands of them (decision 008).
 *
 * Promise: a heap made of an image goes on where the imaged one stood. An image that is damaged in any way, or that belongs to another
 * engine, template or commit, is refused with its reason; nothing of it is then in any heap.
 * Not here: what an agent has outside of its heap (calls, timers, sockets); the caller keeps that, or puts it into `about`.
 */
#ifndef DORMOUSE_WORKER_IMAGE_H
#define DORMOUSE_WORKER_IMAGE_H

#include "lib/base/bytes.h"
#include "lib/base/macros.h"

struct heap;
struct template;

enum image_refusal {
    IMAGE_FINE,
    IMAGE_CUT,                         /* shorter than it says */
    IMAGE_FORMAT,                      /* not an image, or of another version of the format */
    IMAGE_DAMAGED,                     /* the checksum or the contents are wrong */
    IMAGE_ENGINE,                      /* of another engine or runtime library */
    IMAGE_TEMPLATE,                    /* of another deployment */
    IMAGE_KIN,                         /* the image that it refers to is another or gone */
    IMAGE_COMMIT,                      /* its agent has committed since, or that commit was lost */
    IMAGE_SIZE,                        /* the heap is larger than this agent's may be */
    IMAGE_MEMORY,                      /* no address space */
    IMAGE_REFUSALS
};

struct image_label {
    uint64_t     commit;               /* the agent's commit number that the heap has seen */
    unsigned     kin;                  /* the number of the heap's class, up to IMAGE_KIN_MAX: heaps of one class have much in common, and an
                                        * image says only how it differs from one of its kin in this process. 0: the image stands alone */
    struct bytes about;                /* the caller's, up to IMAGE_ABOUT_BYTES_MAX */
};

/* Appends HEAP (not entered, with a template) to OUT. False: it is larger than IMAGE_BYTES_MAX, or its template cannot be read; OUT is
 * then as it was. Freed memory of the heap is overwritten; its program goes on as before. */
MUST_USE bool image_take(struct heap *heap, const struct image_label *label, struct buf *out);

/* Makes *out_heap, a heap of TEMPLATE with at most BYTES_MAX of memory, of IMAGE. COMMIT is what the image must have seen.
 * *out_about points into IMAGE. Anything but IMAGE_FINE: there is no heap. */
MUST_USE enum image_refusal image_apply(struct bytes image, struct template *template, uint32_t bytes_max, uint64_t commit,
                                        struct heap **out_heap, struct bytes *out_about);

/* What image_apply() would say of IMAGE's head: damage of the pages it does not see, nor a lack of address space. */
MUST_USE enum image_refusal image_check(struct bytes image, const struct template *template, uint32_t bytes_max, uint64_t commit);

/* Appends to OUT what IMAGE says in the form that stands alone, for outliving this process, under LABEL. False: IMAGE is refused. */
MUST_USE bool image_alone(struct bytes image, struct template *template, const struct image_label *label, struct buf *out);

/* Whether IMAGE, which may be anything, refers to no other. */
bool image_is_alone(struct bytes image);

/* For people and metrics: "another template". */
const char *image_refusal_text(enum image_refusal refusal);

#endif
