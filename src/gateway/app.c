/* app — see the header. */
#include "src/gateway/app.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- records ----------------------------------------------------------------------------------------------------- */
struct app *
app_find(struct gateway *gw, struct bytes name)
{
    struct app *app;

    list_each(app, &gw->apps, struct app, in_gateway) if (bytes_equal_str(name, app->name)) return app;
    return NULL;
}

static struct app *
app_get(struct gateway *gw, struct bytes name)
{
    struct app *app = app_find(gw, name);

    if (app != NULL || gw->app_count >= APPS_MAX)
        return app;
    app = calloc(1, sizeof *app);
    assert(app != NULL);
    app->name = bytes_dup(name);
    app->index = (uint16_t)gw->app_count++;
    asset_config_init(&app->assets);
    list_push_back(&gw->apps, &app->in_gateway);
    return app;
}

static struct worker *
slot_get(struct app *app, uint16_t slot)
{
    struct worker *w;

    if (slot >= WORKERS_PER_APP_MAX)
        return NULL;
    if (app->workers[slot] != NULL)
        return app->workers[slot];
    w = calloc(1, sizeof *w);
    assert(w != NULL);
    w->app = app;
    w->slot = slot;
    list_init(&w->requests);
    list_init(&w->sockets);
    list_init(&w->joined);
    app->workers[slot] = w;
    return w;
}

struct worker *
app_worker(struct gateway *gw, struct bytes name, uint16_t slot)
{
    struct app *app = app_get(gw, name);

    return app != NULL ? slot_get(app, slot) : NULL;
}

static void
strings_free(char ***strings, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free((*strings)[i]);
    free(*strings);
    *strings = NULL;
    *count = 0;
}

