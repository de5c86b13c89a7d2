/* asset_rules — see the header. The tables below are Cloudflare's html_handling, one row per attempt. */
#include "src/gateway/asset_rules.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- html_handling ----------------------------------------------------------------------------------------------- */
enum attempt_kind { ATTEMPT_END, SERVE, REDIRECT };
/* The path less file_cut bytes plus file_add is the file; a redirect leads to the path less to_cut bytes plus to_add,
 * provided that this address would serve the same file. */
struct attempt {
    enum attempt_kind kind;
    unsigned file_cut;
    const char *file_add;
    unsigned to_cut;
    const char *to_add;
};
enum path_class { PATH_INDEX, PATH_INDEX_HTML, PATH_SLASH, PATH_HTML, PATH_OTHER, PATH_CLASSES };
#define ATTEMPTS_MAX 4

static const struct attempt attempts[3][PATH_CLASSES][ATTEMPTS_MAX] = {
    [HTML_AUTO] = {
        [PATH_INDEX] = { { SERVE, 0, "" }, { REDIRECT, 0, ".html", 5, "" }, { REDIRECT, 6, ".html", 6, "" } },
        [PATH_INDEX_HTML] = { { REDIRECT, 0, "", 10, "" }, { REDIRECT, 11, ".html", 11, "" } },
        [PATH_SLASH] = { { SERVE, 0, "index.html" }, { REDIRECT, 1, ".html", 1, "" } },
        [PATH_HTML] = { { REDIRECT, 0, "", 5, "" }, { REDIRECT, 5, "/index.html", 5, "/" } },
        [PATH_OTHER] = { { SERVE, 0, "" }, { SERVE, 0, ".html" }, { REDIRECT, 0, "/index.html", 0, "/" } },
    },
    [HTML_FORCE_SLASH] = {
        [PATH_INDEX] = { { SERVE, 0, "" }, { REDIRECT, 0, ".html", 5, "" }, { REDIRECT, 6, ".html", 5, "" } },
        [PATH_INDEX_HTML] = { { REDIRECT, 0, "", 10, "" }, { REDIRECT, 11, ".html", 10, "" } },
        [PATH_SLASH] = { { SERVE, 0, "index.html" }, { SERVE, 1, ".html" } },
        [PATH_HTML] = { { REDIRECT, 0, "", 5, "/" }, { SERVE, 0, "" }, { REDIRECT, 5, "/index.html", 5, "/" } },
        [PATH_OTHER] = { { SERVE, 0, "" }, { REDIRECT, 0, ".html", 0, "/" }, { REDIRECT, 0, "/index.html", 0, "/" } },
    },
    [HTML_DROP_SLASH] = {
        [PATH_INDEX] = { { SERVE, 0, "" }, { REDIRECT, 6, ".html", 6, "" }, { REDIRECT, 0, ".html", 6, "" } },
        [PATH_INDEX_HTML] = { { REDIRECT, 0, "", 11, "" }, { SERVE, 0, "" }, { REDIRECT, 11, ".html", 11, "" } },
        [PATH_SLASH] = { { REDIRECT, 1, ".html", 1, "" }, { REDIRECT, 0, "index.html", 1, "" } },
        [PATH_HTML] = { { REDIRECT, 0, "", 5, "" }, { SERVE, 0, "" }, { REDIRECT, 5, "/index.html", 5, "" } },
        [PATH_OTHER] = { { SERVE, 0, "" }, { SERVE, 0, ".html" }, { SERVE, 0, "/index.html" } },
    },
};

struct lookup {
    const struct asset_config *config;
    asset_exists_fn *exists;
    void *files;
};

static bool
ends_with(const char *path, size_t len, const char *tail)
{
    size_t n = strlen(tail);

    return len >= n && memcmp(path + len - n, tail, n) == 0;
}

static enum path_class
classify(const char *path)
{
    size_t len = strlen(path);

    if (ends_with(path, len, "/index"))
        return PATH_INDEX;
    if (ends_with(path, len, "/index.html"))
        return PATH_INDEX_HTML;
    if (ends_with(path, len, "/"))
        return PATH_SLASH;
    return ends_with(path, len, ".html") ? PATH_HTML : PATH_OTHER;
}

