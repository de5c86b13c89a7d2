/*
 * jail_attacks — see jail_attacks.h.
 */
#include "tests/jail/jail_attacks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/macros.h"

/* ---- network ---------------------------------------------------------------------------------------------------- */

static bool
socket_tcp(const struct targets *targets)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static bool
socket_unix(const struct targets *targets)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool
socket_packet(const struct targets *targets)
{
    return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static bool
connect_loopback(const struct targets *targets)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)targets->port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
}

static bool
listen_anywhere(const struct targets *targets)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 1) == 0;
}

/* ---- new programs, processes, threads ---------------------------------------------------------------------------- */

static bool
exec_shell(const struct targets *targets)
{
    (void)execl("/bin/sh", "sh", "-c", "exit 77", (char *)NULL);
    return false;
}

static bool
exec_memfd(const struct targets *targets)
{
    static const char script[] = "#!/bin/sh\nexit 77\n";
    char *const args[] = { (char *)"x", NULL };
    char *const env[] = { NULL };
    int fd = memfd_create("x", 0);

    if (fd < 0 || write(fd, script, sizeof script - 1) != (ssize_t)sizeof script - 1)
        return false;
    (void)syscall(SYS_execveat, fd, "", args, env, AT_EMPTY_PATH);
    return false;
}

static bool
fork_process(const struct targets *targets)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static bool
clone3_process(const struct targets *targets)
{
    struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } args = { .exit_signal = SIGCHLD };
    long pid = syscall(SYS_clone3, &args, sizeof args);

    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static void *
thread_main(void *argument)
{
    return argument;
}

static bool
start_thread(const struct targets *targets)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, thread_main, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

/* ---- code --------------------------------------------------------------------------------------------------------- */

static bool
map_code(const struct targets *targets)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool
turn_data_into_code(const struct targets *targets)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool
personality_change(const struct targets *targets)
{
    return personality(READ_IMPLIES_EXEC) >= 0 && (personality(0xffffffff) & READ_IMPLIES_EXEC) != 0;
}

static bool
enter_i386(const struct targets *targets)
{
    long result = 20;                                        /* getpid of the 32-bit table */

#ifdef __x86_64__
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
#endif
    return result == getpid();
}

static bool
enter_x32(const struct targets *targets)
{
    return syscall(0x40000000L | SYS_getppid) > 0;
}

static bool
replace_trap_handler(const struct targets *targets)
{
    return signal(SIGSYS, SIG_IGN) != SIG_ERR;
}

/* ---- other processes ----------------------------------------------------------------------------------------------- */

static bool
signal_victim(const struct targets *targets)
{
    return kill(targets->victim, SIGCONT) == 0;
}

static bool
signal_parent(const struct targets *targets)
{
    return kill(getppid(), SIGCONT) == 0;
}

static bool
signal_everyone(const struct targets *targets)
{
    return kill(-1, 0) == 0;     /* signal 0 harms nobody; 0 even when all refuse: says only whether the call may be made */
}

static bool
signal_by_pidfd(const struct targets *targets)
{
    int fd = (int)syscall(SYS_pidfd_open, targets->victim, 0);

    return fd >= 0 && syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0) == 0;
}

static bool
trace_victim(const struct targets *targets)
{
    if (ptrace(PTRACE_SEIZE, targets->victim, NULL, NULL) != 0)
        return false;
    (void)ptrace(PTRACE_DETACH, targets->victim, NULL, NULL);
    return true;
}

static bool
read_victims_memory(const struct targets *targets)
{
    static char local[16];
    static char shared[16];                                  /* the victim was forked from us: the same address */
    struct iovec to = { local, sizeof local };
    struct iovec from = { shared, sizeof shared };

    return process_vm_readv(targets->victim, &to, 1, &from, 1, 0) == (ssize_t)sizeof local;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static bool
can_read(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, &byte, 1) == 1;
}

static const char *
path_in(const char *folder, const char *name)
{
    static char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool
read_passwd(const struct targets *targets)
{
    return can_read("/etc/passwd");
}

static bool
read_environ_of_init(const struct targets *targets)
{
    return can_read("/proc/1/environ");
}

static bool
read_environ_of_victim(const struct targets *targets)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)targets->victim);
    return can_read(path);
}

static bool
read_own_maps(const struct targets *targets)
{
    return can_read("/proc/self/maps");
}

