/*
 * control_apps — see control_apps.h.
 */
#include "src/control/control_apps.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
apps_init(struct apps *apps)
{
    list_init(&apps->list);
    apps->count = 0;
}

void
apps_fini(struct apps *apps)
{
    struct app *app;

    list_each(app, &apps->list, struct app, in_apps)
        apps_remove(apps, &app);
}

struct app *
apps_find(const struct apps *apps, struct bytes name)
{
    struct app *app;

    list_each(app, (struct list_node *)&apps->list, struct app, in_apps)
        if (bytes_equal_str(name, app->name))
            return app;
    return NULL;
}

struct app *
apps_add(struct apps *apps, const char *name)
{
    struct app *app;

    assert(app_name_is_valid(bytes_of(name)));
    assert(apps_find(apps, bytes_of(name)) == NULL);
    if (apps->count >= APPS_MAX)
        return NULL;
    app = calloc(1, sizeof *app);
    assert(app != NULL);
    (void)snprintf(app->name, sizeof app->name, "%s", name);
    list_push_back(&apps->list, &app->in_apps);
    apps->count++;
    return app;
}

void
apps_remove(struct apps *apps, struct app **app)
{
    struct app *gone = STEAL(*app);

    if (gone == NULL)
        return;
    assert(gone->deployment == NULL);
    assert(gone->waiting == NULL);
    list_remove(&gone->in_apps);
    apps->count--;
    json_decref(gone->manifest);
    free(gone);
}

struct app *
apps_default(const struct apps *apps)
{
    struct app *app, *first = NULL;

    list_each(app, (struct list_node *)&apps->list, struct app, in_apps) {
        if (app->hash[0] == '\0')
            continue;
        if (app->is_default_wanted)
            return app;
        if (first == NULL)
            first = app;
    }
    return first;
}

static bool
is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
app_name_is_valid(struct bytes name)
{
    if (name.len == 0 || name.len > APP_NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_letter_or_digit(name.data[i]) && name.data[i] != '-' && name.data[i] != '_')
            return false;
    return is_letter_or_digit(name.data[0]) && is_letter_or_digit(name.data[name.len - 1]);
}

bool
hash_is_valid(struct bytes hash)
{
    if (hash.len < 16 || hash.len > HASH_BYTES_MAX)
        return false;
    for (size_t i = 0; i < hash.len; i++)
        if (!((hash.data[i] >= '0' && hash.data[i] <= '9') || (hash.data[i] >= 'a' && hash.data[i] <= 'f')))
            return false;
    return true;
}

void
app_take(struct app *app, const char *hash, uint16_t workers, json_t *manifest)
{
    assert(hash_is_valid(bytes_of(hash)));
    assert(workers <= APP_WORKERS_MAX);
    (void)snprintf(app->hash, sizeof app->hash, "%s", hash);
    app->workers = workers;
    app->is_down = false;
    json_decref(app->manifest);
    app->manifest = manifest;
}

bool
app_has_class(const struct app *app, struct bytes class_name)
{
    json_t *one;
    size_t i;

    json_array_foreach (json_object_get(app->manifest, "classes"), i, one)
        if (bytes_equal(class_name, bytes_from(json_string_value(one), json_string_length(one))))
            return true;
    return false;
}

bool
app_all_took(const struct app *app, uint16_t workers, const char *hash)
{
    for (uint16_t i = 0; i < workers; i++)
        if (strcmp(app->taken[i], hash) != 0)
            return false;
    return true;
}

/* ---- the state file --------------------------------------------------------------------------------------------- */

char *
apps_save(const struct apps *apps)
{
    json_t *list = json_array(), *root = json_pack("{s:i, s:o}", "version", 1, "apps", list);
    struct app *app;
    char *text;

    list_each(app, (struct list_node *)&apps->list, struct app, in_apps) {
        if (app->hash[0] == '\0')
            continue;              /* its first deploy is not done: nothing to come back to */
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:b, s:s}", "app", app->name, "deploy", app->hash, "workers",
                                                    (int)app->workers_wanted, "default", (int)app->is_default_wanted, "listen", app->listen));
    }
    text = json_dumps(root, JSON_INDENT(1));
    assert(text != NULL);
    json_decref(root);
    return text;
}

static bool
load_one(struct apps *apps, json_t *row, struct err *err)
{
    const char *name = "", *hash = "", *listen = "";
    int workers = 0, is_default = 0;
    struct app *app;

    if (json_unpack(row, "{s:s, s:s, s:i, s:b, s:s}", "app", &name, "deploy", &hash, "workers", &workers, "default", &is_default,
                    "listen", &listen) != 0)
        return err_set(err, ERR_CORRUPT, 0, "an app's row lacks a field");
    if (!app_name_is_valid(bytes_of(name)) || apps_find(apps, bytes_of(name)) != NULL || !hash_is_valid(bytes_of(hash)))
        return err_set(err, ERR_CORRUPT, 0, "no valid app and deploy: '%s', '%s'", name, hash);
    if (workers < 0 || workers > APP_WORKERS_MAX || strlen(listen) >= sizeof app->listen)
        return err_set(err, ERR_CORRUPT, 0, "app '%s': workers or listen out of range", name);
    app = apps_add(apps, name);
    if (app == NULL)
        return err_set(err, ERR_LIMIT, 0, "more than %d apps", APPS_MAX);
    app_take(app, hash, 0, NULL);
    app->workers_wanted = (uint16_t)workers;
    app->is_default_wanted = is_default != 0;
    (void)snprintf(app->listen, sizeof app->listen, "%s", listen);
    return true;
}

