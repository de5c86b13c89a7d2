/* sys_door_test — the doors of lib/sys: faults are injectable, EINTR is retried, paths stay beneath their folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sys/sys.h"

static struct sys_table kernel;
static int calls;

static ssize_t
write_two_bytes(int fd, const void *data, size_t len)
{
    calls++;
    if (calls % 2 == 1) {
        errno = EINTR;
        return -1;
    }
    return kernel.write(fd, data, len > 2 ? 2 : len);
}

static ssize_t
write_fails_third(int fd, const void *data, size_t len)
{
    if (++calls == 3) {
        errno = ENOSPC;
        return -1;
    }
    return kernel.write(fd, data, len > 2 ? 2 : len);
}

static int
restore(void **state)
{
    sys_table = kernel;
    calls = 0;
    return 0;
}

static void
short_and_interrupted_writes_are_completed(void **state)
{
    int pipe_fds[2];
    char got[16] = "";

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    sys_table.write = write_two_bytes;
    assert_true(sys_write_all(pipe_fds[1], "abcdefg", 7));
    assert_int_equal(calls, 8); /* four writes, each interrupted once */
    assert_int_equal(sys_read(pipe_fds[0], got, sizeof got), 7);
    assert_string_equal(got, "abcdefg");
    sys_close(pipe_fds[0]);
    sys_close(pipe_fds[1]);
}

static void
a_failing_write_is_reported(void **state)
{
    int pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    sys_table.write = write_fails_third;
    assert_false(sys_write_all(pipe_fds[1], "abcdefg", 7));
    assert_int_equal(errno, ENOSPC);
    sys_close(pipe_fds[0]);
    sys_close(pipe_fds[1]);
}

static int64_t
fixed_time(void)
{
    return 1234567;
}

static int
fixed_random(void *out, size_t len)
{
    memset(out, 0x11, len);
    return 0;
}

static void
tests_own_time_and_chance(void **state)
{
    sys_table.clock_mono_us = fixed_time;
    sys_table.clock_wall_us = fixed_time;
    sys_table.random = fixed_random;
    assert_int_equal(clock_mono_ms(), 1234);
    assert_int_equal(clock_wall_us(), 1234567);
    assert_int_equal(rng_u64(), 0x1111111111111111);
}

static void
real_clocks_and_randomness_work(void **state)
{
    int64_t before = clock_mono_us();

    assert_true(clock_mono_us() >= before);
    assert_true(clock_wall_ms() > 1577836800000); /* 2020 */
    assert_true(clock_cpu_us() >= 0);
    assert_int_not_equal(rng_u64(), rng_u64());
}

static void
opened_descriptors_close_on_exec(void **state)
{
    int fd = sys_open("/dev/null", O_RDONLY, 0);

    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(sys_close(fd), 0);
    assert_int_equal(sys_close(-1), 0);
}

static void
a_path_cannot_leave_its_folder(void **state)
{
    char folder[] = "/tmp/sys_door_test.XXXXXX";
    int dir;
    int fd;

    assert_non_null(mkdtemp(folder));
    dir = sys_open(folder, O_DIRECTORY | O_RDONLY, 0);
    assert_true(dir >= 0);
    assert_int_equal(sys_mkdirat(dir, "sub", 0700), 0);
    fd = sys_open_beneath(dir, "sub/file", O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true(sys_pwrite_all(fd, "hello", 5, 0));
    sys_close(fd);
    assert_int_equal(symlinkat("/etc", dir, "out"), 0);
    assert_int_equal(symlinkat("sub", dir, "inner"), 0);
    assert_int_equal(sys_open_beneath(dir, "../..", O_RDONLY, 0), -1);
    assert_int_equal(sys_open_beneath(dir, "sub/../../x", O_RDONLY, 0), -1);
    assert_int_equal(sys_open_beneath(dir, "/etc/passwd", O_RDONLY, 0), -1);
    assert_int_equal(sys_open_beneath(dir, "out/passwd", O_RDONLY, 0), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(sys_open_beneath(dir, "inner/file", O_RDONLY, 0), -1);
    assert_int_equal(sys_unlinkat(dir, "out", 0), 0);
    assert_int_equal(sys_unlinkat(dir, "inner", 0), 0);
    assert_int_equal(sys_unlinkat(dir, "sub/file", 0), 0);
    assert_int_equal(sys_unlinkat(dir, "sub", AT_REMOVEDIR), 0);
    sys_close(dir);
    assert_int_equal(rmdir(folder), 0);
}

/* From here on openat2 does not exist for this process, as on kernels before 5.6 and in some sandboxes. */
static void
forget_openat2(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { ARRAY_LEN(code), code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(2);
}

/* The same checks without openat2, in a child; its exit status says what went wrong. */
static int
walk_checks(const char *folder)
{
    int dir = sys_open(folder, O_DIRECTORY | O_RDONLY, 0);
    int fd;

    forget_openat2();
    fd = sys_open_beneath(dir, "sub//deep/file", O_CREAT | O_RDWR, 0600);
    if (fd < 0 || (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
        return 3;
    if (sys_open_beneath(dir, "sub/deep/", O_RDONLY | O_DIRECTORY, 0) < 0)
        return 4;
    if (sys_open_beneath(dir, "..", O_RDONLY, 0) >= 0 || sys_open_beneath(dir, "sub/../../x", O_RDONLY, 0) >= 0)
        return 5;
    if (sys_open_beneath(dir, "/etc/passwd", O_RDONLY, 0) >= 0 || sys_open_beneath(dir, "", O_RDONLY, 0) >= 0)
        return 6;
    if (sys_open_beneath(dir, "out/passwd", O_RDONLY, 0) >= 0 || sys_open_beneath(dir, "out", O_RDONLY, 0) >= 0)
        return 7;
    if (sys_open_beneath(dir, "sub/deep/file/x", O_RDONLY, 0) >= 0 || errno != ENOTDIR)
        return 8;
    return 0;
}

static void
a_path_cannot_leave_its_folder_on_old_kernels(void **state)
{
    char folder[] = "/tmp/sys_door_test.XXXXXX";
    int status = -1;
    pid_t child;
    int dir;

    assert_non_null(mkdtemp(folder));
    dir = sys_open(folder, O_DIRECTORY | O_RDONLY, 0);
    assert_int_equal(sys_mkdirat(dir, "sub", 0700), 0);
    assert_int_equal(sys_mkdirat(dir, "sub/deep", 0700), 0);
    assert_int_equal(symlinkat("/etc", dir, "out"), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(walk_checks(folder));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(sys_unlinkat(dir, "out", 0), 0);
    assert_int_equal(sys_unlinkat(dir, "sub/deep/file", 0), 0);
    assert_int_equal(sys_unlinkat(dir, "sub/deep", AT_REMOVEDIR), 0);
    assert_int_equal(sys_unlinkat(dir, "sub", AT_REMOVEDIR), 0);
    sys_close(dir);
    assert_int_equal(rmdir(folder), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(short_and_interrupted_writes_are_completed, restore),
        cmocka_unit_test_teardown(a_failing_write_is_reported, restore),
        cmocka_unit_test_teardown(tests_own_time_and_chance, restore),
        cmocka_unit_test(real_clocks_and_randomness_work),
        cmocka_unit_test(opened_descriptors_close_on_exec),
        cmocka_unit_test(a_path_cannot_leave_its_folder),
        cmocka_unit_test(a_path_cannot_leave_its_folder_on_old_kernels),
    };

    kernel = sys_table;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
