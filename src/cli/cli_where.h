/*
 * cli_where — where things are: our programs, the bundler, the data folder, the admin socket.
 */
#ifndef DORMOUSE_CLI_WHERE_H
#define DORMOUSE_CLI_WHERE_H

#include "lib/base/err.h"
#include "src/cli/cli_limits.h"

/* The program NAME, beside ours; the supervisor's. */
MUST_USE bool where_program(const char *name, char out[CLI_PATH_BYTES], struct err *err);
MUST_USE bool where_supervisor(char out[CLI_PATH_BYTES], struct err *err);
/* js/build/bundle.mjs: in the source tree above our program, or in ../lib/dormouse of an installation. */
MUST_USE bool where_bundler(char out[CLI_PATH_BYTES], struct err *err);
/* PATH made absolute, without ".." and links where they exist. */
MUST_USE bool where_absolute(const char *path, char out[CLI_PATH_BYTES], struct err *err);
/* Makes the folder and those above it. */
MUST_USE bool where_make(const char *path, struct err *err);

/* The data folder of `serve`: GIVEN, $DORMOUSE_DATA, /var/lib/dormouse when it is there, else ~/.local/share/dormouse. */
MUST_USE bool where_data(const char *given, char out[CLI_PATH_BYTES], struct err *err);
/* The data folder of a backup: GIVEN, $DORMOUSE_DATA, ./.dormouse when it is there, or that of `serve`. */
MUST_USE bool where_source(const char *given, char out[CLI_PATH_BYTES], struct err *err);
/* The admin socket of a data folder: in it, or for long paths in a private folder of the user's. */
MUST_USE bool where_socket(const char *data, char out[CLI_PATH_BYTES], struct err *err);
/* For the commands that talk to a running Dormouse: SOCKET, DATA, $DORMOUSE_DATA, ./.dormouse, or where `serve` would run. */
MUST_USE bool where_running(const char *socket, const char *data, char out[CLI_PATH_BYTES], struct err *err);

#endif