static bool
read_other_app(const struct targets *targets)
{
    return can_read(path_in(targets->other, "secret"));
}

static bool
read_other_app_by_dots(const struct targets *targets)
{
    return can_read(path_in(targets->own, "../other/secret"));
}

static bool
read_through_symlink(const struct targets *targets)
{
    return can_read(path_in(targets->own, "link-to-secret"));
}

static bool
link_other_app(const struct targets *targets)
{
    char from[512];
    bool ok;

    (void)snprintf(from, sizeof from, "%s/secret", targets->other);
    ok = link(from, path_in(targets->own, "stolen")) == 0;
    if (ok)
        (void)unlink(path_in(targets->own, "stolen"));
    return ok;
}

static bool
list_apps(const struct targets *targets)
{
    int fd = open(path_in(targets->own, ".."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char entries[512];

    return fd >= 0 && syscall(SYS_getdents64, fd, entries, sizeof entries) > 0;
}

static bool
can_create(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    (void)close(fd);
    (void)unlink(path);
    return true;
}

static bool
write_into_other_app(const struct targets *targets)
{
    return can_create(path_in(targets->other, "planted"));
}

static bool
write_into_tmp(const struct targets *targets)
{
    return can_create("/tmp/dormouse-jail-planted");
}

static bool
write_into_own(const struct targets *targets)
{
    return can_create(path_in(targets->own, "planted"));
}

static bool
make_device(const struct targets *targets)
{
    const char *path = path_in(targets->own, "null");
    bool ok = mknod(path, S_IFCHR | 0600, 1 << 8 | 3) == 0;

    if (ok)
        (void)unlink(path);
    return ok;
}

static bool
open_by_handle(const struct targets *targets)
{
    union { struct file_handle handle; char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ]; } at = {
        .handle.handle_bytes = MAX_HANDLE_SZ
    };
    int mount_id;
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return name_to_handle_at(AT_FDCWD, "/etc/passwd", &at.handle, &mount_id, 0) == 0 &&
           open_by_handle_at(folder, &at.handle, O_RDONLY | O_CLOEXEC) >= 0;
}

static bool
write_cgroup(const struct targets *targets)
{
    return open("/sys/fs/cgroup/memory/cgroup.procs", O_WRONLY | O_CLOEXEC) >= 0 ||
           open("/sys/fs/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC) >= 0;
}

static bool
inherited_descriptors(const struct targets *targets)
{
    for (int fd = 4; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return true;
    return false;
}

/* ---- namespaces, mounts, privilege ------------------------------------------------------------------------------------ */

static bool
user_namespace(const struct targets *targets)
{
    return unshare(CLONE_NEWUSER) == 0;
}

static bool
mount_something(const struct targets *targets)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("x", "/usr", "tmpfs", 0, NULL) == 0;
}

static bool
unmount_root(const struct targets *targets)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && umount2("/dev", MNT_DETACH) == 0;
}

static bool
change_root(const struct targets *targets)
{
    return chroot("/") == 0;
}

static bool
become_root(const struct targets *targets)
{
    return setresuid(0, 0, 0) == 0;
}

static bool
raise_core_limit(const struct targets *targets)
{
    struct rlimit limit = { 4096, 4096 };

    return setrlimit(RLIMIT_CORE, &limit) == 0;
}

static bool
become_dumpable(const struct targets *targets)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

/* ---- corners of the kernel ---------------------------------------------------------------------------------------------- */

static bool
key_add(const struct targets *targets)
{
    return syscall(SYS_add_key, "user", "dormouse-jail", "x", 1, -1 /* the thread's keyring */) > 0;
}

static bool
bpf_map(const struct targets *targets)
{
    union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };

    return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr) >= 0;
}

static bool
io_uring(const struct targets *targets)
{
    char params[256] = { 0 };

    return syscall(SYS_io_uring_setup, 4, params) >= 0;
}

static bool
perf_event(const struct targets *targets)
{
    struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK };

    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) >= 0;
}

static bool
user_faults(const struct targets *targets)
{
    return syscall(SYS_userfaultfd, O_CLOEXEC) >= 0;
}

static bool
shared_memory(const struct targets *targets)
{
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

    return id >= 0 && shmctl(id, IPC_RMID, NULL) == 0;
}

static bool
inotify(const struct targets *targets)
{
    return syscall(SYS_inotify_init1, O_CLOEXEC) >= 0;
}

