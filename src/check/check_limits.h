/* The limits of checks, each with its reason. */
#ifndef DORMOUSE_CHECK_LIMITS_H
#define DORMOUSE_CHECK_LIMITS_H

#define CHECK_LINE_BYTES   8192            /* a question: three names */
#define CHECK_APPS_MAX     1024            /* links to the journal; a node has as many apps at most */
#define CHECK_PATH_BYTES   4096            /* PATH_MAX of Linux */
#define CHECK_ANSWER_MS    120000          /* a journal that says nothing for so long is stuck: it reads hundreds of MB at its start at most */
#define CHECK_REDO_BYTES_MAX (1ull << 30)  /* records of one agent: beyond what a journal keeps of all (KEPT_BYTES_MAX, 512 MiB) */

#endif
