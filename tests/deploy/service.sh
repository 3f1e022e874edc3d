#!/usr/bin/env bash
# service.sh OUT: a Debian is booted with systemd as process 1 in namespaces of its
# own, our packages in it, and the unit is run for real: ready, locked up, reloaded,
# restarted after a crash and by the watchdog, stopped, not restarted after a mistake.
. "$(dirname "$0")/lib.sh"
SYSTEMD=/usr/lib/systemd/systemd

# As process 1 of the namespaces, in ROOT: what systemd finds in a container, and
# systemd itself.
boot() { # ROOT
  local root=$1 device
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys" # the kernel's settings are not ours
  mount -t sysfs -o ro sysfs "$root/sys"
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  else
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  fi
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mkdir -p "$root/dev/shm" "$root/dev/pts" "$root/old"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  cd "$root" || exit 1
  pivot_root . old
  umount -l /old
  exec env -i container=webwire-test "$SYSTEMD" --unit=multi-user.target </dev/null
}
[ "$1" != boot ] || boot "$2"

out=$1
need_root
need nsenter pgrep setpriv
[ -e "$out/root$SYSTEMD" ] || skip "no Debian with systemd (deploy_base)"
cgroups=/sys/fs/cgroup/systemd
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || cgroups=/sys/fs/cgroup
[ -w $cgroups ] || skip "no control groups"
isolate "$@"

layer=$(mktemp -d)
group=$(mktemp -d $cgroups/webwire-XXXXXX) || skip "no right to make a control group"
machine=''
clean_up() {
  local status=$?
  if [ $status -ne 0 ] && [ $status -ne 77 ]; then
    inside journalctl --no-pager -n 60 || true
  fi
  [ -z "$machine" ] || kill -KILL "$machine" 2>/dev/null || true
  wait "$machine" 2>/dev/null || true
  cd /
  umount -R "$layer" 2>/dev/null || umount -l "$layer" 2>/dev/null || true
  rmdir "$layer" || true
  until_true 5 "" empty_group || true
}
empty_group() {
  find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
  [ ! -e "$group" ]
}
trap clean_up EXIT
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
root=$layer/root
mount -t overlay overlay "$root" \
  -o "lowerdir=$out/root,upperdir=$layer/upper,workdir=$layer/work" ||
  skip "no overlay"
mkdir "$root/debs"
cp "$out"/debs/webwire-server_*.deb "$out"/debs/libwebwire0_*.deb "$root/debs"
chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c \
  'dpkg -i /debs/*.deb && rm -r /debs' >"$layer/log" 2>&1 ||
  { cat "$layer/log"; fail "dpkg -i"; }
# As a user would change the unit; half a minute is too long to be watched here,
# and two seconds are what a busy machine may keep it waiting.
mkdir -p "$root/etc/systemd/system/webwired.service.d"
printf '[Service]\nWatchdogSec=6s\n' \
  >"$root/etc/systemd/system/webwired.service.d/test.conf"
: >"$root/etc/machine-id"
chroot "$root" systemctl disable redis-server haproxy >/dev/null 2>&1 || true

# Processes of it are in the group from the start, and end with us.
bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$group" \
  setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child --uts --ipc --cgroup -- \
  "$0" boot "$root" >"$layer/boot.log" 2>&1 &
machine=$!
inside() {
  nsenter --target "$(pgrep -P "$machine")" --mount --pid --root --wd=/ \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
answers() {
  inside systemctl show-environment
}
until_true 20 "systemd answers" answers ||
  { cat "$layer/boot.log"; skip "systemd does not run here"; }

is() { # PROPERTY VALUE
  [ "$(inside systemctl show -p "$1" --value webwired)" = "$2" ]
}
healthy() {
  inside webwired --health-check http://127.0.0.1:9180/ready
}
pid() {
  inside systemctl show -p MainPID --value webwired
}
until_true 20 "the service is active" is ActiveState active ||
  { inside systemctl status webwired; fail "the service does not start"; }
healthy || fail "active, and not ready: it notified systemd too early"

# What the unit promises of its process.
first=$(pid)
inside cat "/proc/$first/status" >"$layer/status"
for line in 'NoNewPrivs:\s1' 'Seccomp:\s2' 'CapEff:\s0000000000000400'; do
  grep -qE "^$line$" "$layer/status" || { cat "$layer/status"; fail "not $line"; }
done
user=$(inside id -u webwire)
grep -qE "^Uid:\s$user\s$user\s$user\s$user$" "$layer/status" || fail "not its user"
inside grep -qE ' / / ro[, ]' "/proc/$first/mountinfo" || fail "it may write /"
[ "$(inside stat -c '%U %a' /var/lib/webwire)" = 'webwire 700' ] ||
  fail "its folder is open"

inside systemctl reload webwired || fail "reload"
{ is ActiveState active && [ "$(pid)" = "$first" ]; } || fail "reload restarts it"

came_back() { # COUNT
  is ActiveState active && is NRestarts "$1" && [ "$(pid)" != "$first" ] && healthy
}
inside systemctl kill --signal=SEGV webwired
until_true 20 "back after a crash" came_back 1 || fail "not back after a crash"
first=$(pid)
inside systemctl kill --signal=STOP webwired
until_true 30 "back after it hung" came_back 2 || fail "the watchdog sleeps"

inside systemctl stop webwired || fail "stop"
is Result success || fail "it does not end well: $(inside systemctl show -p Result webwired)"

# A mistake is said, and not tried again.
echo 'servr = { };' >>"$root/etc/webwire/webwired.conf"
! inside systemctl start webwired 2>/dev/null || fail "a mistake is not noticed"
until_true 5 "failed for good" is SubState failed || fail "it tries a mistake again"
inside journalctl --no-pager -u webwired | grep -q 'servr' || fail "the mistake is not said"
echo "the unit: ready, locked up, reloaded, restarted, stopped, refused"
