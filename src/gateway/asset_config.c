/* asset_config — the "assets" object of ROUTES, and the files _headers and _redirects of its folder. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "lib/wire/http_reader.h"
#include "lib/wire/http_writer.h"
#include "src/gateway/asset_files.h"

void
asset_config_init(struct asset_config *c)
{
    memset(c, 0, sizeof *c);
    c->dir_fd = -1;
}

void
asset_config_fini(struct asset_config *c)
{
    (void)sys_close(c->dir_fd);
    asset_files_free(c);
    free(c->dir);
    for (size_t i = 0; i < c->pattern_count; i++)
        free(c->patterns[i]);
    free(c->patterns);
    for (size_t i = 0; i < c->header_rule_count; i++) {
        free(c->header_rules[i].pattern);
        free(c->header_rules[i].name);
        free(c->header_rules[i].value);
    }
    free(c->header_rules);
    for (size_t i = 0; i < c->redirect_count; i++) {
        free(c->redirects[i].from);
        free(c->redirects[i].to);
    }
    free(c->redirects);
    asset_config_init(c);
}

/* ---- the JSON ---------------------------------------------------------------------------------------------------- */
/* FIELD is one of NAMES; its index. Absent: 0. -1: something else. */
static int
choice(const json_t *o, const char *field, const char *const *names)
{
    const char *text = json_string_value(json_object_get(o, field));

    if (json_object_get(o, field) == NULL || json_is_null(json_object_get(o, field)))
        return 0;
    for (int i = 0; text != NULL && names[i] != NULL; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return -1;
}

static bool
worker_first_parse(struct asset_config *c, const json_t *first, struct err *err)
{
    const json_t *item;
    size_t i;

    c->worker_first = json_is_true(first);
    if (first == NULL || json_is_boolean(first) || json_is_null(first))
        return true;
    if (!json_is_array(first) || json_array_size(first) > PATTERNS_MAX)
        return err_set(err, ERR_MALFORMED, 0, "'run_worker_first' must be a boolean or at most %d patterns",
                       PATTERNS_MAX);
    c->patterns = calloc(json_array_size(first) + 1, sizeof *c->patterns);
    assert(c->patterns != NULL);
    json_array_foreach(first, i, item)
    {
        if (!json_is_string(item))
            return err_set(err, ERR_MALFORMED, 0, "'run_worker_first' must hold patterns");
        c->patterns[c->pattern_count++] = bytes_dup(bytes_of(json_string_value(item)));
    }
    return true;
}

static bool
rules_file_read(const struct asset_config *c, const char *name, struct buf *out)
{
    uint8_t piece[4096];
    ssize_t n;
    int fd = sys_open_beneath(c->dir_fd, name, O_RDONLY, 0);

    if (fd < 0)
        return false;
    while ((n = sys_read(fd, piece, sizeof piece)) > 0 && out->len < ASSET_RULES_BYTES_MAX)
        buf_append(out, piece, (size_t)n);
    (void)sys_close(fd);
    return n >= 0;
}

bool
asset_config_parse(struct asset_config *c, const json_t *o, struct err *err)
{
    static const char *const html[] = { "auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none",
                                        NULL };
    static const char *const missing[] = { "none", "single-page-application", "404-page", NULL };
    struct buf text = { 0 };
    const char *dir;
    int html_choice, missing_choice;

    if (o == NULL || json_is_null(o))
        return true;
    dir = json_string_value(json_object_get(o, "dir"));
    html_choice = choice(o, "html_handling", html);
    missing_choice = choice(o, "not_found_handling", missing);
    if (dir == NULL || html_choice < 0 || missing_choice < 0)
        return err_set(err, ERR_MALFORMED, 0,
                       "'assets' needs 'dir' and known values of html_handling and not_found_handling");
    c->html = (enum html_handling)html_choice;
    c->not_found = (enum not_found)missing_choice;
    if (!worker_first_parse(c, json_object_get(o, "run_worker_first"), err))
        return false;
    c->dir = bytes_dup(bytes_of(dir));
    c->dir_fd = sys_open(dir, O_PATH | O_DIRECTORY, 0);
    if (c->dir_fd < 0)
        return err_set(err, ERR_IO, errno, "cannot open the assets folder '%s'", dir);
    if (rules_file_read(c, "_headers", &text))
        asset_headers_parse(c, buf_view(&text));
    buf_clear(&text);
    if (rules_file_read(c, "_redirects", &text))
        asset_redirects_parse(c, buf_view(&text));
    buf_fini(&text);
    return asset_files_index(c, err);
}

/* ---- the two files ----------------------------------------------------------------------------------------------- */
static struct bytes
trim(struct bytes b)
{
    while (b.len > 0 && (b.data[0] == ' ' || b.data[0] == '\t'))
        b = bytes_from(b.data + 1, b.len - 1);
    while (b.len > 0 && (b.data[b.len - 1] == ' ' || b.data[b.len - 1] == '\t' || b.data[b.len - 1] == '\r'))
        b.len--;
    return b;
}

/* The next line that is neither empty nor a comment; *out_indented: it began with a blank. */
static bool
line_next(struct bytes *rest, struct bytes *out, bool *out_indented)
{
    while (rest->len > 0) {
        const uint8_t *end = memchr(rest->data, '\n', rest->len);
        size_t n = end != NULL ? (size_t)(end - rest->data) : rest->len;
        struct bytes line = bytes_from(rest->data, n);
        size_t skip = end != NULL ? n + 1 : n;
        rest->data += skip;
        rest->len -= skip;
        *out_indented = line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
        *out = trim(line);
        if (out->len > 0 && out->len <= ASSET_LINE_BYTES_MAX && out->data[0] != '#')
            return true;
    }
    return false;
}

static char *
lower_dup(struct bytes b)
{
    char *s = bytes_dup(b);

    for (size_t i = 0; s[i] != 0; i++)
        s[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 0x20 : s[i]);
    return s;
}

static void
header_rule_add(struct asset_config *c, struct bytes pattern, struct bytes line)
{
    struct asset_headers_rule *rule;
    struct bytes name, value = BYTES_NONE;
    const uint8_t *colon = memchr(line.data, ':', line.len);
    char *lower;
    bool takes_away = line.data[0] == '!';

    if (takes_away) {
        name = trim(bytes_from(line.data + 1, line.len - 1));
    } else if (colon != NULL) {
        name = trim(bytes_from(line.data, (size_t)(colon - line.data)));
        value = trim(bytes_from(colon + 1, line.len - (size_t)(colon + 1 - line.data)));
    } else {
        return;
    }
    if (!http_is_token(name))
        return;
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] >= 0x7f)
            return;
    lower = lower_dup(name);
    if (http_is_hop_by_hop(bytes_of(lower)) || strcmp(lower, "content-length") == 0) {
        free(lower);
        return;
    }
    c->header_rules = realloc(c->header_rules, (c->header_rule_count + 1) * sizeof *rule);
    assert(c->header_rules != NULL);
    rule = &c->header_rules[c->header_rule_count++];
    rule->pattern = bytes_dup(pattern);
    rule->name = lower;
    rule->value = takes_away ? NULL : bytes_dup(value);
}