void
apps_destroy(struct gateway *gw)
{
    struct app *app;

    list_each(app, &gw->apps, struct app, in_gateway)
    {
        list_remove(&app->in_gateway);
        for (size_t i = 0; i < WORKERS_PER_APP_MAX; i++)
            free(app->workers[i]);
        strings_free(&app->hosts, &app->host_count);
        strings_free(&app->listeners, &app->listener_count);
        asset_config_fini(&app->assets);
        free(app->name);
        free(app);
    }
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */
size_t
host_normalize(struct bytes host, char *out, size_t size)
{
    size_t end = host.len;

    for (size_t i = host.len; i > 0; i--) {
        if (host.data[i - 1] == ']')
            break;
        if (host.data[i - 1] == ':') {
            end = i - 1;
            break;
        }
    }
    if (end > 0 && host.data[end - 1] == '.')
        end--;
    if (end >= size)
        return 0;
    for (size_t i = 0; i < end; i++)
        out[i] = (char)(host.data[i] >= 'A' && host.data[i] <= 'Z' ? host.data[i] | 0x20 : host.data[i]);
    out[end] = 0;
    return end;
}

/* FIELD as an array of short strings. Absent: none. */
static bool
strings_read(const json_t *o, const char *field, char ***out, size_t *out_count, struct err *err)
{
    const json_t *list = json_object_get(o, field), *item;
    size_t i;

    *out = NULL;
    *out_count = 0;
    if (list == NULL)
        return true;
    if (!json_is_array(list) || json_array_size(list) > HOSTS_PER_APP_MAX)
        return err_set(err, ERR_MALFORMED, 0, "'%s' must be an array of at most %d", field, HOSTS_PER_APP_MAX);
    *out = calloc(json_array_size(list) + 1, sizeof **out);
    assert(*out != NULL);
    json_array_foreach(list, i, item)
    {
        char host[NAME_MAX_BYTES + 1];
        struct bytes text = bytes_from(json_string_value(item), json_string_length(item));
        if (!json_is_string(item) ||
            host_normalize(strcmp(field, "hosts") == 0 ? text : BYTES_LIT("x"), host, sizeof host) == 0 ||
            text.len > NAME_MAX_BYTES) {
            strings_free(out, out_count);
            return err_set(err, ERR_MALFORMED, 0, "'%s' must hold names", field);
        }
        (*out)[(*out_count)++] = strcmp(field, "hosts") == 0 ? bytes_dup(bytes_of(host)) : bytes_dup(text);
    }
    return true;
}

/* Host and listener maps anew from all apps. Apps are few and routes change seldom. */
static void
maps_rebuild(struct gateway *gw)
{
    struct app *app;

    bmap_destroy(&gw->hosts);
    bmap_destroy(&gw->listener_apps);
    gw->hosts = bmap_create();
    gw->listener_apps = bmap_create();
    gw->fallback = NULL;
    list_each(app, &gw->apps, struct app, in_gateway)
    {
        if (!app->is_routed)
            continue;
        if (app->is_default)
            gw->fallback = app;
        for (size_t i = 0; i < app->host_count; i++)
            (void)bmap_put(gw->hosts, bytes_of(app->hosts[i]), app); /* a host named twice goes to the later app */
        for (size_t i = 0; i < app->listener_count; i++)
            if (strcmp(app->listeners[i], "main") != 0)
                (void)bmap_put(gw->listener_apps, bytes_of(app->listeners[i]), app);
    }
}

static void
app_unroute(struct app *app)
{
    app->is_routed = app->is_default = false;
    strings_free(&app->hosts, &app->host_count);
    strings_free(&app->listeners, &app->listener_count);
    asset_config_fini(&app->assets);
    asset_config_init(&app->assets);
}

static bool
routes_take(struct gateway *gw, struct bytes name, const json_t *o, struct err *err)
{
    struct asset_config assets;
    const json_t *workers = json_object_get(o, "workers");
    char **hosts, **listeners = NULL;
    size_t host_count, listener_count = 0;
    struct app *app;

    asset_config_init(&assets);
    if (workers != NULL && (!json_is_integer(workers) || json_integer_value(workers) < 0 ||
                            json_integer_value(workers) > WORKERS_PER_APP_MAX))
        return err_set(err, ERR_MALFORMED, 0, "'workers' must be a number from 0 to %d", WORKERS_PER_APP_MAX);
    if (!strings_read(o, "hosts", &hosts, &host_count, err))
        return false;
    app = strings_read(o, "listeners", &listeners, &listener_count, err) &&
                  asset_config_parse(&assets, json_object_get(o, "assets"), err)
              ? app_get(gw, name)
              : NULL;
    if (app == NULL) {
        strings_free(&hosts, &host_count);
        strings_free(&listeners, &listener_count);
        asset_config_fini(&assets);
        return gw->app_count >= APPS_MAX ? err_set(err, ERR_LIMIT, 0, "more than %d apps", APPS_MAX) : false;
    }
    app_unroute(app);
    app->is_routed = true;
    app->is_default = json_is_true(json_object_get(o, "default"));
    app->worker_count = workers != NULL ? (uint16_t)json_integer_value(workers) : 1;
    app->hosts = hosts;
    app->host_count = host_count;
    app->listeners = listeners;
    app->listener_count = listener_count;
    asset_config_fini(&app->assets);
    app->assets = assets;
    maps_rebuild(gw);
    return true;
}

bool
app_routes(struct gateway *gw, struct bytes name, struct bytes json, struct err *err)
{
    json_error_t why;
    json_t *o;
    bool ok;

    if (json.len == 0) {
        struct app *app = app_find(gw, name);
        if (app != NULL)
            app_unroute(app);
        maps_rebuild(gw);
        return true;
    }
    o = json_loadb((const char *)json.data, json.len, 0, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        return err_set(err, ERR_MALFORMED, 0, "the routes are no JSON object: %s", why.text);
    }
    ok = routes_take(gw, name, o, err);
    json_decref(o);
    return ok ? true : err_add(err, "routes of app '%.*s'", (int)name.len, (const char *)name.data);
}

struct app *
app_route(struct gateway *gw, const char *listener, struct bytes host)
{
    char name[NAME_MAX_BYTES + 1], pattern[NAME_MAX_BYTES + 3];
    struct app *app = bmap_get(gw->listener_apps, bytes_of(listener));
    const char *dot;

    if (app != NULL)
        return app;
    if (host_normalize(host, name, sizeof name) == 0)
        return gw->fallback;
    app = bmap_get(gw->hosts, bytes_of(name));
    for (dot = strchr(name, '.'); app == NULL && dot != NULL; dot = strchr(dot + 1, '.')) {
        size_t n = strlen(dot);
        pattern[0] = '*';
        memcpy(pattern + 1, dot, n);
        app = bmap_get(gw->hosts, bytes_from(pattern, n + 1));
    }
    return app != NULL ? app : gw->fallback;
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */
uint32_t
app_slot_key(const struct gateway *gw, const struct app *app, struct bytes host, struct bytes path)
{
    uint64_t h = hash_bytes(path, hash_bytes(host, gw->seed + app->index));

    return (uint32_t)(h ^ h >> 32) % SLOT_TABLE_SIZE;
}

struct worker *
app_pick(struct gateway *gw, struct app *app, uint32_t key)
{
    uint8_t advice = gw->slots[key];
    struct worker *w;

    if (advice > 0 && advice - 1 < app->worker_count) {
        w = app->workers[advice - 1];
        if (w != NULL && w->link != NULL)
            return w;
    }
    for (uint16_t i = 0; i < app->worker_count; i++) {
        app->next = (uint16_t)((app->next + 1) % app->worker_count);
        w = app->workers[app->next];
        if (w != NULL && w->link != NULL)
            return w;
    }
    return NULL;
}

void
app_advise(struct gateway *gw, const struct app *app, uint32_t key, uint16_t slot)
{
    if (slot < app->worker_count && slot < 255)
        gw->slots[key] = (uint8_t)(slot + 1);
}

struct worker *
app_agent_worker(struct gateway *gw, struct app *app, const struct agent_id *agent)
{
    return app->worker_count > 0 ? slot_get(app, agent_id_slot(agent, app->worker_count)) : NULL;
}
