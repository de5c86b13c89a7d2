/* control_top — the questions `top` and `metrics`: a census, as it is and as text for Prometheus. */
#include <assert.h>
#include <stdlib.h>

#include "lib/sys/sys.h"
#include "src/control/control.h"
#include "src/control/control_census.h"
#include "src/control/control_metrics.h"

struct asking {                        /* an operator who waits for a census */
    struct control  *control;
    struct admin_ref asker;
};

static void
say_rooms(void *owner, const json_t *rooms)
{
    struct asking *asking = owner;
    json_t *fields = json_object();

    (void)json_object_set_new(fields, "time_ms", json_integer(clock_wall_ms()));
    (void)json_object_set_new(fields, "mono_us", json_integer(clock_mono_us()));
    (void)json_object_set(fields, "rooms", (json_t *)(uintptr_t)rooms);
    admin_ok(asking->control->admin, asking->asker, fields);
    free(asking);
}

static void
say_metrics(void *owner, const json_t *rooms)
{
    struct asking *asking = owner;
    struct buf text = { 0 };

    metrics_print(rooms, &text);
    admin_ok(asking->control->admin, asking->asker, json_pack("{s:s}", "text", buf_cstr(&text)));
    buf_fini(&text);
    free(asking);
}

static void
begin(struct control *c, struct admin_ref from, void (*done)(void *owner, const json_t *rooms))
{
    struct asking *asking = calloc(1, sizeof *asking);
    struct err err = { 0 };

    assert(asking != NULL);
    *asking = (struct asking){ c, from };
    if (census_begin(c, done, asking))
        return;
    free(asking);
    (void)err_set(&err, ERR_OVERLOADED, 0, "too many ask for the counters at once; try again");
    admin_fail(c->admin, from, &err, NULL);
}

void
op_top(struct control *c, struct admin_ref from, const json_t *request)
{
    begin(c, from, say_rooms);
}

void
op_metrics(struct control *c, struct admin_ref from, const json_t *request)
{
    begin(c, from, say_metrics);
}
