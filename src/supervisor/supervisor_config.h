/*
 * supervisor_config — the one configuration file, checked and with its defaults filled in.
 */
#ifndef DORMOUSE_SUPERVISOR_CONFIG_H
#define DORMOUSE_SUPERVISOR_CONFIG_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/jail/jail.h"
#include "src/supervisor/supervisor_limits.h"

struct supervisor_config {
    char          *data;           /* owned; absolute, no trailing slash */
    char          *admin;          /* owned; absolute path of the admin socket */
    char          *bin;            /* owned; folder of the rooms' programs: our own */
    char          *runtime;        /* owned; the runtime library that build workers evaluate: js/runtime.js near our own folder */
    char          *listen[LISTENERS_MAX];   /* owned; NULL-terminated when fewer */
    size_t         listen_count;
    uint16_t       workers;        /* per app, unless its deploy says otherwise */
    enum jail_mode sandbox;
    bool           allow_private;  /* egress may reach loopback and private addresses */
    uint64_t       worker_memory_bytes_max;   /* per worker process; 0: no limit of ours */
    uint32_t       worker_cpu_percent_max;    /* of one core; 0: no limit of ours */
    uint32_t       history_days, history_mb;  /* how far back agents can be restored, and what that may take on disk */
    struct buf     shared_json;    /* ,"field":value… for every room's CONF: log_level, limits, allow, allow_private, history_days, history_mb */
};

MUST_USE bool supervisor_config_load(struct supervisor_config **out_config, const char *path, struct err *err);
void supervisor_config_destroy(struct supervisor_config **config);

#endif
