/*
 * dormouse-supervisor CONFIG — starts the house; run by `dormouse serve` and `dormouse dev`.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_shell.h"

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
