/*
 * egress_shell — the room: configuration, links, and which message is whose.
 *
 * Threads: none of ours.
 */
#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/jail/jail.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "lib/wire/url.h"
#include "src/egress/egress.h"
#include "src/egress/egress_headers.h"
#include "src/egress/egress_http.h"
#include "src/egress/egress_limits.h"
#include "src/egress/egress_ws.h"

static struct egress the_egress; /* one room per process; room.h's callbacks have no owner */

/* ---- helpers that both kinds of calls use --------------------------------------------------------------------- */

void
asker_set(struct asker *asker, const struct msg_CALL *call)
{
    asker->agent = call->agent;
    asker->class_name = bytes_dup(call->class_name);
    asker->name = bytes_dup(call->name);
}

void
asker_fini(struct asker *asker)
{
    free(asker->class_name);
    free(asker->name);
}

void
log_for(struct egress *egress, const struct asker *asker, const char *fmt, ...)
{
    struct link *control = room_link(egress->room, ROLE_CONTROL, 0, NULL);
    char text[1024];
    va_list args;

    if (control == NULL)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a longer line is cut */
    va_end(args);
    msg_LOG_pack(link_out(control), &(struct msg_LOG){
                                        .level = 2,
                                        .time_ms = clock_wall_ms(),
                                        .agent = asker->agent,
                                        .class_name = bytes_of(asker->class_name),
                                        .name = bytes_of(asker->name),
                                        .text = bytes_of(text),
                                    });
}

void
send_fail(struct client *client, uint32_t call, const struct failure *failure)
{
    msg_FAIL_pack(link_out(client->link), &(struct msg_FAIL){
                                              .call = call,
                                              .code = (uint16_t)failure->code,
                                              .flags = failure->flags,
                                              .message = bytes_of(failure->text),
                                          });
}

void
failure_of(struct failure *out, const struct exchange *exchange, CURLcode result)
{
    *out = (struct failure){ .code = ERR_NETWORK, .flags = FAIL_RETRYABLE };
    if (exchange->refusal[0] != '\0' && result != CURLE_OK) {
        out->code = ERR_DENIED;
        out->flags = 0;
        (void)snprintf(out->text, sizeof out->text, "%s", exchange->refusal); /* fits */
        return;
    }
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
        out->flags = 0;
        (void)snprintf(out->text, sizeof out->text, "TLS peer's certificate is not trusted; reason = %s",
                       exchange->error); /* cut when longer */
        return;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        out->code = ERR_MALFORMED;
        out->flags = 0;
        (void)snprintf(out->text, sizeof out->text, "Fetch API cannot load: %s", exchange->error);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        out->code = ERR_TIMEOUT;
        break;
    default:
        break;
    }
    (void)snprintf(out->text, sizeof out->text, "Network connection lost.");
}

bool
target_parse(struct url *out_url, struct bytes text, struct err *err)
{
    struct bytes protocol;

    if (!url_parse(out_url, text, NULL))
        return err_set(err, ERR_MALFORMED, 0, "Invalid URL: %.*s", (int)(text.len > 256 ? 256 : text.len),
                       (const char *)text.data);
    if (bytes_equal_str(url_protocol(out_url), "ws:"))
        url_set(out_url, URL_PROTOCOL, BYTES_LIT("http:"));
    if (bytes_equal_str(url_protocol(out_url), "wss:"))
        url_set(out_url, URL_PROTOCOL, BYTES_LIT("https:"));
    protocol = url_protocol(out_url);
    if (!bytes_equal_str(protocol, "http:") && !bytes_equal_str(protocol, "https:"))
        return err_set(err, ERR_MALFORMED, 0, "Fetch API cannot load: %.*s", (int)(text.len > 256 ? 256 : text.len),
                       (const char *)text.data);
    if (out_url->username_start != out_url->host_start) {
        url_set(out_url, URL_USERNAME, BYTES_NONE);
        url_set(out_url, URL_PASSWORD, BYTES_NONE);
    }
    if (out_url->hash_start >= 0)
        url_set(out_url, URL_HASH, BYTES_NONE);
    return true;
}

static void
list_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    assert(longer != NULL);
    *list = longer;
}

