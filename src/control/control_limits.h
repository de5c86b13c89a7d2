/* The limits of the control room, each with its reason. */
#ifndef DORMOUSE_CONTROL_LIMITS_H
#define DORMOUSE_CONTROL_LIMITS_H

#define APP_NAME_MAX_BYTES     63                   /* a DNS label: NAME.localhost is the app's address */
#define HASH_BYTES_MAX         64                   /* a deploy's content hash in hex; the bundler writes 32 */
#define APPS_MAX               1000                 /* per node; each costs processes, not only memory */
#define APP_WORKERS_MAX        256                  /* more processes than any node has cores */
#define DEPLOYS_KEPT           3                    /* the one in use, the one before it, and one in reserve */

#define ADMIN_LINE_MAX_BYTES   (8u * 1024 * 1024)   /* a deploy of 20,000 assets lists them in one line */
#define CHUNK_READ_BYTES       (64u * 1024)         /* one read of the admin socket */
#define ADMIN_CONNECTIONS_MAX  64                   /* operators, not users */
#define ADMIN_UNSENT_MAX_BYTES (4u * 1024 * 1024)   /* a log reader that falls further behind loses lines, counted */
#define ADMIN_REQUESTS_MAX     1024                 /* questions to workers in flight */
#define CENSUS_MS              2000                 /* a room that is busy for longer is missing in `top` */
#define CENSUSES_MAX           16                   /* under way: several terminals and a scraper */
#define ADMIN_ANSWER_MS        30000                /* a worker that does not answer an operator is busy or gone */

#define DEPLOY_FILES_MAX       20003                /* 20,000 assets, as Cloudflare, and our three files */
#define DEPLOY_PATH_MAX_BYTES  1024
#define DEPLOY_PART_MAX_BYTES  255                  /* NAME_MAX of every Linux file system */
#define DEPLOY_FILE_MAX_BYTES  (100ull * 1024 * 1024)    /* js/build/assets.mjs has the same */
#define DEPLOY_BYTES_MAX       (2ull * 1024 * 1024 * 1024)
#define MANIFEST_MAX_BYTES     (900u * 1024)        /* it travels inside a CONF of JSON_MAX_BYTES, beside other fields */
#define BUILD_MS_MAX           60000                /* evaluating a bundle takes milliseconds; a loop in it, for ever */
#define TAKE_MS_MAX            30000                /* workers start and map the template */

#define TAKE_BUILT_MS_MAX      5000                 /* a template of an older engine cannot be taken at all: then it is built again */
#define TAKE_DEATHS_MAX        4                    /* of workers that start with a new template; the supervisor's back-off spaces them */
#define LISTEN_MS_MAX          5000                 /* the supervisor opens a socket in microseconds, or is ill */

#define LOG_LINES_MAX          20000                /* the ring for `logs` without a file behind it */
#define LOG_BYTES_MAX          (8u * 1024 * 1024)
#define LISTING_PAGE_MAX       1000                 /* agents per answer */
#define BIRTHS_MAX             4096                 /* waiting to be written: two megabytes of the longest names */
#define NAMES_FILE_MAX_BYTES   (64u * 1024 * 1024)  /* 1/256 of a class's names; beyond it names are not shown */

#endif
