/*
 * clone — structured clone in V8's serialization format, version 15 (what node's v8.serialize and workerd's KV values are).
 *
 * Promise: what is written here, V8 reads, and the other way; damaged or hostile bytes give an exception, never more.
 * No recursion on outside data: a depth limit gives a RangeError.
 */
#ifndef DORMOUSE_WORKER_CLONE_H
#define DORMOUSE_WORKER_CLONE_H

#include "src/worker/guest.h"

enum clone_for {
    CLONE_STORAGE,                     /* class instances become plain objects, as structuredClone does */
    CLONE_RPC,                         /* class instances are refused (surface spec 1.8) */
};

/* The bytes of VALUE, in scratch memory. False: a DataCloneError (or what a getter threw) is pending. */
MUST_USE bool clone_write(jsval value, enum clone_for use, struct bytes *out);
/* A fresh value, or JSV_EXCEPTION. */
jsval clone_read(struct bytes data);

#endif
