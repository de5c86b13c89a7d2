/* backup_admin — see backup_admin.h. */
#include "src/backup/backup_admin.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "lib/base/bytes.h"
#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"

static bool
dial(const char *path, int *out_fd, struct err *err)
{
    const struct timeval wait = { .tv_sec = ADMIN_WAIT_MS / 1000 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof address.sun_path) {
        (void)sys_close(fd);               /* -1 is fine */
        return err_set(err, ERR_IO, 0, "Cannot make a socket to '%s'.", path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);   /* without it we would wait longer */
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        *out_fd = fd;
        return true;
    }
    (void)err_set(err, ERR_UNAVAILABLE, errno,
                  "A Dormouse uses the data folder, but does not answer at '%s'. Name its socket with --socket, or run this as the user that started it", path);
    (void)sys_close(fd);
    return false;
}

/* Reads up to the first newline. */
static bool
line_read(int fd, struct buf *out)
{
    while (out->len == 0 || out->data[out->len - 1] != '\n') {
        ssize_t got;

        if (out->len > ADMIN_LINE_BYTES)
            return false;
        buf_reserve(out, 4096);
        got = sys_read(fd, out->data + out->len, 4096);
        if (got <= 0)
            return false;
        out->len += (size_t)got;
    }
    return true;
}

bool
admin_ask(const char *socket, const char *op, json_t **out_answer, struct err *err)
{
    struct buf line = { 0 };
    const char *why;
    json_t *answer = NULL;
    int fd = -1;

    if (!dial(socket, &fd, err))
        return false;
    buf_printf(&line, "{\"id\":1,\"op\":\"%s\"}\n", op);
    if (sys_write_all(fd, line.data, line.len)) {
        buf_clear(&line);
        if (line_read(fd, &line))
            answer = json_loadb((const char *)line.data, line.len, 0, NULL);
    }
    buf_fini(&line);
    (void)sys_close(fd);                   /* nothing more is expected of it */
    if (json_is_true(json_object_get(answer, "ok"))) {
        *out_answer = answer;
        return true;
    }
    why = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
    (void)err_set(err, ERR_UNAVAILABLE, 0, "Dormouse does not take part in the backup: %s.", why != NULL ? why : "it closed the connection");
    json_decref(answer);
    return false;
}