bool
apps_load(struct apps *apps, struct bytes text, struct err *err)
{
    json_error_t problem;
    json_t *root = json_loadb((const char *)text.data, text.len, 0, &problem);
    json_t *list = json_object_get(root, "apps"), *row;
    bool ok = json_is_array(list);
    size_t i;

    if (!ok)
        (void)err_set(err, ERR_CORRUPT, 0, "no state of apps: %s", root == NULL ? problem.text : "'apps' is missing");
    json_array_foreach (list, i, row) {
        ok = ok && load_one(apps, row, err);
    }
    json_decref(root);
    return ok;
}

/* ---- manifests -------------------------------------------------------------------------------------------------- */

static bool
is_list_of_strings(const json_t *list)
{
    size_t i;
    json_t *item;

    if (!json_is_array(list))
        return false;
    json_array_foreach (list, i, item)
        if (!json_is_string(item))
            return false;
    return true;
}

bool
manifest_check(const json_t *manifest, const char *app, const char *hash, struct err *err)
{
    const json_t *main_file = json_object_get(manifest, "main"), *assets = json_object_get(manifest, "assets"), *row;
    const json_t *namespaces = json_object_get(manifest, "namespaces");
    const char *names = json_string_value(json_object_get(manifest, "app"));
    const char *hashed = json_string_value(json_object_get(manifest, "hash"));
    size_t i;

    if (names == NULL || strcmp(names, app) != 0)
        return err_set(err, ERR_MALFORMED, 0, "the manifest is of another app than '%s'", app);
    if (hashed == NULL || strcmp(hashed, hash) != 0)
        return err_set(err, ERR_MALFORMED, 0, "the manifest is of another deploy than '%s'", hash);
    if (!json_is_null(main_file) && (!json_is_string(main_file) || strcmp(json_string_value(main_file), "bundle.js") != 0))
        return err_set(err, ERR_MALFORMED, 0, "manifest: 'main' must be \"bundle.js\" or null");
    if (assets != NULL && !json_is_object(assets))
        return err_set(err, ERR_MALFORMED, 0, "manifest: 'assets' must be an object");
    if (json_is_null(main_file) && assets == NULL)
        return err_set(err, ERR_MALFORMED, 0, "manifest: neither code nor assets");
    if (!is_list_of_strings(json_object_get(manifest, "classes")) || !is_list_of_strings(json_object_get(manifest, "hosts")))
        return err_set(err, ERR_MALFORMED, 0, "manifest: 'classes' and 'hosts' must be lists of strings");
    if (!json_is_array(namespaces) || !json_is_object(json_object_get(manifest, "vars")))
        return err_set(err, ERR_MALFORMED, 0, "manifest: 'namespaces' must be a list and 'vars' an object");
    json_array_foreach (namespaces, i, row)
        if (!json_is_string(json_object_get(row, "binding")) || !json_is_string(json_object_get(row, "class")))
            return err_set(err, ERR_MALFORMED, 0, "manifest: a namespace needs 'binding' and 'class'");
    return true;
}

bool
manifest_has_code(const json_t *manifest)
{
    return json_is_string(json_object_get(manifest, "main"));
}

/* ---- what other rooms are told ---------------------------------------------------------------------------------- */

static json_t *
limits_merge(const struct conf_facts *facts, const json_t *manifest)
{
    json_t *limits = facts->limits != NULL ? json_copy((json_t *)facts->limits) : json_object();
    json_t *own = json_object_get(manifest, "limits");

    if (json_is_object(own))
        (void)json_object_update(limits, own);
    return limits;
}

char *
conf_for_worker(const struct conf_facts *facts, const char *mode, const char *app, const char *hash, const json_t *manifest)
{
    json_t *conf = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:O}", "mode", mode, "app", app, "deploy", hash, "dir",
                             json_sprintf("%s/apps/%s/deploys/%s", facts->data, app, hash), "data",
                             json_sprintf("%s/apps/%s", facts->data, app), "limits", limits_merge(facts, manifest), "manifest",
                             (json_t *)manifest);
    char *text;

    assert(conf != NULL);
    text = json_dumps(conf, JSON_COMPACT);
    assert(text != NULL);
    json_decref(conf);
    return text;
}

json_t *
app_hosts(const struct app *app)
{
    json_t *hosts = json_array(), *host;
    size_t i;

    (void)json_array_append_new(hosts, json_sprintf("%s.localhost", app->name));
    json_array_foreach (json_object_get(app->manifest, "hosts"), i, host)
        (void)json_array_append(hosts, host);
    return hosts;
}

char *
routes_for_gateway(const struct conf_facts *facts, const struct app *app, bool is_default)
{
    const json_t *assets = json_object_get(app->manifest, "assets");
    json_t *listeners = json_pack("[s]", "main"), *routes;
    char *text;

    if (app->listen[0] != '\0')
        (void)json_array_append_new(listeners, json_sprintf("app:%s", app->name));
    routes = json_pack("{s:o, s:o, s:b, s:i, s:s, s:o}", "hosts", app_hosts(app), "listeners", listeners, "default", (int)is_default,
                       "workers", (int)app->workers, "deploy", app->hash, "limits", limits_merge(facts, app->manifest));
    assert(routes != NULL);
    if (assets != NULL) {
        json_t *told = json_copy((json_t *)assets);

        (void)json_object_set_new(told, "dir", json_sprintf("%s/apps/%s/deploys/%s/assets", facts->data, app->name, app->hash));
        (void)json_object_set_new(routes, "assets", told);
    }
    text = json_dumps(routes, JSON_COMPACT);
    assert(text != NULL);
    json_decref(routes);
    return text;
}
