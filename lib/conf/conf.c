/*
 * conf — see conf.h. Over jansson.
 */
#include "lib/conf/conf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"

struct conf {
    json_t *root;                  /* owned; an object */
    char   *name;                  /* owned */
};

static bool
file_read(const char *path, struct buf *out, struct err *err)
{
    int fd = sys_open(path, O_RDONLY, 0);
    ssize_t n;

    if (fd < 0)
        return err_set(err, ERR_CONFIG, errno, "open '%s': %s", path, strerror(errno));
    do {
        buf_reserve(out, 4096);
        n = sys_read(fd, out->data + out->len, 4096);
        out->len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && out->len <= CONF_FILE_BYTES_MAX);
    sys_close(fd);
    if (n < 0)
        return err_set(err, ERR_CONFIG, errno, "read '%s': %s", path, strerror(errno));
    if (out->len > CONF_FILE_BYTES_MAX)
        return err_set(err, ERR_CONFIG, 0, "'%s' is larger than %d bytes", path, CONF_FILE_BYTES_MAX);
    return true;
}

bool
conf_load(struct conf **out_conf, const char *path, struct err *err)
{
    struct buf text = { 0 };
    bool ok = file_read(path, &text, err) && conf_parse(out_conf, buf_view(&text), path, err);

    buf_fini(&text);
    return ok;
}

bool
conf_parse(struct conf **out_conf, struct bytes text, const char *name, struct err *err)
{
    json_error_t where;
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &where);
    struct conf *conf;

    if (root == NULL)
        return err_set(err, ERR_CONFIG, 0, "'%s' line %d: %s", name, where.line, where.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_CONFIG, 0, "'%s' is not a JSON object", name);
    }
    conf = calloc(1, sizeof *conf);
    assert(conf != NULL);
    conf->root = root;
    conf->name = strdup(name);
    assert(conf->name != NULL);
    *out_conf = conf;
    return true;
}

void
conf_destroy(struct conf **conf)
{
    if (*conf == NULL)
        return;
    json_decref((*conf)->root);
    free((*conf)->name);
    free(*conf);
    *conf = NULL;
}

bool
conf_check(const struct conf *conf, const char *const *known, struct err *err)
{
    const char *field;
    json_t *value;

    json_object_foreach (conf->root, field, value) {
        const char *const *name = known;

        while (*name != NULL && strcmp(*name, field) != 0)
            name++;
        if (*name == NULL)
            return err_set(err, ERR_CONFIG, 0, "'%s': unknown field '%s'", conf->name, field);
    }
    return true;
}

bool
conf_get_text(const struct conf *conf, const char *field, const char **inout_text, struct err *err)
{
    const json_t *value = json_object_get(conf->root, field);

    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return err_set(err, ERR_CONFIG, 0, "'%s': field '%s' must be a string", conf->name, field);
    *inout_text = json_string_value(value);
    return true;
}

bool
conf_get_flag(const struct conf *conf, const char *field, bool *inout_flag, struct err *err)
{
    const json_t *value = json_object_get(conf->root, field);

    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_boolean(value))
        return err_set(err, ERR_CONFIG, 0, "'%s': field '%s' must be true or false", conf->name, field);
    *inout_flag = json_is_true(value);
    return true;
}

bool
conf_get_number(const struct conf *conf, const char *field, int64_t least, int64_t most, int64_t *inout_number,
                struct err *err)
{
    const json_t *value = json_object_get(conf->root, field);
    int64_t number;

    assert(least <= most);
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_integer(value))
        return err_set(err, ERR_CONFIG, 0, "'%s': field '%s' must be a whole number", conf->name, field);
    number = json_integer_value(value);
    if (number < least || number > most)
        return err_set(err, ERR_CONFIG, 0, "'%s': field '%s' is %lld, outside of %lld to %lld", conf->name, field,
                       (long long)number, (long long)least, (long long)most);
    *inout_number = number;
    return true;
}

bool
conf_count(const struct conf *conf, const char *field, size_t most, size_t *out_count, struct err *err)
{
    const json_t *value = json_object_get(conf->root, field);

    *out_count = 0;
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_array(value))
        return err_set(err, ERR_CONFIG, 0, "'%s': field '%s' must be an array of strings", conf->name, field);
    if (json_array_size(value) > most)
        return err_set(err, ERR_CONFIG, 0, "'%s': field '%s' has more than %zu entries", conf->name, field, most);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i)))
            return err_set(err, ERR_CONFIG, 0, "'%s': field '%s' must be an array of strings", conf->name, field);
    *out_count = json_array_size(value);
    return true;
}

const char *
conf_text_at(const struct conf *conf, const char *field, size_t index)
{
    return json_string_value(json_array_get(json_object_get(conf->root, field), index));
}

bool
conf_copy_json(const struct conf *conf, const char *field, struct buf *out)
{
    const json_t *value = json_object_get(conf->root, field);
    char *text;

    if (value == NULL)
        return false;
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert(text != NULL);
    buf_append_str(out, text);
    free(text);
    return true;
}

void
conf_put_text(struct buf *out, const char *text)
{
    json_t *value = json_string(text);
    char *copy = NULL;
    char *json;

    if (value == NULL) {                                     /* not UTF-8: a path may be anything */
        copy = strdup(text);
        assert(copy != NULL);
        for (char *c = copy; *c != '\0'; c++)
            *c = (unsigned char)*c >= 0x80 ? '?' : *c;
        value = json_string(copy);
    }
    json = json_dumps(value, JSON_ENCODE_ANY);
    assert(json != NULL);
    buf_append_str(out, json);
    free(json);
    free(copy);
    json_decref(value);
}
