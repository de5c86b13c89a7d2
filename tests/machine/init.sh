#!/bin/sh
# The first process of the machine (machine.mjs): its root is the host's tree, read only; its own disk is /mnt. MACHINE_* come with the kernel's
# command line. What MACHINE_SCRIPT prints goes to the host.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
ip link set lo up
stty -F /dev/tty1 raw
if mount -t ext4 /dev/ubda /mnt; then
    export PATH HOME=/run
    cd "$MACHINE_ROOT" && $MACHINE_WRAP "$MACHINE_NODE" "$MACHINE_SCRIPT" "$MACHINE_PLAN" >/dev/tty1
else
    echo "E the disk cannot be mounted" >/dev/tty1
fi
sync
exec poweroff -f
