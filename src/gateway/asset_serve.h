/* asset_serve — an asset as the answer to a client's request; large files go out piece by piece, as the client takes
 * them. */
#ifndef DORMOUSE_GATEWAY_ASSET_SERVE_H
#define DORMOUSE_GATEWAY_ASSET_SERVE_H

#include "src/gateway/asset_files.h"
#include "src/gateway/http.h"

struct asset_stream;

/* True: R is answered (R may be gone). False: there is no such asset. PATH without query. */
bool asset_serve(struct request *r, const struct asset_config *config, const struct http_head *head, struct bytes path,
                 bool with_not_found);
/* The client took what was queued: the next piece. R may be gone afterwards. */
void asset_stream_continue(struct request *r);
void asset_stream_close(struct asset_stream **stream);

#endif
