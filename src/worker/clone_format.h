/* clone_format — the tags of V8's serialization format, version 15 (v8/src/objects/value-serializer.cc). */
#ifndef DORMOUSE_WORKER_CLONE_FORMAT_H
#define DORMOUSE_WORKER_CLONE_FORMAT_H

#define CLONE_VERSION 15
#define CLONE_DEPTH_MAX 2000           /* nesting; beyond it a RangeError, as V8's own stack check gives */

enum clone_tag {
    TAG_VERSION = 0xff, TAG_PADDING = 0, TAG_HOLE = '-', TAG_UNDEFINED = '_', TAG_NULL = '0', TAG_TRUE = 'T', TAG_FALSE = 'F',
    TAG_INT32 = 'I', TAG_UINT32 = 'U', TAG_DOUBLE = 'N', TAG_BIGINT = 'Z', TAG_UTF8 = 'S', TAG_ONE_BYTE = '"', TAG_TWO_BYTE = 'c',
    TAG_REFERENCE = '^', TAG_OBJECT = 'o', TAG_OBJECT_END = '{', TAG_SPARSE = 'a', TAG_SPARSE_END = '@', TAG_DENSE = 'A',
    TAG_DENSE_END = '$', TAG_DATE = 'D', TAG_TRUE_OBJECT = 'y', TAG_FALSE_OBJECT = 'x', TAG_NUMBER_OBJECT = 'n',
    TAG_BIGINT_OBJECT = 'z', TAG_STRING_OBJECT = 's', TAG_REGEXP = 'R', TAG_MAP = ';', TAG_MAP_END = ':', TAG_SET = '\'',
    TAG_SET_END = ',', TAG_ARRAY_BUFFER = 'B', TAG_RESIZABLE_BUFFER = '~', TAG_VIEW = 'V', TAG_ERROR = 'r', TAG_HOST = '\\',
};

/* Behind TAG_HOST workerd puts a number of its own (worker-interface.capnp, SerializationTag). Errors go this way since
 * compatibility date 2026-04-21: V8's own TAG_ERROR, which is still read, drops their other properties. */
enum { HOST_DOM_EXCEPTION = 8, HOST_ERROR = 10 };
/* The class of a HOST_ERROR by number; "" stands for a name that follows, or for a class that does not exist here. */
#define CLONE_ERROR_NAMES                                                                                              \
    { "", "Error", "TypeError", "RangeError", "ReferenceError", "SyntaxError", "", "", "", "", "EvalError", "URIError", \
      "AggregateError" }

enum { ERROR_EVAL = 'E', ERROR_RANGE = 'R', ERROR_REFERENCE = 'F', ERROR_SYNTAX = 'S', ERROR_TYPE = 'T', ERROR_URI = 'U',
       ERROR_MESSAGE = 'm', ERROR_CAUSE = 'c', ERROR_STACK = 's', ERROR_END = '.' };

/* View subtags in the order of the engine's typed array kinds (Uint8Clamped 0, Int8 1, … Float64 11), then DataView. */
#define CLONE_VIEW_TAGS "CbBwWdDqQhfF"
#define CLONE_VIEW_DATA_VIEW '?'

#endif