void
asset_headers_parse(struct asset_config *c, struct bytes text)
{
    struct bytes line, pattern = BYTES_NONE;
    bool is_indented;

    while (line_next(&text, &line, &is_indented)) {
        if (!is_indented)
            pattern = line.data[0] == '/' ? line : BYTES_NONE;
        else if (pattern.len > 0 && c->header_rule_count < ASSET_HEADER_RULES_MAX)
            header_rule_add(c, pattern, line);
    }
}

static struct bytes
word_next(struct bytes *line)
{
    size_t n = 0;
    struct bytes word;

    *line = trim(*line);
    while (n < line->len && line->data[n] != ' ' && line->data[n] != '\t')
        n++;
    word = bytes_from(line->data, n);
    *line = bytes_from(line->data + n, line->len - n);
    return word;
}

void
asset_redirects_parse(struct asset_config *c, struct bytes text)
{
    struct bytes line;
    bool is_indented;

    while (line_next(&text, &line, &is_indented) && c->redirect_count < ASSET_REDIRECTS_MAX) {
        struct bytes from = word_next(&line), to = word_next(&line), code = word_next(&line);
        uint64_t status = 302;
        struct asset_redirect *r;
        bool is_local = to.len > 0 && to.data[0] == '/';
        if (code.len > 0 && !http_number(code, &status))
            continue;
        if (status != 200 && status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
            continue;
        if (from.len == 0 || from.data[0] != '/' || memchr(to.data, '\n', to.len) != NULL ||
            (!is_local && (status == 200 || (!bytes_has_prefix(to, BYTES_LIT("https://")) &&
                                             !bytes_has_prefix(to, BYTES_LIT("http://"))))))
            continue;
        c->redirects = realloc(c->redirects, (c->redirect_count + 1) * sizeof *r);
        assert(c->redirects != NULL);
        r = &c->redirects[c->redirect_count++];
        r->from = bytes_dup(from);
        r->to = bytes_dup(to);
        r->status = (int)status;
    }
}
