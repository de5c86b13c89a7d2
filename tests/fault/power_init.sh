#!/bin/sh
# The first process of the machine whose power is cut, or whose clock is set (power_machine.mjs). Its root is the host's tree, read only; what may be lost is /mnt.
# POWER_* come with the kernel's command line.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
ip link set lo up
stty -F /dev/tty1 raw
if mount -t ext4 /dev/ubda /mnt; then
    export PATH HOME=/run
    cd "$POWER_ROOT" && $POWER_WRAP "$POWER_NODE" "$POWER_SCRIPT" "$POWER_PLAN" >/dev/tty1
else
    echo "E the disk cannot be mounted" >/dev/tty1
fi
sync
exec poweroff -f
