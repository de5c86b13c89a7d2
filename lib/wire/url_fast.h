/* url_fast — the one-pass recogniser of canonical URLs; see url_fast.c. Not for others. */
#ifndef DORMOUSE_WIRE_URL_FAST_H
#define DORMOUSE_WIRE_URL_FAST_H

#include "lib/wire/url.h"

/* True: *out_url is IN, taken apart. False: not recognised, nothing changed; the slow parser decides. */
bool url_parse_fast(struct url *out_url, struct bytes in);
/* The slow parser alone, for the fuzzer that compares the two. */
bool url_parse_slow(struct url *out_url, struct bytes in, const struct url *base);

#endif
