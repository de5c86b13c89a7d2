/* The limits of backups, each with its reason. */
#ifndef DORMOUSE_BACKUP_LIMITS_H
#define DORMOUSE_BACKUP_LIMITS_H

#define BACKUP_FORMAT        1
#define CHUNK_BYTES          (4u << 20)        /* of a file: what is copied again when one byte of it changed */
#define PACK_BYTES           (16u << 20)       /* one object of the store: few enough requests, and memory for two of them */
#define CHUNK_BYTES_MIN      512u              /* configured by tests only */
#define PACK_BYTES_MAX       (64u << 20)       /* a pack of a store is read into memory whole */
#define LIST_BYTES_MAX       (256u << 20)      /* of one folder of agents: 256 of them, 4,000 agents each, are a million */
#define MANIFEST_BYTES_MAX   (256u << 20)      /* a row of 120 bytes per pack: 30 TB */
#define BLOBS_MAX            100000            /* remembered to store equal chunks once: 12 MB */
#define PATH_BYTES           4096              /* PATH_MAX of Linux */
#define DEPTH_MAX            32                /* of folders; assets of a deploy are the deepest */
#define THIN_DIVISOR         4                 /* a pack of which less than a quarter is used is not used any more */
#define RACY_MS              2000              /* a file that changed so shortly before may change again under the same time stamp */
#define WAL_TRIES            5                 /* to copy a database while it is taken in with the -wal beside it */
#define DEPLOY_TRIES         5                 /* to find the deploys that control.json names, while deploys go on */
#define CHECKPOINT_MS        (60 * 1000)       /* an interrupted backup loses at most so much work */
#define HOLD_TOUCH_MS        (60 * 1000)       /* the journal forgets a hold after 10 minutes */
#define HOLD_LOST_MS         (9 * 60 * 1000)   /* we stood still for longer: the hold may be gone */
#define BUSY_MS              (15 * 60 * 1000)  /* another machine's backup that has said nothing for so long is dead */
#define PROGRESS_MS          250               /* between two reports of progress */
#define ADMIN_LINE_BYTES     (64u << 10)       /* control's answer to our one question */
#define ADMIN_WAIT_MS        60000             /* longer than control waits for the journal */
#define PACKS_CACHED         2                 /* while reading: a list's and its files' */
#define JOB_BYTES_MAX        (64u << 10)

#define S3_TRIES             8                 /* 0.5 s, doubled: a store may be away for a minute */
#define S3_RETRY_MS          500
#define S3_RETRY_MS_MAX      20000
#define S3_CONNECT_MS        15000
#define S3_SILENCE_S         60                /* without a byte either way */
#define S3_ERROR_BYTES_MAX   (64u << 10)       /* of an error's XML */
#define S3_LIST_BYTES_MAX    (8u << 20)        /* one page of 1,000 names */
#define S3_KEY_BYTES_MAX     1024              /* S3's own */
#define CREDENTIALS_BYTES_MAX (64u << 10)

#endif