bool
target_headers(struct curl_slist **list, struct bytes blob, struct err *err)
{
    struct bytes name;
    struct bytes value;
    bool has_accept = false;
    bool bad;
    size_t count = 0;
    struct buf line = { 0 };

    while (headers_next(&blob, &name, &value, &bad)) {
        if (headers_is_transport(name) || bytes_equal_nocase(name, BYTES_LIT("accept-encoding")))
            continue;
        buf_clear(&line);
        if (++count > EGRESS_HEADERS_MAX || !headers_line(&line, name, value, err)) {
            buf_fini(&line);
            return count <= EGRESS_HEADERS_MAX
                       ? false
                       : err_set(err, ERR_LIMIT, 0, "a request has more than %d headers", EGRESS_HEADERS_MAX);
        }
        if (value.len == 0) {
            line.len = name.len;
            buf_append_byte(&line, ';'); /* curl's way to say "name:" with nothing behind */
        }
        has_accept = has_accept || bytes_equal_nocase(name, BYTES_LIT("accept"));
        list_add(list, buf_cstr(&line));
    }
    buf_fini(&line);
    if (bad)
        return err_set(err, ERR_MALFORMED, 0, "the header section is not in pairs of lines");
    if (!has_accept)
        list_add(list, "Accept:"); /* curl's defaults, taken out */
    list_add(list, "Expect:");
    return true;
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

static bool
is_token_method(struct bytes method)
{
    for (size_t i = 0; i < method.len; i++) {
        uint8_t c = method.data[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') &&
            (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return method.len > 0 && method.len <= 64;
}

/* Not for fetch (Fetch standard, "forbidden method"): they would let an agent speak to proxies. */
static bool
is_forbidden_method(struct bytes method)
{
    return bytes_equal_nocase(method, BYTES_LIT("CONNECT")) || bytes_equal_nocase(method, BYTES_LIT("TRACE")) ||
           bytes_equal_nocase(method, BYTES_LIT("TRACK"));
}

static void
refuse(struct client *client, uint32_t call, enum err_code code, uint8_t flags, const char *text)
{
    struct failure failure = { .code = code, .flags = flags };

    (void)snprintf(failure.text, sizeof failure.text, "%s", text); /* fits */
    send_fail(client, call, &failure);
}

static bool
is_full(const struct client *client, const struct msg_CALL *m)
{
    const struct egress *egress = client->egress;
    size_t of_link = umap_count(client->http) + umap_count(client->upgrades);

    return egress->calls >= egress->calls_max || of_link >= EGRESS_CALLS_PER_LINK_MAX ||
           of_link >= egress->calls_max / EGRESS_CALLS_PART || egress->request_bytes >= EGRESS_REQUEST_BYTES_MAX ||
           ((m->flags & CALL_BODY_MORE) != 0 && client->uploads >= EGRESS_UPLOADS_PER_LINK_MAX);
}

static bool
on_call(struct client *client, struct bytes payload, struct err *err)
{
    struct egress *egress = client->egress;
    struct msg_CALL m;

    if (!msg_CALL_unpack(&m, payload, err))
        return false;
    if (m.kind != CALL_OUT)
        return err_set(err, ERR_MALFORMED, 0, "a call of kind %u came to egress", m.kind);
    if (umap_get(client->http, m.call) != NULL || umap_get(client->upgrades, m.call) != NULL)
        return err_set(err, ERR_MALFORMED, 0, "call %u is open already", m.call);
    if (!is_token_method(m.method) || is_forbidden_method(m.method))
        refuse(client, m.call, ERR_MALFORMED, 0, "Invalid HTTP method.");
    else if (egress->is_stopping)
        refuse(client, m.call, ERR_UNAVAILABLE, FAIL_RETRYABLE, "Network connection lost.");
    else if (is_full(client, &m))
        refuse(client, m.call, ERR_OVERLOADED, FAIL_OVERLOADED, "Too many outgoing requests are open.");
    else if ((m.flags & CALL_UPGRADE) != 0)
        ws_open(client, &m);
    else
        http_open(client, &m);
    return true;
}

static bool
on_data(struct client *client, struct bytes payload, struct err *err)
{
    struct msg_DATA m;
    struct http_call *call;

    if (!msg_DATA_unpack(&m, payload, err))
        return false;
    if (m.from_opener != 1)
        return err_set(err, ERR_MALFORMED, 0, "DATA for a call that egress never opened");
    call = umap_get(client->http, m.call);
    return call == NULL || http_data(call, m.bytes, err); /* unknown: it ended a moment ago */
}

static bool
on_end(struct client *client, struct bytes payload, struct err *err)
{
    struct msg_END m;
    struct http_call *call;

    if (!msg_END_unpack(&m, payload, err))
        return false;
    call = m.from_opener == 1 ? umap_get(client->http, m.call) : NULL;
    if (call != NULL)
        http_end(call, m.message.len > 0);
    return true;
}

static bool
on_credit(struct client *client, struct bytes payload, struct err *err)
{
    struct msg_CREDIT m;
    struct http_call *call;

    if (!msg_CREDIT_unpack(&m, payload, err))
        return false;
    call = m.from_opener == 1 ? umap_get(client->http, m.call) : NULL;
    if (call != NULL)
        http_credit(call, m.bytes);
    return true;
}

static bool
on_cancel(struct client *client, struct bytes payload, struct err *err)
{
    struct msg_CANCEL m;
    struct http_call *call;
    struct ws_client *ws;

    if (!msg_CANCEL_unpack(&m, payload, err))
        return false;
    call = m.from_opener == 1 ? umap_get(client->http, m.call) : NULL;
    ws = m.from_opener == 1 ? umap_get(client->upgrades, m.call) : NULL;
    if (call != NULL)
        http_cancel(call);
    if (ws != NULL)
        ws_cancel(ws);
    return true;
}

static bool
on_ws(struct client *client, uint16_t type, struct bytes payload, struct err *err)
{
    union {
        struct msg_WS_MESSAGE message;
        struct msg_WS_CLOSE close;
        struct msg_WS_CREDIT credit;
        struct msg_WS_JOIN join;
    } m;

    switch (type) {
    case MSG_WS_MESSAGE:
        if (!msg_WS_MESSAGE_unpack(&m.message, payload, err))
            return false;
        ws_message(client, &m.message);
        return true;
    case MSG_WS_CLOSE:
        if (!msg_WS_CLOSE_unpack(&m.close, payload, err))
            return false;
        ws_close(client, &m.close);
        return true;
    case MSG_WS_CREDIT:
        if (!msg_WS_CREDIT_unpack(&m.credit, payload, err))
            return false;
        ws_credit(client, &m.credit);
        return true;
    default:
        if (!msg_WS_JOIN_unpack(&m.join, payload, err))
            return false;
        ws_join(client, &m.join);
        return true;
    }
}

/* ---- the room ------------------------------------------------------------------------------------------------- */

static void
before_wait(void *owner)
{
    struct egress *egress = owner;

    /* A call that is flushed may be touched again, by curl or because its link is full: once more, then in the next
     * iteration. */
    for (int pass = 0; pass < 2; pass++) {
        struct list_node now;
        list_init(&now);
        while (!list_is_empty(&egress->touched)) {
            struct list_node *node = egress->touched.next;
            list_remove(node);
            list_push_back(&now, node);
        }
        while (!list_is_empty(&now)) {
            struct list_node *node = now.next;
            list_remove(node);
            http_flush(http_touched(node));
        }
    }
    if (egress->is_stopping && egress->calls == 0 && umap_count(egress->sockets) == 0)
        room_exit(egress->room, 0);
}

static bool
read_allow(struct egress *egress, const json_t *conf, struct err *err)
{
    const json_t *list = json_object_get(conf, "allow");
    const json_t *allow_private = json_object_get(conf, "allow_private");
    size_t count = json_array_size(list);
    const char **texts;
    bool ok = true;

    if (list != NULL && !json_is_array(list) && !json_is_null(list))
        return err_set(err, ERR_CONFIG, 0, "allow is not a list");
    if (allow_private != NULL && !json_is_boolean(allow_private))
        return err_set(err, ERR_CONFIG, 0, "allow_private is neither true nor false");
    texts = calloc(count + 1, sizeof *texts);
    assert(texts != NULL);
    for (size_t i = 0; i < count && ok; i++) {
        texts[i] = json_string_value(json_array_get(list, i));
        ok = texts[i] != NULL || err_set(err, ERR_CONFIG, 0, "allow: entry %zu is not a text", i);
    }
    ok = ok && egress_policy_create(&egress->policy, json_is_true(allow_private), texts, count, err);
    free(texts);
    return ok;
}

static bool
read_limit(const json_t *conf, const char *name, long *inout, struct err *err)
{
    const json_t *value = json_object_get(json_object_get(conf, "limits"), name);

    if (value == NULL)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 24 * 3600 * 1000)
        return err_set(err, ERR_CONFIG, 0, "limits.%s must be 1 to 86400000", name);
    *inout = (long)json_integer_value(value);
    return true;
}

static bool
read_conf(struct egress *egress, struct bytes text, struct err *err)
{
    json_error_t at;
    json_t *conf = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &at);
    bool ok;

    if (!json_is_object(conf)) {
        json_decref(conf);
        return err_set(err, ERR_CONFIG, 0, "CONF is not a JSON object: %s", at.text);
    }
    egress->limits = (struct outlet_limits){ .connect_ms = EGRESS_CONNECT_MS, .idle_ms = EGRESS_IDLE_MS };
    ok = read_allow(egress, conf, err) && read_limit(conf, "egress_connect_ms", &egress->limits.connect_ms, err) &&
         read_limit(conf, "egress_idle_ms", &egress->limits.idle_ms, err);
    json_decref(conf);
    return ok;
}

/* SSL_CERT_FILE, as OpenSSL's own programs know it. In the sandbox only a file among the system's certificates can be
 * seen. */
static void
choose_certificates(struct egress *egress)
{
    const char *path = getenv("SSL_CERT_FILE");
    int fd = path == NULL || *path == '\0' ? -1 : sys_open(path, O_RDONLY, 0);

    if (fd >= 0)
        egress->limits.certificates = path;
    else if (path != NULL && *path != '\0')
        room_log(egress->room, 2,
                 "SSL_CERT_FILE '%s' cannot be read from within the sandbox; put the certificate into "
                 "/usr/local/share/ca-certificates and run update-ca-certificates",
                 path);
    (void)sys_close(fd); /* opened to see that it can be */
}

/* What libraries open at first use is opened now, before the sandbox closes: certificates, OpenSSL's configuration. */
static void
warm_up(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl_easy_cleanup(curl_easy_init());
}

/* A call beyond the descriptors would fail as if the network had. */
static size_t
calls_max(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= EGRESS_CALLS_MAX + EGRESS_FILES_KEPT)
        return EGRESS_CALLS_MAX;
    return files.rlim_cur > EGRESS_FILES_KEPT + EGRESS_CALLS_MIN ? files.rlim_cur - EGRESS_FILES_KEPT : EGRESS_CALLS_MIN;
}

static bool
on_start(struct room *room, struct bytes conf_json, struct err *err)
{
    struct egress *egress = &the_egress;

    *egress = (struct egress){ .room = room, .loop = room_loop(room) };
    if (!read_conf(egress, conf_json, err))
        return false;
    list_init(&egress->touched);
    egress->sockets = umap_create();
    /* Ids start at the clock, so that a restarted room does not give one out again: bits below 51 last for years of
     * milliseconds. */
    egress->next_socket = ((uint64_t)clock_wall_ms() << 8) & (EGRESS_SOCKET_BIT - 1);
    choose_certificates(egress);
    warm_up();
    egress->outlet = outlet_create(egress->loop, egress->policy, &egress->limits);
    egress->hook = loop_before_wait(egress->loop, before_wait, egress);
    if (!jail_enter(ROLE_EGRESS, conf_json, err))
        return false;
    egress->calls_max = calls_max();
    room_ready(room);
    return true;
}

static void
on_link_up(struct room *room, struct link *link)
{
    struct client *client;

    if (link_peer(link)->role != ROLE_WORKER)
        return;
    client = calloc(1, sizeof *client);
    assert(client != NULL);
    client->egress = &the_egress;
    client->link = link;
    client->http = umap_create();
    client->upgrades = umap_create();
    link_set_user(link, client);
}

static void
on_link_down(struct room *room, struct link *link, const struct err *err)
{
    struct client *client = link_user(link);
    size_t cursor = 0;
    void *call;

    if (client == NULL)
        return;
    while (umap_next(client->http, &cursor, NULL, &call))
        http_cancel(call);
    ws_client_lost(client);
    umap_destroy(&client->http);
    umap_destroy(&client->upgrades);
    link_set_user(link, NULL);
    free(client);
}

static bool
on_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct client *client = link_user(link);

    if (client == NULL)
        return err_set(err, ERR_MALFORMED, 0, "%s from %s", message_name(type), role_name(link_peer(link)->role));
    switch (type) {
    case MSG_CALL:
        return on_call(client, payload, err);
    case MSG_DATA:
        return on_data(client, payload, err);
    case MSG_END:
        return on_end(client, payload, err);
    case MSG_CREDIT:
        return on_credit(client, payload, err);
    case MSG_CANCEL:
        return on_cancel(client, payload, err);
    case MSG_WS_MESSAGE:
    case MSG_WS_CLOSE:
    case MSG_WS_CREDIT:
    case MSG_WS_JOIN:
        return on_ws(client, type, payload, err);
    default:
        return err_set(err, ERR_MALFORMED, 0, "unexpected message %s", message_name(type));
    }
}

static void
on_stop(struct room *room, uint32_t grace_ms)
{
    the_egress.is_stopping =
        true; /* before_wait ends the room when the last call has; the supervisor when the time is over */
}

static void
on_count(struct room *room, struct buf *json)
{
    count_put(json, "calls", the_egress.calls_total);
    count_put(json, "calls_open", the_egress.calls);
    count_put(json, "sockets", umap_count(the_egress.sockets));
}

const struct room_spec egress_room = {
    .role = ROLE_EGRESS,
    .name = "egress",
    .start = on_start,
    .link_up = on_link_up,
    .link_down = on_link_down,
    .message = on_message,
    .stop = on_stop,
    .count = on_count,
};
