#!/usr/bin/env bash
# install.sh OUT: install the packages into a copy of the Debian in OUT/root, run
# what the service would run, remove, purge, and look for what is left.
. "$(dirname "$0")/lib.sh"
out=$1
need_root
[ -e "$out/root.has" ] || skip "no Debian to install into (deploy_base)"
isolate "$@"

# A layer over it, in memory; gone with our mounts.
layer=$(mktemp -d)
trap 'cd /; umount -R "$layer" 2>/dev/null || true; rmdir "$layer"' EXIT
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay "$layer/root" \
  -o "lowerdir=$out/root,upperdir=$layer/upper,workdir=$layer/work" ||
  skip "no overlay"
root=$layer/root
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mkdir "$root/debs"
cp "$out"/debs/webwire-*.deb "$out"/debs/libwebwire0_*.deb "$root/debs"

in_root() {
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"
}
packages=()
for deb in "$root"/debs/*.deb; do
  packages+=("$(dpkg-deb -f "$deb" Package)")
done

# install.log is printed when a step fails.
quietly() {
  "$@" >"$layer/log" 2>&1 || { cat "$layer/log"; fail "$*"; }
}
# Programs for the tests come without their services being started, others with.
# shellcheck source=deploy/packages.sh
. "$SOURCE/deploy/packages.sh"
wwr_policy redis-server nginx >"$root$WWR_POLICY"
chmod 755 "$root$WWR_POLICY"
for service in redis-server redis-server.service nginx.service nginx-debug; do
  ! in_root "$WWR_POLICY" "$service" start || fail "$service would be started"
done
in_root "$WWR_POLICY" haproxy start || fail "haproxy would not be started"
in_root invoke-rc.d redis-server start >"$layer/log" 2>&1 || true
grep -q 'denied' "$layer/log" || { cat "$layer/log"; fail "Debian does not ask"; }
rm "$root$WWR_POLICY"

# Who installs waits for another apt, and for nothing else.
busy=1 asked=0
apt-get() {
  asked=$((asked + 1))
  [ $asked -gt $busy ] && return "$refused"
  echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1' >&2
  return 100
}
refused=0
wwr_apt_get update 2>"$layer/log" || { cat "$layer/log"; fail "no wait for apt"; }
grep -q 'another apt' "$layer/log" || fail "it is not said what is waited for"
refused=1 busy=0 asked=0
! wwr_apt_get update 2>"$layer/log" || fail "an error is not told"
[ $asked -eq 1 ] || fail "an error is tried again"
unset -f apt-get

quietly in_root sh -c 'dpkg -i /debs/*.deb'
[ "$(in_root dpkg --verify "${packages[@]}" | wc -l)" -eq 0 ] ||
  fail "changed files: $(in_root dpkg --verify "${packages[@]}")"
for program in "$root"/usr/bin/{webwire*,chatroom-*,echo-*,pubsub-*}; do
  [ -e "$program" ] || continue
  in_root "/usr/bin/${program##*/}" --version
done
in_root ldconfig -p | grep libwebwire.so.0 >/dev/null || fail "no libwebwire"

# What the unit says, as the user that it names.
listens() {
  (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
unit=$root/usr/lib/systemd/system/webwired.service
if [ -e "$unit" ]; then
  setting() {
    sed -n "s/^$1=//p" "$unit"
  }
  user=$(setting User)
  in_root getent passwd "$user"
  install -d -m 0700 "$root/var/lib/webwire"
  in_root chown "$user:$user" /var/lib/webwire
  read -r -a start <<<"$(setting ExecStart)"
  in_root setpriv --reuid "$user" --regid "$user" --clear-groups "${start[@]}" --check-config
  STATE_DIRECTORY=/var/lib/webwire chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups \
    --no-new-privs "${start[@]}" >"$layer/node.log" 2>&1 &
  node=$!
  until_true 20 "the service's command listens" listens 8080 ||
    { cat "$layer/node.log"; fail "the service's command does not listen"; }
  kill -TERM $node
  status=0
  wait $node || status=$?
  [ $status -eq 0 ] || { cat "$layer/node.log"; fail "exit status $status"; }

  # A configuration somebody changed stays when the package comes again.
  echo '# ours' >>"$root/etc/webwire/webwired.conf"
  quietly in_root sh -c 'dpkg -i --force-confold /debs/webwire-server_*.deb'
  grep -qx '# ours' "$root/etc/webwire/webwired.conf" ||
    fail "an upgrade lost a changed configuration"
fi

quietly in_root dpkg --remove "${packages[@]}"
if [ -e "$root/usr/bin/webwired" ] || [ -e "$root/usr/bin/webwire-bench" ]; then
  fail "removed, and still there"
fi
quietly in_root dpkg --purge "${packages[@]}"
rm -rf "$root/debs"

# What differs from before, apart from dpkg's own notes; deleted files are
# character devices here.
left=$(cd "$layer/upper" && find . ! -type d | grep -vE \
  '^\./(var/lib/dpkg/|var/log/|var/cache/ldconfig/|etc/ld\.so\.cache$|run/adduser$|etc/\.pwd\.lock$|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|dev/)' ||
  true)
[ -z "$left" ] || fail "left after the purge: $left"
for file in passwd group shadow gshadow; do
  cmp "$out/root/etc/$file" "$root/etc/$file" || fail "/etc/$file is another"
done
for dir in etc/webwire var/lib/webwire usr/share/webwire; do
  [ ! -e "$root/$dir" ] || fail "/$dir is left"
done
echo "purged: nothing is left of ${packages[*]}"
