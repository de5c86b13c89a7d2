/* gateway_conf — CONF JSON into struct gateway_conf. The fields are listed in room.md. */
#include <jansson.h>
#include <string.h>

#include "src/gateway/gateway.h"

static const struct gateway_conf defaults = {
    .body_bytes_max = BODY_BYTES_MAX,
    .connections_max = CONNECTIONS_MAX,
    .requests_max = REQUESTS_DEFAULT,
    .ws_out_total_bytes_max = WS_OUT_TOTAL_BYTES_MAX,
    .deadline_ms = {
        [DEADLINE_HEAD] = HEAD_TIMEOUT_MS,
        [DEADLINE_IDLE] = IDLE_TIMEOUT_MS,
        [DEADLINE_BODY] = BODY_TIMEOUT_MS,
        [DEADLINE_LINGER] = LINGER_TIMEOUT_MS,
        [DEADLINE_CLOSE] = WS_CLOSE_TIMEOUT_MS,
    },
    .stall_ms = STALL_TIMEOUT_MS,
    .ws_pending_ms = WS_PENDING_TIMEOUT_MS,
    .wait_ms = WAIT_MS,
};

/* FIELD as a whole number from LOW to HIGH; absent: *value stays. */
static bool
number(const json_t *object, const char *field, json_int_t low, json_int_t high, json_int_t *value, struct err *err)
{
    const json_t *v = json_object_get(object, field);

    if (v == NULL)
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
        return err_set(err, ERR_CONFIG, 0, "gateway: '%s' must be a whole number from %lld to %lld", field,
                       (long long)low, (long long)high);
    *value = json_integer_value(v);
    return true;
}

static bool
limits_read(struct gateway_conf *c, const json_t *o, struct err *err)
{
    json_int_t body = (json_int_t)c->body_bytes_max, conns = c->connections_max, requests = c->requests_max;
    json_int_t out = (json_int_t)c->ws_out_total_bytes_max, stall = c->stall_ms;
    json_int_t head = c->deadline_ms[DEADLINE_HEAD], idle = c->deadline_ms[DEADLINE_IDLE],
               part = c->deadline_ms[DEADLINE_BODY];
    json_int_t close = c->deadline_ms[DEADLINE_CLOSE], pending = c->ws_pending_ms, wait = c->wait_ms;
    const json_int_t day = 24 * 3600 * 1000;

    if (!number(o, "body_bytes_max", 0, (json_int_t)1 << 40, &body, err) ||
        !number(o, "connections_max", 1, 1000 * 1000, &conns, err) ||
        !number(o, "requests_max", 1, REQUESTS_MAX, &requests, err) ||
        !number(o, "ws_out_total_bytes_max", 1 << 20, (json_int_t)1 << 40, &out, err) ||
        !number(o, "head_timeout_ms", 10, day, &head, err) || !number(o, "idle_timeout_ms", 10, day, &idle, err) ||
        !number(o, "body_timeout_ms", 10, day, &part, err) || !number(o, "stall_timeout_ms", 10, day, &stall, err) ||
        !number(o, "ws_close_timeout_ms", 10, day, &close, err) ||
        !number(o, "ws_pending_timeout_ms", 10, day, &pending, err) || !number(o, "worker_wait_ms", 0, day, &wait, err))
        return false;
    c->body_bytes_max = (uint64_t)body;
    c->connections_max = (uint32_t)conns;
    c->requests_max = (uint32_t)requests;
    c->ws_out_total_bytes_max = (uint64_t)out;
    c->deadline_ms[DEADLINE_HEAD] = head;
    c->deadline_ms[DEADLINE_IDLE] = idle;
    c->deadline_ms[DEADLINE_BODY] = part;
    c->stall_ms = stall;
    c->deadline_ms[DEADLINE_CLOSE] = close;
    c->ws_pending_ms = pending;
    c->wait_ms = wait;
    return true;
}

bool
gateway_conf_parse(struct gateway_conf *out_conf, struct bytes json, struct err *err)
{
    json_error_t why;
    json_t *o = json_loadb((const char *)json.data, json.len, 0, &why);
    const json_t *limits, *trust;
    struct gateway_conf conf = defaults;
    bool ok = true;

    if (!json_is_object(o)) {
        json_decref(o);
        return err_set(err, ERR_CONFIG, 0, "gateway: the configuration is no JSON object");
    }
    trust = json_object_get(o, "trust_proxy");
    if (trust != NULL && !json_is_boolean(trust))
        ok = err_set(err, ERR_CONFIG, 0, "gateway: 'trust_proxy' must be true or false");
    conf.trusts_proxy = json_is_true(trust);
    limits = json_object_get(o, "limits");
    if (ok && limits != NULL && !json_is_object(limits))
        ok = err_set(err, ERR_CONFIG, 0, "gateway: 'limits' must be an object");
    ok = ok && (limits == NULL || limits_read(&conf, limits, err));
    json_decref(o);
    if (ok)
        *out_conf = conf;
    return ok;
}
