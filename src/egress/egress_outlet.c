/*
 * egress_outlet — see egress_outlet.h.
 *
 * Threads: none of ours; curl resolves names in threads of its own.
 */
#include "src/egress/egress_outlet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "src/egress/egress_limits.h"

struct outlet {
    struct loop *loop;
    const struct egress_policy *policy; /* borrowed */
    struct outlet_limits limits;
    CURLM *multi;
    struct loop_timer *timer;
};

/* A descriptor that curl watches. */
struct watch {
    struct outlet *outlet;
    curl_socket_t fd;
    struct loop_poll *poll;
};

/* Tells the owners of what has ended. An owner may start and release exchanges meanwhile. */
static void
report_done(struct outlet *o)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(o->multi, &left)) != NULL) {
        struct exchange *exchange = NULL;
        CURLcode result = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&exchange); /* set by outlet_prepare */
        exchange->done(exchange, result);
    }
}

static void
act(struct outlet *o, curl_socket_t fd, int events)
{
    int running;
    CURLMcode rc = curl_multi_socket_action(o->multi, fd, events, &running);

    assert(rc == CURLM_OK);
    report_done(o);
}

static void
on_readiness(void *owner, int events)
{
    struct watch *watch = owner;

    act(watch->outlet, watch->fd,
        ((events & LOOP_READABLE) != 0 ? CURL_CSELECT_IN : 0) | ((events & LOOP_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(void *owner)
{
    act(owner, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_watch(CURL *easy, curl_socket_t fd, int what, void *owner, void *data)
{
    struct outlet *o = owner;
    struct watch *watch = data;

    if (what == CURL_POLL_REMOVE) {
        if (watch == NULL)
            return 0;
        loop_poll_destroy(&watch->poll);
        free(watch);
        (void)curl_multi_assign(o->multi, fd, NULL); /* fails only for a socket that curl forgot already */
        return 0;
    }
    if (watch == NULL) {
        watch = calloc(1, sizeof *watch);
        assert(watch != NULL);
        watch->outlet = o;
        watch->fd = fd;
        watch->poll = loop_poll_create(o->loop, fd, on_readiness, watch);
        (void)curl_multi_assign(o->multi, fd, watch); /* cannot fail for the socket at hand */
    }
    loop_poll_set(watch->poll,
                  ((what & CURL_POLL_IN) != 0 ? LOOP_READABLE : 0) | ((what & CURL_POLL_OUT) != 0 ? LOOP_WRITABLE : 0));
    return 0;
}

static int
on_timer_change(CURLM *multi, long ms, void *owner)
{
    struct outlet *o = owner;

    if (ms < 0)
        loop_timer_disarm(o->timer);
    else
        loop_timer_arm(o->timer, (uint64_t)ms);
    return 0;
}

struct outlet *
outlet_create(struct loop *loop, const struct egress_policy *policy, const struct outlet_limits *limits)
{
    struct outlet *o = calloc(1, sizeof *o);

    assert(o != NULL);
    o->loop = loop;
    o->policy = policy;
    o->limits = *limits;
    o->multi = curl_multi_init();
    assert(o->multi != NULL);
    o->timer = loop_timer_create(loop, on_timer, o);
    (void)curl_multi_setopt(o->multi, CURLMOPT_SOCKETFUNCTION, on_watch);
    (void)curl_multi_setopt(o->multi, CURLMOPT_SOCKETDATA, o);
    (void)curl_multi_setopt(o->multi, CURLMOPT_TIMERFUNCTION, on_timer_change);
    (void)curl_multi_setopt(o->multi, CURLMOPT_TIMERDATA, o);
    (void)curl_multi_setopt(o->multi, CURLMOPT_MAXCONNECTS, (long)EGRESS_IDLE_CONNECTIONS_MAX);
    (void)curl_multi_setopt(o->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)EGRESS_CONNECTIONS_MAX);
    return o;
}

void
outlet_destroy(struct outlet **outlet)
{
    if (*outlet == NULL)
        return;
    (void)curl_multi_cleanup((*outlet)->multi); /* its owners have released their exchanges */
    loop_timer_destroy(&(*outlet)->timer);
    free(*outlet);
    *outlet = NULL;
}

/* curl asks for a socket to an address: the one place where the real destination is known. */
static curl_socket_t
on_open_socket(void *owner, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exchange *exchange = owner;
    char text[INET6_ADDRSTRLEN] = "?";
    const char *kind;

    if (purpose == CURLSOCKTYPE_IPCXN &&
        egress_policy_allows(exchange->outlet->policy, exchange->hostname, &address->addr)) {
        exchange->refusal[0] = '\0';
        return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    }
    kind = egress_address_kind(&address->addr);
    if (address->family == AF_INET)
        (void)inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)&address->addr)->sin_addr, text, sizeof text);
    else if (address->family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)&address->addr)->sin6_addr, text, sizeof text);
    (void)snprintf(exchange->refusal, sizeof exchange->refusal,
                   "Egress to %s (%s) is not allowed; the operator can open it with `allow` or `allow_private`.", text,
                   kind == NULL ? "public" : kind);
    return CURL_SOCKET_BAD;
}

void
outlet_prepare(struct outlet *outlet, struct exchange *exchange, const char *url)
{
    CURL *easy = curl_easy_init();

    assert(easy != NULL);
    assert(exchange->easy == NULL);
    exchange->easy = easy;
    exchange->outlet = outlet;
    exchange->refusal[0] = '\0';
    exchange->error[0] = '\0';
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY,
                           ""); /* the policy must see the real destination, so no proxy from the environment */
    (void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
                           1L); /* a cancelled call must not make the room wait for a name server */
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, outlet->limits.connect_ms);
    /* One file of certificates and no folder: only then curl reads it once for all connections. Else each takes 25 ms of
     * processor time and 900 KB. */
    (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (outlet->limits.certificates != NULL)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, outlet->limits.certificates);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
}

void
outlet_start(struct exchange *exchange)
{
    CURLMcode rc = curl_multi_add_handle(exchange->outlet->multi, exchange->easy);

    assert(rc == CURLM_OK); /* the handle is fresh and in no other multi */
    exchange->is_running = true;
}

void
outlet_release(struct exchange *exchange)
{
    if (exchange->easy == NULL)
        return;
    if (exchange->is_running)
        (void)curl_multi_remove_handle(exchange->outlet->multi, exchange->easy); /* it is in there */
    curl_easy_cleanup(exchange->easy);
    exchange->easy = NULL;
    exchange->is_running = false;
}
