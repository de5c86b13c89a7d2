/* url_internal — what the files of the URL parser share. Not for others. */
#ifndef DORMOUSE_WIRE_URL_INTERNAL_H
#define DORMOUSE_WIRE_URL_INTERNAL_H

#include "lib/wire/url.h"

/* Percent-encode sets (section 1.3). Each bit of a byte's entry says whether that set encodes it. */
enum percent_set {
    SET_C0 = 1, SET_FRAGMENT = 2, SET_QUERY = 4, SET_SPECIAL_QUERY = 8, SET_PATH = 16, SET_USERINFO = 32, SET_FORM = 64
};
bool percent_must_encode(uint8_t c, enum percent_set set);
void percent_encode(struct buf *out, struct bytes in, enum percent_set set);
void percent_decode(struct buf *out, struct bytes in);
int  hex_digit(uint8_t c); /* 0…15 or -1 */

enum url_scheme { SCHEME_OTHER, SCHEME_HTTP, SCHEME_HTTPS, SCHEME_WS, SCHEME_WSS, SCHEME_FTP, SCHEME_FILE };

/* A URL taken apart: the URL record of the standard. */
struct url_record {
    enum url_scheme kind;
    bool has_host;             /* host is not null */
    bool has_opaque_path;
    bool has_query;
    bool has_fragment;
    int32_t port;              /* -1: null */
    struct buf scheme;         /* without ":" */
    struct buf username;
    struct buf password;
    struct buf host;           /* serialised */
    struct buf path;           /* serialised: "/" before each segment, or the opaque path */
    struct buf query;          /* without "?" */
    struct buf fragment;       /* without "#" */
};

void record_fini(struct url_record *record);
void record_from_url(struct url_record *record, const struct url *url);
/* The URL serializer; fills all offsets. */
void record_to_url(const struct url_record *record, struct url *out_url);

enum url_scheme scheme_kind(struct bytes scheme);
static inline bool scheme_is_special(enum url_scheme kind) { return kind != SCHEME_OTHER; }
int32_t scheme_default_port(enum url_scheme kind); /* -1: none */

/* Input without tabs and newlines, which the parser drops everywhere. Uses SCRATCH when there are any. */
struct bytes without_tab_newline(struct bytes in, struct buf *scratch);
bool is_windows_drive(struct bytes text);          /* "C:" or "C|" */

/* The parser's states that the setters enter at. */
enum path_mode { PATH_WHOLE, PATH_OVERRIDE };      /* OVERRIDE: "?" and "#" do not end it */
size_t parse_path(struct url_record *record, struct bytes in, enum path_mode mode); /* returns what it consumed */
void parse_query(struct url_record *record, struct bytes in);
void parse_fragment(struct url_record *record, struct bytes in);
bool parse_port_digits(struct url_record *record, struct bytes digits); /* non-empty; false and unchanged above 65535 */
bool is_host_end(const struct url_record *record, uint8_t c);

/* The host parser (section 3.5): REPLACES what out holds. False: invalid; out is then unspecified. */
MUST_USE bool host_parse(struct buf *out, struct bytes in, bool is_opaque);

#endif
