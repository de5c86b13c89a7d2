/* deploy — see deploy.h. */
#include "src/worker/deploy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ipc/ipc_limits.h"
#include "lib/sys/sys.h"
#include "src/worker/heap.h"
#include "src/worker/stack_map.h"
#include "src/worker/worker_limits.h"

#define PATH_BYTES 4096

static struct buf runtime_text;

static bool
read_file(const char *path, size_t max, struct buf *out, struct err *err)
{
    int fd = sys_open(path, O_RDONLY, 0);
    ssize_t n;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "open '%s'", path);
    do {
        buf_reserve(out, 256 * 1024);
        n = sys_read(fd, out->data + out->len, out->cap - out->len);
        if (n > 0)
            out->len += (size_t)n;
    } while (n > 0 && out->len <= max);
    (void)sys_close(fd);
    if (n < 0)
        return err_set(err, ERR_IO, errno, "read '%s'", path);
    if (out->len > max)
        return err_set(err, ERR_LIMIT, 0, "'%s' is larger than %zu bytes", path, max);
    return true;
}

bool
runtime_library_load(const char *path, struct err *err)
{
    buf_clear(&runtime_text);
    return read_file(path, SOURCE_BYTES_MAX, &runtime_text, err);
}

struct bytes
runtime_library(void)
{
    return buf_view(&runtime_text);
}

/* ---- the manifest ---- */

static bool
is_class_name(const char *name)
{
    size_t n = strlen(name);

    /* It becomes a folder's name: identifiers only. */
    return n > 0 && n <= 128 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$") == n;
}

static bool
take_classes(struct deploy *d, const json_t *manifest, struct err *err)
{
    const json_t *classes = json_object_get(manifest, "classes");
    size_t n = json_array_size(classes);

    d->classes = calloc(n + 1, sizeof *d->classes);
    assert(d->classes != NULL);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(classes, i));

        if (name == NULL || !is_class_name(name))
            return err_set(err, ERR_CONFIG, 0, "manifest: classes[%zu] is not a class name", i);
        d->classes[i] = bytes_dup(bytes_of(name));
    }
    return true;
}

/* "keep" (also when absent), "discard", or a rule for each class: {"Counter": "discard"}. */
static bool
take_heap_rule(struct deploy *d, const json_t *rule, struct err *err)
{
    const char *name;
    json_t *v;
    size_t n = 0;

    d->discards_all = json_is_string(rule) && strcmp(json_string_value(rule), "discard") == 0;
    if (rule == NULL || d->discards_all || (json_is_string(rule) && strcmp(json_string_value(rule), "keep") == 0))
        return true;
    if (!json_is_object(rule))
        return err_set(err, ERR_CONFIG, 0, "manifest: heap is neither \"keep\" nor \"discard\" nor an object of classes");
    d->discarding = calloc(json_object_size(rule) + 1, sizeof *d->discarding);
    assert(d->discarding != NULL);
    json_object_foreach((json_t *)(uintptr_t)rule, name, v)
        if (json_is_string(v) && strcmp(json_string_value(v), "discard") == 0)
            d->discarding[n++] = bytes_dup(bytes_of(name));
    return true;
}

static bool
take_manifest(struct deploy *d, struct bytes text, struct err *err)
{
    json_error_t problem;
    json_t *manifest = json_loadb((const char *)text.data, text.len, 0, &problem), *compat;
    const json_t *date, *flags;
    bool ok;

    if (!json_is_object(manifest)) {
        json_decref(manifest);
        return err_set(err, ERR_CONFIG, 0, "manifest: %s", manifest == NULL ? problem.text : "not an object");
    }
    date = json_object_get(manifest, "compatibility_date");
    flags = json_object_get(manifest, "compatibility_flags");
    compat = json_object();
    if (json_is_string(date))
        json_object_set(compat, "date", (json_t *)(uintptr_t)date);
    if (json_is_array(flags))
        json_object_set(compat, "flags", (json_t *)(uintptr_t)flags);
    json_object_set_new(compat, "dev", json_boolean(json_is_true(json_object_get(manifest, "dev"))));
    d->compat_json = json_dumps(compat, JSON_COMPACT);
    d->env_json = bytes_dup(text);
    json_decref(compat);
    ok = take_classes(d, manifest, err) && take_heap_rule(d, json_object_get(manifest, "heap"), err);
    json_decref(manifest);
    return ok;
}

/* Facets run classes that no binding names: whether it is exported, the heap finds out. A name that is none is refused here. */
bool
deploy_may_have_class(struct bytes class_name)
{
    char name[130];

    if (class_name.len == 0 || class_name.len > 128 || memchr(class_name.data, 0, class_name.len) != NULL)
        return false;
    memcpy(name, class_name.data, class_name.len);
    name[class_name.len] = '\0';
    return is_class_name(name);
}

bool
deploy_has_class(const struct deploy *d, struct bytes class_name)
{
    for (char **c = d->classes; *c != NULL; c++)
        if (bytes_equal_str(class_name, *c))
            return true;
    return false;
}

