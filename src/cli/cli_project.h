/*
 * cli_project — what dev, serve, deploy and build have in common: a user's project folder, and addresses.
 */
#ifndef DORMOUSE_CLI_PROJECT_H
#define DORMOUSE_CLI_PROJECT_H

#include "src/cli/cli_args.h"

/* DIR (NULL: here) made absolute, and checked: a folder that holds a wrangler file, unless CONFIG names one. */
MUST_USE bool project_find(const char *dir, const char *config, char out[CLI_PATH_BYTES], struct err *err);
/* A deploy folder that is built already (manifest.json and files.json in it)? */
bool project_is_deploy(const char *dir);
/* "HOST:PORT", with brackets around an IPv6 host. */
MUST_USE bool address_print(const char *host, long port, char out[CLI_PATH_BYTES], struct err *err);
/* The address that a browser can open: 0.0.0.0 and [::] become 127.0.0.1. */
void address_url(const char *address, char out[CLI_PATH_BYTES]);
/* The port of "HOST:PORT" as text. */
const char *address_port(const char *address);
/* "NAME=VALUE" of a list option whose NAME is this one: VALUE, else NULL. */
const char *pair_find(const struct text_list *pairs, const char *name);
/* Every item must look like NAME=PORT. */
MUST_USE bool pairs_check_ports(const struct text_list *pairs, struct err *err);
/* A private temporary folder; the caller frees the path and removes the folder with folder_discard. */
MUST_USE bool folder_temporary(char out[CLI_PATH_BYTES], struct err *err);
void folder_discard(const char *path);

#endif
