/*
 * supervisor_listen — see supervisor_listen.h.
 */
#include "src/supervisor/supervisor_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_limits.h"

union address {
    struct sockaddr     any;
    struct sockaddr_in  v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un  local;
};

static bool
port_parse(const char *text, uint16_t *out_port)
{
    char *end;
    unsigned long port;

    if (text[0] < '0' || text[0] > '9')
        return false;
    port = strtoul(text, &end, 10);
    *out_port = (uint16_t)port;
    return *end == '\0' && port <= UINT16_MAX;
}

/* Splits "HOST:PORT" or "[HOST]:PORT". */
static bool
address_parse(const char *text, union address *out, socklen_t *out_len)
{
    char host[LISTEN_ADDRESS_MAX];
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    uint16_t port;

    if (colon == NULL || len >= sizeof host || !port_parse(colon + 1, &port))
        return false;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    memset(out, 0, sizeof *out);
    if (strcmp(host, "localhost") == 0)
        memcpy(host, "127.0.0.1", sizeof "127.0.0.1");
    if (strcmp(host, "*") == 0 || host[0] == '\0')
        memcpy(host, "0.0.0.0", sizeof "0.0.0.0");
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *out_len = sizeof out->v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) != 1)
        return false;
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(port);
    *out_len = sizeof out->v6;
    return true;
}

static void
address_print(const union address *address, char out[LISTEN_ADDRESS_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        (void)snprintf(out, LISTEN_ADDRESS_MAX, "%s:%u", host, ntohs(address->v4.sin_port));
        return;
    }
    (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
    (void)snprintf(out, LISTEN_ADDRESS_MAX, "[%s]:%u", host, ntohs(address->v6.sin6_port));
}

static bool
bind_failed(const char *address, struct err *err)
{
    const char *port = strrchr(address, ':');

    if (errno == EADDRINUSE)
        return err_set(err, ERR_EXISTS, errno,
                       "address %s is in use by another program; find it with `ss -ltnp 'sport = %s'`, or choose another port",
                       address, port != NULL ? port : address);
    if (errno == EACCES)
        return err_set(err, ERR_DENIED, errno, "not allowed to listen on %s: ports below 1024 need root or CAP_NET_BIND_SERVICE",
                       address);
    return err_set(err, ERR_NETWORK, errno, "listen on %s", address);
}

bool
listen_tcp(const char *address, int *out_fd, char out_address[LISTEN_ADDRESS_MAX], struct err *err)
{
    union address name;
    socklen_t len = 0;
    const int on = 1;
    int fd;

    if (!address_parse(address, &name, &len))
        return err_set(err, ERR_CONFIG, 0, "'%s' is not an address to listen on; write HOST:PORT with a numeric host", address);
    fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, ERR_NETWORK, errno, "open a socket for %s", address);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);   /* accepted sockets inherit it */
    if (bind(fd, &name.any, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        (void)bind_failed(address, err);
        sys_close(fd);
        return false;
    }
    len = sizeof name;
    if (getsockname(fd, &name.any, &len) == 0)
        address_print(&name, out_address);
    *out_fd = fd;
    return true;
}

/* Is someone accepting on the socket at PATH? */
static bool
local_is_alive(const union address *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = fd >= 0 && connect(fd, &name->any, sizeof name->local) == 0;

    sys_close(fd);
    return is_alive;
}

bool
listen_unix(const char *path, int *out_fd, struct err *err)
{
    union address name = { 0 };
    mode_t mask;
    int fd;
    int rc;

    if (strlen(path) >= sizeof name.local.sun_path)
        return err_set(err, ERR_CONFIG, 0, "the admin socket's path '%s' is longer than %zu bytes; set 'admin' to a shorter one",
                       path, sizeof name.local.sun_path - 1);
    name.local.sun_family = AF_UNIX;
    memcpy(name.local.sun_path, path, strlen(path) + 1);
    if (local_is_alive(&name))
        return err_set(err, ERR_EXISTS, 0, "another dormouse answers at '%s'; stop it first, or choose another data folder", path);
    if (sys_unlinkat(AT_FDCWD, path, 0) != 0 && errno != ENOENT)
        return err_set(err, ERR_IO, errno, "remove the old admin socket '%s'", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, errno, "open the admin socket");
    mask = umask(0177);
    rc = bind(fd, &name.any, sizeof name.local);
    (void)umask(mask);
    if (rc != 0 || listen(fd, SOMAXCONN) != 0) {
        (void)err_set(err, ERR_IO, errno, "listen on the admin socket '%s'", path);
        sys_close(fd);
        return false;
    }
    *out_fd = fd;
    return true;
}
