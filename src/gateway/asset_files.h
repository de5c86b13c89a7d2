/*
 * asset_files — the files of an assets folder, known by name, and one request's answer from them.
 *
 * Promise: the folder is read once, when the routes come (a deploy's folder never changes), so that a request for what
 * is not there costs no system call; a file is opened beneath the folder or not at all.
 */
#ifndef DORMOUSE_GATEWAY_ASSET_FILES_H
#define DORMOUSE_GATEWAY_ASSET_FILES_H

#include "src/gateway/asset_rules.h"

/* Fills config->files from config->dir_fd. ERR_LIMIT above ASSET_FILES_MAX files. */
MUST_USE bool asset_files_index(struct asset_config *config, struct err *err);
void asset_files_free(struct asset_config *config);

struct asset_request {
    struct bytes method;  /* GET or HEAD */
    struct bytes path;    /* percent-encoded, without query */
    struct bytes query;   /* with "?", or empty */
    struct bytes headers; /* flat */
    bool with_not_found;
};
struct asset_result {
    int status;
    struct buf headers; /* flat; the caller's to free */
    int fd;             /* -1: no body; the caller's to close */
    uint64_t at;        /* where in the file the body begins */
    uint64_t length;    /* of the body, also for HEAD */
};
/* False: there is no such asset; RESULT is then untouched. */
bool asset_find(const struct asset_config *config, const struct asset_request *request, struct asset_result *result);

#endif
