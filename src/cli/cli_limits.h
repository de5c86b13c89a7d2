/* The limits of the command line, each with its reason. */
#ifndef DORMOUSE_CLI_LIMITS_H
#define DORMOUSE_CLI_LIMITS_H

#define CLI_PATH_BYTES         4096              /* PATH_MAX of Linux */
#define CLI_LIST_MAX           256               /* repetitions of one option */
#define SOCKET_PATH_BYTES_MAX  100               /* sun_path has 108; the rest is slack for a suffix */
#define BUNDLER_LINE_MAX_BYTES (4u * 1024 * 1024)/* one JSON line: an error list with frames */
#define ADMIN_LINE_MAX_BYTES   (64u * 1024 * 1024)   /* answers of our own control: a large SQL result */
#define FILES_LIST_MAX_BYTES   (16u * 1024 * 1024)   /* files.json of 20,000 assets */
#define SEND_CHUNK_BYTES       (256u * 1024)     /* of a file on its way to control */
#define LOG_TAIL_BYTES         (16u * 1024)      /* of the supervisor's own output, shown when it fails */
#define ADMIN_CONNECT_MS       10                /* between tries while the supervisor starts */
#define START_MS_MAX           30000             /* a supervisor that has no admin socket by then is broken */
#define DEV_STOP_MS            4000              /* then Ctrl-C in `dev` stops for patience */
#define BUNDLERS_AT_ONCE       2                 /* node and esbuild use several cores each */

#endif
