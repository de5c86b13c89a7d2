/*
 * cli_upload — one deploy folder on its way to control, over an open client.
 *
 * Promise: what control says it lacks is sent, in its order, straight from the files; nothing is read into memory as a whole.
 */
#ifndef DORMOUSE_CLI_UPLOAD_H
#define DORMOUSE_CLI_UPLOAD_H

#include <jansson.h>

#include "lib/base/err.h"
#include "src/cli/cli_client.h"

struct upload;

struct upload_options {
    long        workers;           /* 0: control decides */
    const char *listen;            /* the app's own address, or NULL */
    bool        is_default;
};

/* Reads DIR/manifest.json and DIR/files.json and asks. DONE is told once, with control's answer (ok true or false), or NULL and
 * err when a file could not be read. The upload is gone afterwards. */
MUST_USE bool upload_start(struct upload **out_upload, struct client *client, const char *dir, const struct upload_options *options,
                           void (*done)(void *owner, const json_t *answer, const struct err *err), void *owner, struct err *err);
/* Feed it every message of the client; true when it was for this upload. */
bool upload_message(struct upload *upload, const json_t *message);
void upload_destroy(struct upload **upload);       /* without telling DONE */

#endif
