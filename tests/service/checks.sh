#!/bin/bash
# Inside the machine of tools/fresh-service, as root, once systemd has come up: the package is installed, the service has never run.
# A line "ok" or "FAIL" per check, "end" at the end.                        usage: checks.sh PACKAGE.deb (of the same version)
set -u
package=$1
TRIES_MAX=300                    # looks, 0.1 s apart
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

check() { # WHAT COMMAND …
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then echo "ok    $what"; else echo "FAIL  $what: $* said: $said"; fi
}
not() { ! "$@"; }
until_true() { # COMMAND …
    local try
    for ((try = 0; try < TRIES_MAX; try++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    "$@"
}
has() { [[ $("${@:2}" 2>&1) == *"$1"* ]] || { "${@:2}"; return 1; }; }          # TEXT COMMAND …
is() { local said; said=$("${@:2}" 2>&1); [ "$said" = "$1" ] || { echo "$said"; return 1; }; }   # TEXT COMMAND …
get() { curl -sS -m 10 -H "Host: $1.localhost" "${@:3}" "http://127.0.0.1:8787$2"; }
count() { get counter /counters/tea "$@" | sed -n 's/.*"value":\([0-9]*\).*/\1/p'; }
property() { systemctl show -P "$1" dormouse; }
processes() { cat "$(group)"/cgroup.procs "$(group)"/*/cgroup.procs "$(group)"/*/*/cgroup.procs 2>/dev/null; }
group() { echo "/sys/fs/cgroup$(property ControlGroup)"; }
all_dead() { local pid; for pid in "$@"; do [ ! -e "/proc/$pid" ] || { echo "$pid lives"; return 1; }; done; }
layers() { dormouse doctor "$@" | awk '/^sandbox:/ { mode = $2 } $2 == "absent" { print mode, $1 }' | sort -u; }

# ---- root, from a shell: no service, no delegation ----
mkdir -p /var/tmp/shell
dormouse serve --data /var/tmp/shell --port 8790 >/var/tmp/shell.log 2>&1 &
shell=$!
check "from root's shell: it starts" until_true dormouse doctor --data /var/tmp/shell
check "from root's shell: rooms have limits" has "cgroup         on         v2: memory, cpu, pids (512)" dormouse doctor --data /var/tmp/shell
check "from root's shell: our group is at the root" is 1 sh -c 'ls -d /sys/fs/cgroup/dormouse-* | wc -l'
kill "$shell"
wait "$shell"; check "from root's shell: it ends in order" [ $? = 0 ]
check "from root's shell: no group is left" is 0 sh -c 'ls -d /sys/fs/cgroup/dormouse-* 2>/dev/null | wc -l'

# ---- an ordinary user, in a group of his own ----
systemd-run -q --unit=ordinary -p User=games -p Delegate=yes -p KillMode=mixed -p StateDirectory=ordinary dormouse serve --data /var/lib/ordinary --port 8791
check "as a user: it starts" until_true dormouse doctor --data /var/lib/ordinary
check "as a user: rooms have limits" has "cgroup         on         v2: memory, cpu, pids (512)" dormouse doctor --data /var/lib/ordinary
check "as a user: rooms are that user" has "uid $(id -u games), as started" dormouse doctor --data /var/lib/ordinary
check "as a user: it stops" systemctl stop ordinary
check "as a user: in order" not has "Failed with result" journalctl -u ordinary

# ---- the package ----
check "the rooms' user is there" getent passwd dormouse
check "the unit is sound" is "" systemd-analyze verify --man=no dormouse.service
check "installing does not start it" is inactive systemctl is-active dormouse
check "installing does not enable it" is disabled systemctl is-enabled dormouse

# ---- start, deploy, ask ----
sed -i 's/"sandbox"/"worker_memory_mb": 256, "worker_cpu_percent": 400, "sandbox"/' /etc/dormouse.json
check "systemctl start" systemctl start dormouse
check "it comes up" until_true dormouse doctor
check "an example, bundled elsewhere, is deployed" dormouse deploy /srv/counter
check "a project is bundled and deployed" dormouse deploy /srv/app
check "the counter counts" is 1 count -X POST
check "and on" is 2 count -X POST
check "doctor: the mode of the configuration" has "sandbox: required" dormouse doctor
check "doctor: limits in force" has "v2: memory (256 MiB), cpu (400 %), pids (512)" dormouse doctor
check "doctor: only Landlock is missing, which this kernel lacks" is "required landlock" layers
check "rooms are the user dormouse" has "uid $(id -u dormouse)" dormouse doctor
worker=$(pgrep -f dormouse-worker | head -1)
check "a worker may have a million descriptors" has 1048576 grep "Max open files" "/proc/$worker/limits"
check "a worker has a filter of its own" has "Seccomp_filters:" grep Seccomp_filters "/proc/$worker/status"
check "a worker is in its group" has "dormouse-$(pgrep -o -f dormouse-supervisor)/worker-" cat "/proc/$worker/cgroup"
check "the data is nobody else's" is "700" stat -c %a /var/lib/dormouse

# ---- restart ----
get guest /slow/slow >/var/tmp/slow &
slow=$!
check "a slow request is under way" until_true is 1 get guest /witness/seen
check "systemctl restart" systemctl restart dormouse
wait "$slow"; check "what ran was finished" [ $? = 0 ]
check "and answered" is "took its time" cat /var/tmp/slow
check "it comes up again" until_true is 2 count
check "the slow request's write is there" is 1 get guest /slow/seen
check "it ended in order" not has "Failed with result" journalctl -u dormouse
check "on request: restarts" is 0 property NRestarts

# ---- kill -9 ----
check "one more" is 3 count -X POST
mapfile -t old < <(processes)
check "the service's group has its processes" [ ${#old[@]} -ge 8 ]
kill -9 "$(property MainPID)"
check "systemd starts it again" until_true is 1 property NRestarts
check "no process is left behind" until_true all_dead "${old[@]}"
check "it comes up after kill -9" until_true is 3 count
check "with limits" has "v2: memory (256 MiB)" dormouse doctor
check "and without old groups" is 1 sh -c "ls -d '$(group)'/dormouse-* | wc -l"

# ---- a worker out of memory ----
for name in a b c d; do get guest "/$name/eat" >/dev/null & done
check "the log tells of a worker out of memory" until_true has "out of memory (worker_memory_mb)" journalctl -u dormouse
check "its app comes back" until_true is 1 get guest /slow/seen
check "the other app is as it was" is 3 count
check "the service did not restart" is 1 property NRestarts

# ---- upgrade, removal ----
check "the package is installed over itself" dpkg -i "$package"
check "the service runs on" until_true is 3 count
check "with the configuration of the operator" grep -q worker_memory_mb /etc/dormouse.json
check "systemctl enable" systemctl enable dormouse
mapfile -t old < <(processes)
check "the package is removed" dpkg -r dormouse
check "no process is left" all_dead "${old[@]}"
check "the unit is gone" is not-found systemctl show -P LoadState dormouse
check "nothing is enabled" not ls /etc/systemd/system/multi-user.target.wants/dormouse.service
check "the agents are there" ls /var/lib/dormouse/apps/counter/agents
check "purge" dpkg --purge dormouse
check "takes the configuration" not ls /etc/dormouse.json
check "and leaves the agents" ls /var/lib/dormouse/apps/counter/agents
check "installed again" dpkg -i "$package"
check "started again" systemctl start dormouse
check "the counter is where it was" until_true is 3 count
echo end
