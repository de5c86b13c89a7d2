#!/bin/sh
# The first process of the machine of cgroup_machine: mounts the control groups in the layout that the kernel's command line names
# (LAYOUT), and runs cgroup_run (RUN) and the doctor's probe (PROBE) in every situation that a supervisor may be started in there. The root is the host's tree, read only.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
groups=/sys/fs/cgroup
user="setpriv --reuid 12345 --regid 12345 --clear-groups"

mount_v1() {
    mount -t tmpfs tmpfs $groups
    for controller in memory cpu pids; do
        mkdir $groups/$controller
        mount -t cgroup -o $controller cgroup $groups/$controller
    done
}

# A run that does not come to its end is a failure, too.
run() {
    "$@" || echo "FAIL  $LAYOUT: '$*' ended with status $?"
}

# TEXT: what `dormouse doctor` says where nothing runs: TEXT must be in it, and nothing may be left of the groups that it tried.
doctor_says() {
    told=$("$PROBE" --probe)
    case $told in
    *"$1"*) echo "ok    $LAYOUT: the doctor tells the truth" ;;
    *) echo "FAIL  $LAYOUT: the doctor does not say '$1': $told" ;;
    esac
    left=$(find $groups -name 'dormouse-*')
    [ -z "$left" ] || echo "FAIL  $LAYOUT: the doctor left $left"
}

# GROUP COMMAND …: runs it with a shell above it that stands for the command line, which has another child with a child, as the bundler
# is one. All of them are in GROUP, and alone there.
within() {
    group=$1
    shift
    mkdir -p "$group"
    run sh -c 'echo $$ >"$0/cgroup.procs" && { sh -c "sleep 600 & wait" & } &&
        until [ "$(wc -l <"$0/cgroup.procs")" -ge 4 ]; do :; done && "$@"; exit $?' "$group" "$@"
}

# What systemd does for Delegate=yes and User=12345.
delegate() {
    mkdir -p "$1"
    chown 12345:12345 "$1" "$1/cgroup.procs" "$1/cgroup.subtree_control"
}

case $LAYOUT in
v2)
    mount -t cgroup2 cgroup2 $groups
    run "$RUN" "v2, root, in the root group" v2 $groups
    mkdir $groups/session && sleep 600 & other=$!
    until [ -d $groups/session ]; do :; done
    echo $other >$groups/session/cgroup.procs
    doctor_says '"cgroup":{"state":"on","reason":"v2: memory, cpu, pids (512)"}'
    within $groups/session "$RUN" "v2, root, among others" v2 $groups threads
    within $groups/session $user "$RUN" "v2, a user, among others" refused "processes of others"
    echo "+memory +pids -cpu" >$groups/cgroup.subtree_control
    within $groups/part "$RUN" "v2, root, without the processor's controller" partial "cpu is not limited as asked"
    echo "+memory +pids +cpu" >$groups/cgroup.subtree_control
    within $groups/service "$RUN" "v2, root, in a delegated group" v2 $groups/service
    delegate $groups/scope
    within $groups/scope $user "$RUN" "v2, a user, in a delegated group" v2 $groups/scope
    within $groups/closed $user "$RUN" "v2, a user, in a closed group" refused "Permission denied"
    ;;
v1)
    mount_v1
    run "$RUN" "v1, root" v1 $groups/memory
    doctor_says '"cgroup":{"state":"on","reason":"v1: memory, cpu, pids (512)"}'
    mkdir $groups/memory/session
    within $groups/memory/session "$RUN" "v1, root, in a group" v1 $groups/memory/session threads
    run $user "$RUN" "v1, a user" refused "Permission denied"
    ;;
hybrid)
    mount_v1
    mkdir $groups/unified
    mount -t cgroup2 cgroup2 $groups/unified
    mkdir $groups/memory/session $groups/unified/session
    echo $$ >$groups/unified/session/cgroup.procs
    within $groups/memory/session "$RUN" "hybrid, root" v1 $groups/memory/session
    ;;
esac
echo end
exec poweroff -f
