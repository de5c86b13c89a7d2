/*
 * control_tell — what the supervisor, the gateway and the workers are told about an app. Whoever is away is told when it comes up.
 */
#include <stdlib.h>

#include "src/control/control.h"

void
tell_app_start(struct control *c, const struct app *app, const char *hash, uint16_t workers, const json_t *manifest)
{
    struct conf_facts facts = control_facts(c);
    char *conf;

    if (workers == 0)
        return;
    conf = conf_for_worker(&facts, "serve", app->name, hash, manifest);
    msg_APP_START_pack(link_out(room_supervisor(c->room)),
                       &(struct msg_APP_START){ .app = bytes_of(app->name), .count = workers, .json = bytes_of(conf) });
    free(conf);
}

void
tell_build(struct control *c, const struct app *app, uint32_t build, const char *hash, const json_t *manifest)
{
    struct conf_facts facts = control_facts(c);
    char *conf = conf_for_worker(&facts, "build", app->name, hash, manifest);

    msg_BUILD_pack(link_out(room_supervisor(c->room)),
                   &(struct msg_BUILD){ .build = build, .app = bytes_of(app->name), .json = bytes_of(conf) });
    free(conf);
}

void
tell_deploy(struct link *worker, const char *hash, const json_t *manifest)
{
    char *text = json_dumps(manifest, JSON_COMPACT);

    msg_DEPLOY_pack(link_out(worker), &(struct msg_DEPLOY){ .hash = bytes_of(hash), .manifest = bytes_of(text) });
    free(text);
}

struct link *
worker_link(struct control *c, const struct app *app, uint16_t slot)
{
    return room_link(c->room, ROLE_WORKER, slot, app->name);
}

void
tell_workers(struct control *c, const struct app *app, uint16_t workers, const char *hash, const json_t *manifest)
{
    for (uint16_t slot = 0; slot < workers; slot++) {
        struct link *worker = worker_link(c, app, slot);

        if (worker != NULL)
            tell_deploy(worker, hash, manifest);
    }
}

void
tell_routes(struct control *c, const struct app *app)
{
    struct link *gateway = room_link(c->room, ROLE_GATEWAY, 0, "");
    struct conf_facts facts = control_facts(c);
    char *routes;

    if (gateway == NULL || app->hash[0] == '\0' || app->manifest == NULL)
        return;
    routes = routes_for_gateway(&facts, app, apps_default(&c->apps) == app);
    msg_ROUTES_pack(link_out(gateway), &(struct msg_ROUTES){ .app = bytes_of(app->name), .json = bytes_of(routes) });
    free(routes);
    /* The operator's answer follows on another socket: who asks on hearing it must not overtake the routes. */
    link_flush(gateway);
}

/* The default app comes last: a gateway that knows it, and not yet the others, would send it requests for their hosts. */
void
tell_all_routes(struct control *c)
{
    struct app *app, *default_app = apps_default(&c->apps);

    list_each(app, &c->apps.list, struct app, in_apps)
        if (app != default_app)
            tell_routes(c, app);
    if (default_app != NULL)
        tell_routes(c, default_app);
}

void
tell_listen(struct control *c, const struct app *app)
{
    struct buf name = { 0 };

    buf_printf(&name, "app:%s", app->name);
    msg_LISTEN_OPEN_pack(link_out(room_supervisor(c->room)),
                         &(struct msg_LISTEN_OPEN){ .name = buf_view(&name), .address = bytes_of(app->listen) });
    buf_fini(&name);
}

bool
app_is_up(struct control *c, const struct app *app)
{
    if (app->hash[0] == '\0' || !app_all_took(app, app->workers, app->hash))
        return false;
    for (uint16_t slot = 0; slot < app->workers; slot++)
        if (worker_link(c, app, slot) == NULL)
            return false;
    return true;
}
