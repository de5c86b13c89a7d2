/* The limits of what crosses between rooms, each with its reason. */
#ifndef DORMOUSE_IPC_LIMITS_H
#define DORMOUSE_IPC_LIMITS_H

#define IPC_VERSION 10u

#define CHUNK_MAX_BYTES        (64 * 1024)        /* one body chunk: large enough to amortise a copy, small enough to interleave */
#define STREAM_WINDOW_BYTES    (256 * 1024)       /* credit per body direction: four chunks in flight */
#define NAME_MAX_BYTES         256                /* app, class and listener names */
#define AGENT_NAME_MAX_BYTES   1024               /* surface spec 1.3: ctx.id.name is undefined beyond this */
#define TOKEN_MAX_BYTES        4096               /* methods, status texts, RPC method paths, protocols */
#define URL_MAX_BYTES          (32 * 1024)        /* longer request lines are answered 414 */
#define HEADERS_MAX_BYTES      (128 * 1024)       /* longer header sections are answered 431 */
#define META_MAX_BYTES         (64 * 1024)
#define TRACE_MAX_BYTES        256
#define TEXT_MAX_BYTES         8192               /* error sentences with a stack */
#define LOG_TEXT_MAX_BYTES     (16 * 1024)        /* a longer console line is cut */
#define JSON_MAX_BYTES         (1024 * 1024)      /* manifests with variables */
#define WS_TAGS_MAX_BYTES      (10 * (256 * 3 + 1))  /* surface spec 3.3: 10 tags × 256 characters, in UTF-8 */
#define WS_ATTACHMENT_MAX_BYTES 16384             /* surface spec 3.3 */
#define WS_AUTO_MAX_BYTES      2048               /* surface spec 3.3 */
#define WS_REASON_MAX_BYTES    123                /* RFC 6455 section 5.5: a control frame's payload less the code */
#define COMMIT_PART_MAX_BYTES  (1024 * 1024)      /* one part of a commit: 240 pages that do not compress */
#define FRAME_MAX_BYTES        (2 * 1024 * 1024)  /* above the largest message the table allows */
#define LINK_OUT_MAX_BYTES     (64 * 1024 * 1024) /* a peer that reads nothing: the link is closed, its room restarted */
#define FRAME_FDS_MAX          1                  /* descriptors with one message */
#define SLOT_NONE              0xffffu            /* REPLY.slot: the sender has no advice on where this URL's agent lives */

#endif
