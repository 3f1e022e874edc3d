#!/usr/bin/env bash
# base.sh OUT: a Debian like this one in OUT/root, with what our packages depend on
# and what the compose file's other containers run. Kept as long as it fits.
. "$(dirname "$0")/lib.sh"
out=$1
need debootstrap dpkg-deb
need_root
[ -d "$out/debs" ] || skip "no packages (deploy_packages)"
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI)' \
  "Codename: $suite" 'Created-By: Packages' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || skip "no Debian mirror is known here"

# Names only; the versions are what the mirror has.
depends=$(for deb in "$out"/debs/webwire-*.deb "$out"/debs/libwebwire0_*.deb; do
  dpkg-deb -f "$deb" Depends | tr ',' '\n'
done | awk '{print $1}' | sort -u | paste -sd, -)
wanted="$suite systemd $depends"
if [ -e "$out/root.has" ] && [ "$(cat "$out/root.has")" = "$wanted" ]; then
  echo "kept: $wanted"
  exit 0
fi
rm -rf "$out/root" "$out/root.has"
mkdir -p "$out"
status=0
timeout --kill-after=5 200 debootstrap --variant=minbase \
  --include="ca-certificates,systemd,redis-server,haproxy,$depends" \
  "$suite" "$out/root" "$mirror" >"$out/root.log" 2>&1 || status=$?
if [ $status -ne 0 ]; then
  tail -n 5 "$out/root.log"
  rm -rf "$out/root"
  skip "debootstrap can't (exit status $status)"
fi
rm -rf "$out"/root/var/cache/apt/archives/*.deb
# As in Debian's own images.
echo 'Acquire::Languages "none";' >"$out/root/etc/apt/apt.conf.d/docker-no-languages"
echo "$wanted" >"$out/root.has"
du -sh "$out/root"
