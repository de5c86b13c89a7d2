/* natives_url — URL and form natives over lib/wire (docs/host-interface.md). */
#include "lib/wire/form.h"
#include "lib/wire/url.h"
#include "src/worker/natives.h"

/* Kept across calls: their buffers are reused, and a trap may leave at any allocation in the guest. */
static struct url parsed, parsed_base;
static struct buf text_out;

static jsval
url_result(const struct url *u)
{
    const double numbers[8] = {
        u->protocol_end, u->username_start, u->host_start, u->host_end, u->port, u->pathname_start, u->search_start, u->hash_start,
    };
    jsval array = js_new_array();

    if (!js_set_index(array, 0, js_new_string(buf_view(&u->href))))
        return JSV_EXCEPTION;
    for (uint32_t i = 0; i < 8; i++)
        if (!js_set_index(array, i + 1, js_new_number(numbers[i])))
            return JSV_EXCEPTION;
    return array;
}

jsval
native_url_parse(NATIVE_PARAMS)
{
    struct bytes input, base;

    if (!js_to_utf8(ARG(0), &input))
        return JSV_EXCEPTION;
    if (js_is_undefined(ARG(1)))
        return url_parse(&parsed, input, NULL) ? url_result(&parsed) : JSV_UNDEFINED;
    if (!js_to_utf8(ARG(1), &base))
        return JSV_EXCEPTION;
    if (!url_parse(&parsed_base, base, NULL) || !url_parse(&parsed, input, &parsed_base))
        return JSV_UNDEFINED;
    return url_result(&parsed);
}

jsval
native_url_set(NATIVE_PARAMS)
{
    struct bytes href, part_name, value;
    enum url_part part;

    if (!js_to_utf8(ARG(0), &href) || !js_to_utf8(ARG(1), &part_name) || !js_to_utf8(ARG(2), &value))
        return JSV_EXCEPTION;
    if (!url_part_from_name(&part, part_name) || !url_parse(&parsed, href, NULL))
        return js_throw_type("urlSet takes an href and the name of a part");
    url_set(&parsed, part, value);
    return url_result(&parsed);
}

jsval
native_domain_to_ascii(NATIVE_PARAMS)
{
    struct bytes name;

    if (!js_to_utf8(ARG(0), &name))
        return JSV_EXCEPTION;
    buf_clear(&text_out);
    return url_domain_to_ascii(&text_out, name) ? js_new_string(buf_view(&text_out)) : JSV_UNDEFINED;
}

/* formEncode(["a", "1", …]) → "a=1&…" */
jsval
native_form_encode(NATIVE_PARAMS)
{
    int64_t n;

    if (!js_get_length(ARG(0), &n))
        return JSV_EXCEPTION;
    buf_clear(&text_out);
    for (int64_t i = 0; i + 1 < n; i += 2) {
        jsval name = js_get_index(ARG(0), (uint32_t)i), value = js_get_index(ARG(0), (uint32_t)i + 1);
        struct bytes name_text, value_text;

        if (js_is_exception(name) || js_is_exception(value) || !js_to_utf8(name, &name_text) || !js_to_utf8(value, &value_text))
            return JSV_EXCEPTION;
        js_free(name);
        js_free(value);
        form_encode_pair(&text_out, name_text, value_text);
    }
    return js_new_string(buf_view(&text_out));
}

/* formDecode("a=1&…") → ["a", "1", …] */
jsval
native_form_decode(NATIVE_PARAMS)
{
    static struct buf name, value;     /* kept: a trap may leave here */
    struct bytes rest;
    uint32_t n = 0;
    jsval array;

    if (!js_to_utf8(ARG(0), &rest))
        return JSV_EXCEPTION;
    array = js_new_array();
    while (form_decode_pair(&rest, &name, &value))
        if (!js_set_index(array, n++, js_new_string(buf_view(&name))) || !js_set_index(array, n++, js_new_string(buf_view(&value))))
            return JSV_EXCEPTION;
    return array;
}