static bool
kernel_log(const struct targets *targets)
{
    return syscall(SYS_syslog, 10 /* size of the buffer */, NULL, 0) > 0;
}

static bool
terminal_input(const struct targets *targets)
{
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

    return fd >= 0 && ioctl(fd, TIOCSTI, "x") == 0;
}

static bool
odd_ioctl(const struct targets *targets)
{
    int size = 0;

    return ioctl(STDIN_FILENO, TIOCINQ, &size) == 0 || ioctl(STDERR_FILENO, FIOASYNC, &size) == 0;
}

const struct attack attacks[] = {
    { "socket-tcp", ON_WORKER | ON_GATEWAY, socket_tcp },
    { "socket-unix", ON_ALL, socket_unix },
    { "socket-packet", ON_ALL | OUTER, socket_packet },
    { "connect-loopback", ON_WORKER | ON_GATEWAY | OUTER, connect_loopback },
    { "listen-anywhere", ON_ALL | OUTER, listen_anywhere },
    { "exec-shell", ON_ALL, exec_shell },
    { "exec-memfd", ON_ALL, exec_memfd },
    { "fork", ON_ALL, fork_process },
    { "clone3", ON_ALL, clone3_process },
    { "thread", ON_WORKER | ON_GATEWAY, start_thread },
    { "map-code", ON_ALL, map_code },
    { "data-to-code", ON_ALL, turn_data_into_code },
    { "personality", ON_ALL, personality_change },
    { "enter-i386", ON_ALL, enter_i386 },
    { "enter-x32", ON_ALL, enter_x32 },
    { "replace-trap-handler", ON_ALL, replace_trap_handler },
    { "signal-victim", ON_ALL | OUTER, signal_victim },
    { "signal-parent", ON_ALL | OUTER, signal_parent },
    { "signal-everyone", ON_ALL, signal_everyone },
    { "signal-by-pidfd", ON_ALL | OUTER, signal_by_pidfd },
    { "trace-victim", ON_ALL | OUTER, trace_victim },
    { "read-victims-memory", ON_ALL | OUTER, read_victims_memory },
    { "read-passwd", ON_ALL | OUTER, read_passwd },
    { "read-environ-of-init", ON_ALL | OUTER, read_environ_of_init },
    { "read-environ-of-victim", ON_ALL | OUTER, read_environ_of_victim },
    { "read-own-maps", ON_ALL | OUTER, read_own_maps },
    { "read-other-app", ON_ALL | OUTER, read_other_app },
    { "read-other-app-by-dots", ON_ALL | OUTER, read_other_app_by_dots },
    { "read-through-symlink", ON_ALL | OUTER, read_through_symlink },
    { "link-other-app", ON_ALL | OUTER, link_other_app },
    { "list-apps", ON_ALL | OUTER, list_apps },
    { "write-other-app", ON_ALL | OUTER, write_into_other_app },
    { "write-tmp", ON_ALL | OUTER, write_into_tmp },
    { "write-own", ON_GATEWAY | ON_EGRESS | OUTER, write_into_own },
    { "make-device", ON_ALL | OUTER, make_device },
    { "open-by-handle", ON_ALL | OUTER, open_by_handle },
    { "write-cgroup", ON_ALL | OUTER, write_cgroup },
    { "inherited-descriptors", ON_ALL | OUTER, inherited_descriptors },
    { "user-namespace", ON_ALL, user_namespace },
    { "mount", ON_ALL | OUTER, mount_something },
    { "unmount", ON_ALL | OUTER, unmount_root },
    { "chroot", ON_ALL | OUTER, change_root },
    { "become-root", ON_ALL | OUTER, become_root },
    { "raise-core-limit", ON_ALL | OUTER, raise_core_limit },
    { "become-dumpable", ON_ALL, become_dumpable },
    { "key-add", ON_ALL, key_add },
    { "bpf-map", ON_ALL, bpf_map },
    { "io-uring", ON_ALL, io_uring },
    { "perf-event", ON_ALL, perf_event },
    { "userfaultfd", ON_ALL, user_faults },
    { "shared-memory", ON_ALL, shared_memory },
    { "inotify", ON_ALL, inotify },
    { "kernel-log", ON_ALL, kernel_log },
    { "terminal-input", ON_ALL | OUTER, terminal_input },
    { "odd-ioctl", ON_ALL, odd_ioctl },
};
const unsigned attacks_count = ARRAY_LEN(attacks);
