/* clone_refuse — see clone_refuse.h. */
#include "src/worker/clone_refuse.h"

#include "src/worker/engine.h"

bool
clone_refuse(jsval v)
{
    struct bytes text;

    if (!js_to_utf8(v, &text)) {
        js_free(js_take_exception());
        text = BYTES_LIT("A value");
    }
    js_throw_dom("DataCloneError", "%.400s could not be cloned.", (const char *)text.data);
    return false;
}

bool
clone_refuse_symbol(jsval v)
{
    jsval description = js_get_str(v, "description");
    struct bytes text = BYTES_NONE;

    if (js_is_string(description))
        text = js_to_utf8(description, &text) ? text : BYTES_NONE;
    js_free(description);
    js_throw_dom("DataCloneError", "Symbol(%.200s) could not be cloned.", text.len > 0 ? (const char *)text.data : "");
    return false;
}

/* The name of the class of OBJ; false when there is none to be had (an exception may be pending). */
static bool
constructor_name(jsval obj, struct bytes *out)
{
    jsval constructor = js_get(obj, A(constructor)), name = js_is_object(constructor) ? js_get(constructor, A(name)) : JSV_UNDEFINED;
    bool ok = js_is_string(name) && js_to_utf8(name, out) && out->len > 0;

    js_free(name);
    js_free(constructor);
    return ok;
}

bool
clone_refuse_instance(jsval obj)
{
    struct bytes text;

    js_throw_dom("DataCloneError", "Could not serialize object of type \"%.200s\". This type does not support serialization.",
                 constructor_name(obj, &text) ? (const char *)text.data : "Object");
    return false;
}

/* An object of the engine's that has no form in bytes: #<Promise>, #<WeakMap>, … */
bool
clone_refuse_native(jsval obj)
{
    struct bytes text;

    if (!constructor_name(obj, &text))
        return clone_refuse(obj);
    js_throw_dom("DataCloneError", "#<%.200s> could not be cloned.", (const char *)text.data);
    return false;
}

bool
clone_is_platform(jsval obj)
{
    jsval constructor = js_get(obj, A(constructor)), global = js_global(), named = JSV_UNDEFINED;
    struct bytes name;
    bool is;

    if (js_is_function(constructor) && constructor_name(obj, &name))
        named = js_get_str(global, (const char *)name.data);
    is = js_is_function(named) && named == constructor;
    if (js_is_exception(constructor) || js_is_exception(named))
        js_free(js_take_exception());
    js_free(named);
    js_free(global);
    js_free(constructor);
    return is;
}

bool
clone_refuse_platform(jsval obj)
{
    struct bytes name;

    if (constructor_name(obj, &name) && (bytes_equal_str(name, "Response") || bytes_equal_str(name, "ReadableStream"))) {
        js_throw_dom("DataCloneError", "ReadableStream can only be serialized for RPC.");
        return false;
    }
    return clone_refuse_instance(obj);
}
