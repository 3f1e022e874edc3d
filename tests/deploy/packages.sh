#!/usr/bin/env bash
# packages.sh BUILD OUT CC: make the Debian packages of this build, look into them,
# and build a program with the library from them.
. "$(dirname "$0")/lib.sh"
build=$1 out=$2 cc=$3
need dpkg-deb dpkg-shlibdeps dpkg-gencontrol cpack
rm -rf "$out/debs"
mkdir -p "$out/debs"
log=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$log" "$work"' EXIT

cpack --config "$build/CPackConfig.cmake" -B "$out/debs" >"$log" 2>&1 ||
  { cat "$log"; fail "cpack"; }
rm -rf "$out/debs/_CPack_Packages"

# holds PACKAGE FILE...: it has these files, and every program in it a manual.
holds() {
  local package=$1 file
  dpkg-deb -c "$out"/debs/"$package"_*.deb | awk '{print $6}' >"$log"
  shift
  for file; do
    grep -qx "\./$file" "$log" || { cat "$log"; fail "$package: no $file"; }
  done
  sed -n 's@^\./usr/bin/\(.\)@\1@p' "$log" | while read -r file; do
    grep -q "/man/man[18]/$file\.[18]\.gz$" "$log" ||
      fail "$package: no manual of $file"
  done
}
holds webwire-tools usr/bin/webwire-bench usr/bin/chatroom-server
holds libwebwire-dev usr/include/webwire/webwire.h
if [ -e "$build/bin/webwired" ]; then
  holds webwire-server usr/bin/webwired etc/webwire/webwired.conf \
    usr/lib/systemd/system/webwired.service usr/lib/sysusers.d/webwire.conf \
    usr/share/man/man5/webwired.conf.5.gz
fi

if command -v lintian >/dev/null 2>&1; then
  TMPDIR=$out lintian --fail-on error --no-tag-display-limit "$out"/debs/*.deb >"$log" 2>&1 ||
    { cat "$log"; fail "lintian"; }
fi

# As somebody who installed the two packages of the library.
dpkg-deb -x "$out"/debs/libwebwire0_*.deb "$work"
dpkg-deb -x "$out"/debs/libwebwire-dev_*.deb "$work"
lib=$(dirname "$(find "$work" -name libwebwire.so)")
export PKG_CONFIG_PATH=$lib/pkgconfig
# shellcheck disable=SC2046
"$cc" "$SOURCE/tests/build/consumer/main.c" -o "$work/consumer" \
  $(pkg-config --cflags --libs webwire)
LD_LIBRARY_PATH=$lib "$work/consumer"
du -h "$out"/debs/*.deb | sed 's@\t.*/@  @'