bool
asset_is_hidden(const char *file)
{
    return strcmp(file, "_headers") == 0 || strcmp(file, "_redirects") == 0 || strcmp(file, ".assetsignore") == 0;
}

static bool
segment_is_plain(const char *from, const char *to)
{
    size_t n = (size_t)(to - from);

    return !(n == 1 && from[0] == '.') && !(n == 2 && from[0] == '.' && from[1] == '.') &&
           memchr(from, '\\', n) == NULL;
}

/* No empty segment, none that is "." or "..": adding and cutting ".html" can make what was not in the request. */
static bool
path_is_plain(const char *path)
{
    for (const char *from = path + 1;; from++) {
        const char *to = strchrnul(from, '/');
        if (to == from || !segment_is_plain(from, to))
            return false;
        if (*to == 0)
            return true;
        from = to;
    }
}

static bool
file_exists(const struct lookup *l, const char *path)
{
    assert(path[0] == '/');
    if (!path_is_plain(path) || asset_is_hidden(path + 1))
        return false;
    return l->exists(l->files, path + 1);
}

static bool
compose(char *out, size_t size, const char *path, unsigned cut, const char *add)
{
    size_t len = strlen(path);
    int n;

    if (len < cut)
        return false;
    n = snprintf(out, size, "%.*s%s", (int)(len - cut), path, add);
    if (n == 0)
        n = snprintf(out, size, "/");
    return n > 0 && (size_t)n < size && out[0] == '/';
}

/* The file that PATH serves without any redirect. */
static bool
served_file(const struct lookup *l, const char *path, char *out, size_t size)
{
    enum path_class class = classify(path);

    if (strcmp(path, "/") == 0 && compose(out, size, path, 0, "index.html") && file_exists(l, out))
        return true;
    for (int round = 0; round < 2; round++) {
        const struct attempt *a = attempts[l->config->html][round == 0 ? class : PATH_OTHER];
        for (int i = 0; i < ATTEMPTS_MAX && a[i].kind != ATTEMPT_END; i++)
            if (a[i].kind == SERVE && compose(out, size, path, a[i].file_cut, a[i].file_add) && file_exists(l, out))
                return true;
        if (class == PATH_OTHER)
            return false;
    }
    return false;
}

/* A redirect is only worth it when the other address serves the very file. */
static bool
redirect_fits(const struct lookup *l, const char *file, const char *to)
{
    char served[ASSET_PATH_BYTES_MAX + 16];

    return file_exists(l, file) && !file_exists(l, to) && served_file(l, to, served, sizeof served) &&
           strcmp(served, file) == 0;
}

/* RFC 3986 pchar and "/" stay. */
static void
path_encode(struct buf *out, const char *path)
{
    for (; *path != 0; path++) {
        uint8_t c = (uint8_t)*path;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~!$&'()*+,;=:@/", c) != NULL;
        if (plain) {
            buf_append_byte(out, c);
        } else {
            buf_append_byte(out, '%');
            buf_append_byte(out, (uint8_t) "0123456789ABCDEF"[c >> 4]);
            buf_append_byte(out, (uint8_t) "0123456789ABCDEF"[c & 15]);
        }
    }
}

static enum asset_verdict
try_class(const struct lookup *l, enum path_class class, const char *path, struct asset_answer *answer)
{
    char file[ASSET_PATH_BYTES_MAX + 16], to[ASSET_PATH_BYTES_MAX + 16];
    const struct attempt *a = attempts[l->config->html][class];

    for (int i = 0; i < ATTEMPTS_MAX && a[i].kind != ATTEMPT_END; i++) {
        if (!compose(file, sizeof file, path, a[i].file_cut, a[i].file_add))
            continue;
        if (a[i].kind == SERVE && file_exists(l, file)) {
            memcpy(answer->file, file + 1, strlen(file));
            answer->status = 200;
            return ASSET_FILE;
        }
        if (a[i].kind == REDIRECT && compose(to, sizeof to, path, a[i].to_cut, a[i].to_add) &&
            redirect_fits(l, file, to)) {
            path_encode(&answer->location, to);
            answer->status = 307;
            return ASSET_REDIRECT;
        }
    }
    return ASSET_NONE;
}

