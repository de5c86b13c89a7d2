/*
 * asset_rules — which file answers a path, as Cloudflare's static assets decide it. Pure: files are asked for by a
 * callback.
 *
 * Promise: a path leads to a file beneath the assets folder or nowhere; what html_handling, not_found_handling,
 * run_worker_first, _headers and _redirects say is what happens, in Cloudflare's order.
 */
#ifndef DORMOUSE_GATEWAY_ASSET_RULES_H
#define DORMOUSE_GATEWAY_ASSET_RULES_H

#include <jansson.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "src/gateway/gateway_limits.h"

enum html_handling { HTML_AUTO, HTML_FORCE_SLASH, HTML_DROP_SLASH, HTML_NONE };
enum not_found { NOT_FOUND_NONE, NOT_FOUND_SPA, NOT_FOUND_PAGE };

struct asset_headers_rule { /* one "set" of a pattern in _headers */
    char *pattern;
    char *name;  /* lower case */
    char *value; /* NULL: "! Name", take it away */
};
struct asset_redirect {
    char *from, *to;
    int status; /* 200: serve TO in place */
};

struct bmap;

struct asset_config {
    int dir_fd; /* -1: the app has no assets */
    char *dir;
    enum html_handling html;
    enum not_found not_found;
    bool worker_first; /* for every path */
    char **patterns;   /* run_worker_first as a list; a leading "!" excepts */
    size_t pattern_count;
    struct asset_headers_rule *header_rules;
    size_t header_rule_count;
    struct bmap *files; /* the relative paths of all files (asset_files.c) */
    struct asset_redirect *redirects;
    size_t redirect_count;
};

void asset_config_init(struct asset_config *config);
void asset_config_fini(struct asset_config *config);
/* O: the "assets" object of ROUTES, or NULL: none. Opens the folder and reads _headers and _redirects. */
MUST_USE bool asset_config_parse(struct asset_config *config, const json_t *o, struct err *err);
/* Texts of the two files; lines that are not understood are skipped, as Cloudflare does. */
void asset_headers_parse(struct asset_config *config, struct bytes text);
void asset_redirects_parse(struct asset_config *config, struct bytes text);

/* Who answers PATH (without query), run_worker_first says. A path that the list excepts (by a leading "!") is the
 * assets' alone. */
enum asset_order { ASSETS_FIRST, WORKER_FIRST, ASSETS_ONLY };
enum asset_order asset_order_of(const struct asset_config *config, struct bytes path);
/* PATTERN with "*" (any bytes) and ":name" (up to "/") against PATH. OUT, when not NULL, receives TO with :splat and
 * :name filled in. */
bool asset_pattern_match(const char *pattern, struct bytes path, const char *to, struct buf *out);

enum asset_verdict {
    ASSET_NONE,    /* no asset: the worker, or 404 */
    ASSET_FILE,    /* answer.file with answer.status */
    ASSET_REDIRECT /* answer.location with answer.status; the query is to be kept */
};
struct asset_answer {
    int status;
    char file[ASSET_PATH_BYTES_MAX + 16]; /* relative to the folder */
    struct buf location;                  /* of the caller: cleared here, freed there */
};
typedef bool asset_exists_fn(void *files, const char *file); /* is FILE (relative) a servable file? */

/* PATH is the request's path, percent-encoded, without query. with_not_found: apply not_found_handling too. */
enum asset_verdict asset_decide(const struct asset_config *config, struct bytes path, bool with_not_found,
                                asset_exists_fn *exists, void *files, struct asset_answer *answer);

/* Percent-decodes PATH into OUT (NUL-terminated). False: bad escape, NUL, too long, or a segment "." or ".." or with a
 * backslash. */
MUST_USE bool asset_path_decode(struct bytes path, char *out, size_t size);
/* Files that configure and are not served: _headers, _redirects, .assetsignore. */
bool asset_is_hidden(const char *file);

#endif
