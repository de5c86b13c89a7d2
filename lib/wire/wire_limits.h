/* The limits of the codecs, each with its reason. */
#ifndef DORMOUSE_WIRE_LIMITS_H
#define DORMOUSE_WIRE_LIMITS_H

#define HTTP_HOST_MAX_BYTES             255         /* a DNS name; longer ones can never be routed */
#define HTTP_TARGET_MAX_BYTES           (30 * 1024) /* with "http://HOST" in front it still fits a CALL's url */
#define HTTP_HEAD_MAX_BYTES             (120 * 1024) /* Cloudflare's 128 KB less room for the headers that the gateway adds */
#define HTTP_HEADER_LINES_MAX           1024         /* a scan is linear in lines; nobody honest sends more */
#define HTTP_CHUNK_EXTENSIONS_MAX_BYTES (16 * 1024) /* nobody uses them; an endless one would be an endless request */
#define HTTP_REASON_MAX_BYTES           256         /* a status text longer than this is cut, not refused */
#define WS_CONTROL_MAX_BYTES            125         /* RFC 6455 section 5.5 */

#endif