static enum asset_verdict
not_found(const struct lookup *l, char *path, struct asset_answer *answer)
{
    char file[ASSET_PATH_BYTES_MAX + 16];

    if (l->config->not_found == NOT_FOUND_SPA && file_exists(l, "/index.html")) {
        memcpy(answer->file, "index.html", 11);
        answer->status = 200;
        return ASSET_FILE;
    }
    while (l->config->not_found == NOT_FOUND_PAGE) {
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            break;
        *slash = 0;
        if (compose(file, sizeof file, path, 0, "/404.html") && file_exists(l, file)) {
            memcpy(answer->file, file + 1, strlen(file));
            answer->status = 404;
            return ASSET_FILE;
        }
    }
    return ASSET_NONE;
}

/* _redirects: the first line that matches. Status 200 goes on with another path. */
static enum asset_verdict
redirects_apply(const struct asset_config *config, struct bytes path, char *decoded, size_t size,
                struct asset_answer *answer)
{
    for (size_t i = 0; i < config->redirect_count; i++) {
        const struct asset_redirect *r = &config->redirects[i];
        buf_clear(&answer->location);
        if (!asset_pattern_match(r->from, path, r->to, &answer->location))
            continue;
        while (answer->location.len > 1 && answer->location.data[0] == '/' && answer->location.data[1] == '/')
            buf_consume(&answer->location, 1); /* "//host" would lead away */
        if (r->status != 200) {
            answer->status = r->status;
            return ASSET_REDIRECT;
        }
        if (!asset_path_decode(buf_view(&answer->location), decoded, size))
            decoded[0] = 0;
        buf_clear(&answer->location);
        return ASSET_NONE;
    }
    buf_clear(&answer->location);
    return ASSET_NONE;
}

enum asset_verdict
asset_decide(const struct asset_config *config, struct bytes path, bool with_not_found, asset_exists_fn *exists,
             void *files, struct asset_answer *answer)
{
    char decoded[ASSET_PATH_BYTES_MAX];
    struct lookup l = { config, exists, files };
    enum asset_verdict verdict;
    enum path_class class;

    buf_clear(&answer->location);
    if (!asset_path_decode(path, decoded, sizeof decoded))
        return ASSET_NONE;
    verdict = redirects_apply(config, path, decoded, sizeof decoded, answer);
    if (verdict != ASSET_NONE || decoded[0] == 0)
        return verdict;
    if (config->html == HTML_NONE) {
        if (file_exists(&l, decoded)) {
            memcpy(answer->file, decoded + 1, strlen(decoded));
            answer->status = 200;
            return ASSET_FILE;
        }
        return with_not_found ? not_found(&l, decoded, answer) : ASSET_NONE;
    }
    if (strcmp(decoded, "/") == 0 && file_exists(&l, "/index.html")) {
        memcpy(answer->file, "index.html", 11);
        answer->status = 200;
        return ASSET_FILE;
    }
    class = classify(decoded);
    verdict = try_class(&l, class, decoded, answer);
    if (verdict == ASSET_NONE && class != PATH_OTHER)
        verdict = try_class(&l, PATH_OTHER, decoded, answer);
    if (verdict == ASSET_NONE && with_not_found)
        verdict = not_found(&l, decoded, answer);
    return verdict;
}

