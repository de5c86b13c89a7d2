/*
 * power_nosync — runs a program whose syncs do nothing but succeed: the control of the power-cut rig, which must then lose rows.
 *
 * usage: power_nosync PROGRAM [ARGUMENT…]
 *
 * A seccomp filter answers for the kernel, also for all descendants: programs stay as they are, and no sandbox of theirs can undo it.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNLESS(number, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), (skip), 0)

int
main(int argc, char **argv)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        UNLESS(SYS_fsync, 6),
        UNLESS(SYS_fdatasync, 5),
        UNLESS(SYS_syncfs, 4),
        UNLESS(SYS_sync, 3),
        UNLESS(SYS_sync_file_range, 2),
        UNLESS(SYS_msync, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),    /* errno 0: the call has done its work, it says */
    };
    struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };

    if (argc < 2) {
        (void)fprintf(stderr, "usage: power_nosync PROGRAM [ARGUMENT…]\n");
        return 2;
    }
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("power_nosync: a filter (root is needed)");
        return 1;
    }
    (void)execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