bool
deploy_keeps_heap(const struct deploy *d, struct bytes class_name)
{
    for (char **c = d->discarding; c != NULL && *c != NULL; c++)
        if (bytes_equal_str(class_name, *c))
            return false;
    return !d->discards_all;
}

unsigned
deploy_kin(const struct deploy *d, struct bytes class_name)
{
    for (unsigned i = 0; i < IMAGE_KIN_MAX && d->classes[i] != NULL; i++)
        if (bytes_equal_str(class_name, d->classes[i]))
            return i + 1;
    return 0;
}

/* ---- life ---- */

void
deploy_ref(struct deploy *d)
{
    d->refs++;
}

static void
deploy_fini(struct deploy *d)
{
    for (char **c = d->classes; c != NULL && *c != NULL; c++)
        free(*c);
    free(d->classes);
    for (char **c = d->discarding; c != NULL && *c != NULL; c++)
        free(*c);
    free(d->discarding);
    free(d->env_json);
    free(d->compat_json);
    free(d->hash);
    stack_map_destroy(&d->map);
}

void
deploy_unref(struct deploy **d_ptr)
{
    struct deploy *d = STEAL(*d_ptr);

    if (d == NULL || --d->refs > 0)
        return;
    if (d->template != NULL) {
        template_retire(d->template);
        template_unref(&d->template);
    }
    deploy_fini(d);
    free(d);
}

bool
deploy_open(struct deploy **out_deploy, const char *dir, const char *hash, struct bytes manifest, struct err *err)
{
    struct deploy *d = calloc(1, sizeof *d);
    char path[PATH_BYTES];
    struct buf map = { 0 };
    int fd = -1;
    bool ok;

    assert(d != NULL);
    d->refs = 1;
    d->hash = bytes_dup(bytes_of(hash));
    (void)snprintf(path, sizeof path, "%s/template", dir);
    ok = take_manifest(d, manifest, err);
    if (ok) {
        fd = sys_open(path, O_RDONLY, 0);
        ok = fd >= 0 ? template_open(&d->template, fd, runtime_library(), err) : err_set(err, ERR_IO, errno, "open '%s'", path);
    }
    (void)sys_close(fd);
    if (!ok) {
        deploy_unref(&d);
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/bundle.js.map", dir);
    if (read_file(path, SOURCE_BYTES_MAX, &map, NULL))
        d->map = stack_map_create(buf_view(&map));
    buf_fini(&map);
    *out_deploy = d;
    return true;
}

static void
diagnostics(const char *dir, struct template_error *e, const struct err *err, struct buf *out_json)
{
    char path[PATH_BYTES];
    struct buf map_text = { 0 }, stack = { 0 };
    struct stack_map *map = NULL;
    json_t *o = json_object();
    char *text;

    (void)snprintf(path, sizeof path, "%s/bundle.js.map", dir);
    if (read_file(path, SOURCE_BYTES_MAX, &map_text, NULL))
        map = stack_map_create(buf_view(&map_text));
    if (map != NULL)
        stack_map_text(map, buf_view(&e->stack), &stack);
    else
        buf_append_bytes(&stack, buf_view(&e->stack));
    json_object_set_new(o, "message", json_string(e->message.len > 0 ? buf_cstr(&e->message) : err->message));
    json_object_set_new(o, "stack", json_string(buf_cstr(&stack)));
    text = json_dumps(o, JSON_COMPACT);
    buf_append_str(out_json, text != NULL ? text : "{}");
    free(text);
    json_decref(o);
    stack_map_destroy(&map);
    buf_fini(&map_text);
    buf_fini(&stack);
}

bool
deploy_build(const char *dir, struct bytes manifest, struct buf *out_json, struct err *err)
{
    struct buf bundle = { 0 };
    struct template_error e = { 0 };
    struct deploy settings = { 0 };
    struct template_source source = { .runtime_js = runtime_library(), .app_hash = BYTES_NONE };
    char path[PATH_BYTES], temporary[PATH_BYTES];
    int fd = -1;
    bool ok;

    (void)snprintf(path, sizeof path, "%s/bundle.js", dir);
    (void)snprintf(temporary, sizeof temporary, "%s/template.new", dir);
    ok = take_manifest(&settings, manifest, err) && read_file(path, SOURCE_BYTES_MAX, &bundle, err);
    source.env_json = bytes_of(settings.env_json);
    source.compat_json = bytes_of(settings.compat_json);
    if (ok) {
        fd = sys_open(temporary, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (fd < 0)
            ok = err_set(err, ERR_IO, errno, "create '%s'", temporary);
    }
    source.bundle_js = buf_view(&bundle);
    ok = ok && template_build(fd, &source, &e, err);
    (void)sys_close(fd);
    if (ok) {
        (void)snprintf(path, sizeof path, "%s/template", dir);
        if (sys_renameat(AT_FDCWD, temporary, AT_FDCWD, path) != 0)
            ok = err_set(err, ERR_IO, errno, "rename '%s'", temporary);
    }
    if (!ok)
        diagnostics(dir, &e, err, out_json);
    deploy_fini(&settings);
    buf_fini(&bundle);
    buf_fini(&e.message);
    buf_fini(&e.stack);
    return ok;
}
