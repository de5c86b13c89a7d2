/*
 * egress_policy — where an agent may connect to.
 *
 * Promise: an address that is not of the public Internet is refused unless the operator opened it; the decision is about the
 * address that is being connected to, not about what a name resolved to earlier, so that a name cannot change its mind.
 * Pure.
 */
#ifndef DORMOUSE_EGRESS_POLICY_H
#define DORMOUSE_EGRESS_POLICY_H

#include <sys/socket.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct egress_policy;

/* ALLOW: COUNT texts "host", ".domain", "10.0.0.0/8", "[::1]:9000", each optionally with ":port". allow_private opens everything. */
MUST_USE bool egress_policy_create(struct egress_policy **out_policy, bool allow_private, const char *const *allow, size_t count,
                                   struct err *err);
void egress_policy_destroy(struct egress_policy **policy);

/* May a connection for a URL with HOSTNAME (canonical, IPv6 in brackets) go to ADDRESS? Only AF_INET and AF_INET6 ever may. */
bool egress_policy_allows(const struct egress_policy *policy, struct bytes hostname, const struct sockaddr *address);

/* What kind of address it is: "loopback", "private", "link-local", …; NULL for the public Internet. */
const char *egress_address_kind(const struct sockaddr *address);

#endif
