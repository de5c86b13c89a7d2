/*
 * supervisor_listen — listening sockets, opened here and handed to rooms, so that a restart refuses no connection.
 */
#ifndef DORMOUSE_SUPERVISOR_LISTEN_H
#define DORMOUSE_SUPERVISOR_LISTEN_H

#include "lib/base/err.h"

#define LISTEN_ADDRESS_MAX 128         /* "[…]:65535", or what a Unix socket's path may be */

/* "127.0.0.1:8787", "[::1]:8787", "localhost:8787", "*:8787". Port 0: any; OUT_ADDRESS gets the one it became.
 * An address in use is ERR_EXISTS with a sentence that helps. */
MUST_USE bool listen_tcp(const char *address, int *out_fd, char out_address[LISTEN_ADDRESS_MAX], struct err *err);

/* A Unix socket of mode 0600 at PATH. A dead one is replaced; a living one is ERR_EXISTS. */
MUST_USE bool listen_unix(const char *path, int *out_fd, struct err *err);

#endif
