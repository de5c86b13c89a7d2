/* backup_s3 — one request to an S3-compatible store, signed (Signature Version 4, by libcurl). For backup_bucket.c and its tests. */
#ifndef DORMOUSE_BACKUP_S3_H
#define DORMOUSE_BACKUP_S3_H

#include <curl/curl.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct s3_keys {
    char *id, *secret, *token;             /* owned; token: NULL or of a session */
};
/* From FILE's profile, or the usual variables AWS_ACCESS_KEY_ID …, or ~/.aws/credentials. FILE may be NULL. */
MUST_USE bool s3_keys_read(struct s3_keys *out_keys, const char *file, struct err *err);
void s3_keys_fini(struct s3_keys *keys);

struct s3_request {
    const char *method;                    /* GET, PUT, DELETE */
    const char *url;                       /* its query sorted and percent-encoded */
    const char *region, *service;          /* "s3" */
    struct bytes body;                     /* of PUT */
    const char *range;                     /* "bytes=0-9"; NULL */
    const char *date;                      /* "20130524T000000Z" instead of now; for tests */
    const char *connect_to;                /* "HOST:PORT:127.0.0.1:PORT"; for tests */
    uint64_t    bytes_max;                 /* of the answer */
    void      (*tick)(void *owner);
    void       *owner;
};
struct s3_answer {
    long       status;                     /* 0: none came */
    struct buf body;                       /* owned */
    bool       is_too_large;
    bool       is_broken;                  /* no whole answer came: may be tried again */
    char       why[CURL_ERROR_SIZE];       /* … and why */
};
/* One try. False: the request cannot be made at all. */
MUST_USE bool s3_ask(CURL *curl, const struct s3_keys *keys, const struct s3_request *request, struct s3_answer *out_answer, struct err *err);
void s3_answer_fini(struct s3_answer *answer);

/* Appends TEXT, percent-encoded as signatures want it; slashes stay where KEEP_SLASH. */
enum s3_slash { S3_KEEP_SLASH, S3_ENCODE_SLASH };
void s3_encode(struct buf *out, const char *text, enum s3_slash slash);

/* One page of a listing (ListObjectsV2): FN is told each object. *out_next: the token of the next page, owned; NULL: it was the last. */
MUST_USE bool s3_page_read(struct bytes xml, void (*fn)(void *owner, const char *key, uint64_t bytes), void *owner, char **out_next, struct err *err);
/* The text of the first element NAME in XML, its entities decoded; NULL: none. Owned by the caller. */
char *s3_element(struct bytes xml, const char *name);

#endif
