/*
 * egress_redirect — what the next request is when a response redirects (Fetch standard, "HTTP-redirect fetch"). Pure.
 */
#ifndef DORMOUSE_EGRESS_REDIRECT_H
#define DORMOUSE_EGRESS_REDIRECT_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/url.h"

enum redirect_mode { REDIRECT_MANUAL, REDIRECT_FOLLOW, REDIRECT_ERROR };

/* The caller's wish in META (JSON, "" for none): {"redirect": "manual"|"follow"|"error"}; manual when it says nothing. */
MUST_USE bool redirect_mode_parse(enum redirect_mode *out_mode, struct bytes meta, struct err *err);

bool redirect_is_status(int status);

struct redirect_request {          /* what a hop changes */
    struct url url;
    struct buf method;
    struct buf headers;            /* a blob */
    bool keeps_body;
};
/* Changes REQUEST for a response with STATUS and LOCATION. False with err: it leads nowhere that may be followed. */
MUST_USE bool redirect_follow(struct redirect_request *request, int status, struct bytes location, struct err *err);

#endif
