/* http_internal — between http.c and http_answer.c only. */
#ifndef DORMOUSE_GATEWAY_HTTP_INTERNAL_H
#define DORMOUSE_GATEWAY_HTTP_INTERNAL_H

struct http;

/* What is packed leaves, then the connection ends. The http is freed. */
void http_end(struct http *http);
/* The connection ends at once. The http is freed. */
void http_abort(struct http *http);

#endif
