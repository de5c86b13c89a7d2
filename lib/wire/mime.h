/* mime — the media type of a file by its name's extension, as Cloudflare's static assets have it. */
#ifndef DORMOUSE_WIRE_MIME_H
#define DORMOUSE_WIRE_MIME_H

#include "lib/base/bytes.h"

/* PATH's extension decides, without regard to case. NULL when unknown. With charset where it is text. Static. */
const char *mime_of(struct bytes path);

#endif