/* ---- paths and patterns ------------------------------------------------------------------------------------------ */
static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
asset_path_decode(struct bytes path, char *out, size_t size)
{
    size_t n = 0, segment = 1;

    if (path.len == 0 || path.data[0] != '/')
        return false;
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.data[i];
        if (c == '%') {
            int high = i + 2 < path.len ? hex_digit(path.data[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(path.data[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
            if (c == '/')
                return false; /* an encoded slash is part of a name, and no file has such a name */
        }
        if (c == 0 || n + 1 >= size)
            return false;
        if (c == '/' && n > 0 && out[n - 1] == '/')
            continue;
        if (c == '/' && n > 0) {
            if (!segment_is_plain(out + segment, out + n))
                return false;
            segment = n + 1;
        }
        out[n++] = (char)c;
    }
    out[n] = 0;
    return segment_is_plain(out + segment, out + n);
}

#define CAPTURES_MAX 8
struct capture {
    const char *name; /* behind the ":", or "splat" */
    size_t name_len;
    struct bytes value;
};
struct captures {
    struct capture list[CAPTURES_MAX];
    size_t count;
};

static void
capture_set(struct captures *c, size_t index, const char *name, size_t name_len, struct bytes value)
{
    if (index >= CAPTURES_MAX)
        return;
    c->list[index] = (struct capture){ name, name_len, value };
}

static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The star under way: it takes path[from, to) so far; what follows it in the pattern must match from there. */
struct star {
    const char *after; /* NULL: none yet */
    size_t from, to, index;
};

static void
star_keep(const struct star *star, struct bytes path, struct captures *found)
{
    if (star->after != NULL)
        capture_set(found, star->index, "splat", 5, bytes_from(path.data + star->from, star->to - star->from));
}

/* Only the last star ever has to take more, as in all globs. */
static bool
match(const char *pattern, struct bytes path, struct captures *found)
{
    struct star star = { 0 };
    const char *p = pattern;
    size_t i = 0, count = 0;

    while (*p != 0 || i < path.len) {
        if (*p == '*') {
            star_keep(&star, path, found);
            star = (struct star){ ++p, i, i, count++ };
            continue;
        }
        if (*p == ':' && is_word(p[1]) && i < path.len && path.data[i] != '/') {
            const char *name = ++p;
            size_t from = i;
            while (i < path.len && path.data[i] != '/')
                i++;
            while (is_word(*p))
                p++;
            capture_set(found, count++, name, (size_t)(p - name), bytes_from(path.data + from, i - from));
            continue;
        }
        if (*p != 0 && i < path.len && (uint8_t)*p == path.data[i]) {
            p++;
            i++;
            continue;
        }
        if (star.after == NULL || star.to >= path.len)
            return false;
        i = ++star.to;
        p = star.after;
        count = star.index + 1;
    }
    star_keep(&star, path, found);
    found->count = count < CAPTURES_MAX ? count : CAPTURES_MAX;
    return true;
}

/* False: too long. */
static bool
fill_in(const struct captures *found, const char *to, struct buf *out)
{
    while (*to != 0 && out->len <= ASSET_LOCATION_BYTES_MAX) {
        size_t n = 0, k;
        if (*to != ':' || !is_word(to[1])) {
            buf_append_byte(out, (uint8_t)*to++);
            continue;
        }
        while (is_word(to[1 + n]))
            n++;
        for (k = 0; k < found->count; k++)
            if (found->list[k].name_len == n && memcmp(found->list[k].name, to + 1, n) == 0)
                break;
        if (k < found->count)
            buf_append_bytes(out, found->list[k].value);
        else
            buf_append(out, to, n + 1);
        to += n + 1;
    }
    return out->len <= ASSET_LOCATION_BYTES_MAX;
}

bool
asset_pattern_match(const char *pattern, struct bytes path, const char *to, struct buf *out)
{
    struct captures found = { 0 };

    if (!match(pattern, path, &found))
        return false;
    return out == NULL || fill_in(&found, to, out);
}

enum asset_order
asset_order_of(const struct asset_config *config, struct bytes path)
{
    enum asset_order order = config->worker_first ? WORKER_FIRST : ASSETS_FIRST;

    for (size_t i = 0; i < config->pattern_count; i++) {
        const char *pattern = config->patterns[i];
        if (pattern[0] == '!' && asset_pattern_match(pattern + 1, path, NULL, NULL))
            return ASSETS_ONLY;
        if (pattern[0] != '!' && asset_pattern_match(pattern, path, NULL, NULL))
            order = WORKER_FIRST;
    }
    return order;
}
