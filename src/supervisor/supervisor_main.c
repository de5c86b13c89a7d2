/*
 * dormouse-supervisor CONFIG — starts the house; run by `dormouse serve` and `dormouse dev`.
 * dormouse-supervisor --probe — what the sandbox finds on this machine for a worker, as one line of JSON; starts nothing.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/map.h"
#include "lib/conf/conf.h"
#include "lib/jail/jail.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_shell.h"

static int
probe(void)
{
    static const char *const modes[] = { "best", "required" };
    struct jail_spec spec = { .role = ROLE_WORKER, .exec_path = "/usr/bin/env", .write = { "/tmp" }, .cgroup = "probe" };
    struct buf text = { 0 };
    struct err no_group = { 0 };

    if (!jail_cgroup_open(&no_group))
        spec.cgroup = "none";                                /* the report will say why */
    jail_user(&spec.uid, &spec.gid);
    buf_append_byte(&text, '{');
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct jail_report report;
        struct err err = { 0 };
        bool ok;

        spec.mode = i == 0 ? JAIL_BEST : JAIL_REQUIRED;
        ok = jail_probe(&spec, &report, &err);
        buf_printf(&text, "%s\"%s\":{\"works\":%s,\"reason\":", i == 0 ? "" : ",", modes[i], ok ? "true" : "false");
        conf_put_text(&text, err.message);
        buf_append_str(&text, ",\"layers\":");
        jail_report_json(&report, &text);
        buf_append_byte(&text, '}');
    }
    jail_cgroup_remove(spec.cgroup);
    jail_cgroup_close();
    buf_append_str(&text, "}\n");
    (void)fputs(buf_cstr(&text), stdout);
    buf_fini(&text);
    return 0;
}

int
main(int argc, char **argv)
{
    struct supervisor_config *config = NULL;
    struct house *house = NULL;
    struct err err = { 0 };
    struct rlimit files;
    int status = 1;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: dormouse-supervisor CONFIG.json (run by `dormouse serve` and `dormouse dev`)\n");
        return 2;
    }
    if (strcmp(argv[1], "--probe") == 0)
        return probe();
    map_seed(rng_u64());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;                     /* rooms inherit it; descriptors in flight count as ours */
        (void)setrlimit(RLIMIT_NOFILE, &files);              /* up to the hard limit: cannot fail */
    }
    if (supervisor_config_load(&config, argv[1], &err) && house_open(&house, config, &err))
        status = house_run(house);
    else
        (void)fprintf(stderr, "dormouse: %s\n", err.message);
    house_close(&house);
    supervisor_config_destroy(&config);
    return status;
}
