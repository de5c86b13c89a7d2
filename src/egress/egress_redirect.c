/*
 * egress_redirect — see egress_redirect.h.
 *
 * Threads: none; pure.
 */
#include "src/egress/egress_redirect.h"

#include <jansson.h>
#include <string.h>

#include "src/egress/egress_headers.h"

bool
redirect_mode_parse(enum redirect_mode *out_mode, struct bytes meta, struct err *err)
{
    json_error_t at;
    json_t *root;
    const char *text;
    bool ok = true;

    *out_mode = REDIRECT_MANUAL;
    if (meta.len == 0)
        return true;
    root = json_loadb((const char *)meta.data, meta.len, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL)
        return err_set(err, ERR_MALFORMED, 0, "the call's meta is not JSON: %s", at.text);
    text = json_string_value(json_object_get(root, "redirect"));
    if (text != NULL && strcmp(text, "follow") == 0)
        *out_mode = REDIRECT_FOLLOW;
    else if (text != NULL && strcmp(text, "error") == 0)
        *out_mode = REDIRECT_ERROR;
    else if (text != NULL && strcmp(text, "manual") != 0)
        ok = err_set(err, ERR_MALFORMED, 0, "the call's meta has redirect '%s'; it can be manual, follow or error",
                     text);
    json_decref(root);
    return ok;
}

bool
redirect_is_status(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool
is_same_origin(const struct url *a, const struct url *b)
{
    return bytes_equal(url_protocol(a), url_protocol(b)) && bytes_equal(url_host(a), url_host(b));
}

bool
redirect_follow(struct redirect_request *request, int status, struct bytes location, struct err *err)
{
    static const char *const of_body[] = { "content-encoding", "content-language", "content-location", "content-type",
                                           "content-length" };
    struct bytes method = buf_view(&request->method);
    bool is_post = bytes_equal_str(method, "POST");
    bool is_get = bytes_equal_str(method, "GET") || bytes_equal_str(method, "HEAD");
    bool to_get = (status == 303 && !is_get) || ((status == 301 || status == 302) && is_post);
    struct url next = { 0 };

    if (!url_parse(&next, location, &request->url) ||
        (!bytes_equal_str(url_protocol(&next), "http:") && !bytes_equal_str(url_protocol(&next), "https:"))) {
        url_fini(&next);
        return err_set(err, ERR_NETWORK, 0, "Invalid redirect location: %.*s",
                       (int)(location.len > 256 ? 256 : location.len), (const char *)location.data);
    }
    request->keeps_body = !to_get;
    if (to_get) {
        buf_clear(&request->method);
        buf_append_str(&request->method, "GET");
        for (size_t i = 0; i < ARRAY_LEN(of_body); i++)
            headers_remove(&request->headers, of_body[i]);
    }
    if (!is_same_origin(&next, &request->url)) {
        headers_remove(&request->headers, "authorization");
        headers_remove(&request->headers, "cookie");
        headers_remove(&request->headers, "proxy-authorization");
    }
    url_fini(&request->url);
    request->url = next;
    return true;
}
