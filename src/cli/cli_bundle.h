/*
 * cli_bundle — the bundler (js/build/bundle.mjs) as a child: what it built, what is wrong, and its end.
 */
#ifndef DORMOUSE_CLI_BUNDLE_H
#define DORMOUSE_CLI_BUNDLE_H

#include <jansson.h>

#include "src/cli/cli_args.h"

struct bundler;
struct loop;

enum bundle_mode { BUNDLE_ONCE, BUNDLE_COPY, BUNDLE_WATCH };   /* COPY: once, with the assets in the folder */

struct bundle_spec {
    enum bundle_mode        mode;
    bool                    is_dev;        /* .dev.vars, NODE_ENV=development */
    const char             *project;       /* absolute */
    const char             *out;           /* absolute */
    const char             *config, *env, *app, *secrets;   /* NULL when not given */
    const struct text_list *vars;          /* NULL when there are none */
};

struct bundle_events {
    void (*built)(void *owner, const json_t *event);       /* {"app","dir","hash","ms","warnings"}; borrowed */
    void (*failed)(void *owner, const json_t *errors);     /* borrowed */
    /* It ended; in watch mode that is a failure unless we stopped it. IS_OK: status 0. The owner destroys it. */
    void (*ended)(void *owner, bool is_ok);
};

MUST_USE bool bundler_start(struct bundler **out_bundler, struct loop *loop, const struct bundle_spec *spec,
                            const struct bundle_events *events, void *owner, struct err *err);
void bundler_stop(struct bundler *bundler);        /* asks it to end; ended follows */
void bundler_destroy(struct bundler **bundler);

#endif
