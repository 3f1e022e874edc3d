#!/bin/sh
# image-root.sh DIR PROGRAM...: in DIR all that these installed programs need to
# run, and nothing else. For the Dockerfile.
set -eu
dir=$1
shift

# The libraries that a file loads; what is no path (vdso) has none.
libraries() {
  ldd "$1" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'
}

# As the system has it, links to folders included.
take() {
  mkdir -p "$dir/$(dirname "$1")"
  cp -a "$1" "$dir/$1"
}

mkdir -p "$dir/usr/bin" "$dir/usr/lib" "$dir/usr/lib64" "$dir/etc/ssl" "$dir/tmp"
ln -s usr/bin "$dir/bin"
ln -s usr/lib "$dir/lib"
ln -s usr/lib64 "$dir/lib64"
chmod 1777 "$dir/tmp"

# libwebsockets loads its libuv part by name.
plugin=$(find /usr/lib -name libwebsockets-evlib_uv.so)
files=$plugin
for program; do
  files="$files /usr/bin/$program"
done
for file in $files; do
  take "$file"
  libraries "$file"
done | sort -u >/tmp/libraries
while read -r library; do
  mkdir -p "$dir/$(dirname "$library")"
  cp -L "$library" "$dir/$library"
done </tmp/libraries

# TLS to Redis and to other servers.
take /etc/ssl/certs/ca-certificates.crt
take /etc/ssl/openssl.cnf
for name in certs openssl.cnf; do
  mkdir -p "$dir/usr/lib/ssl"
  ln -s "/etc/ssl/$name" "$dir/usr/lib/ssl/$name"
done

echo 'hosts: files dns' >"$dir/etc/nsswitch.conf"
echo 'webwire:x:10001:' >"$dir/etc/group"
echo 'webwire:x:10001:10001::/var/lib/webwire:/nonexistent' >"$dir/etc/passwd"
mkdir -p "$dir/var/lib"
install -d -m 0700 -o 10001 -g 10001 "$dir/var/lib/webwire"

# Licences, and for scanners what is in here, where they look in such images.
mkdir -p "$dir/var/lib/dpkg/status.d"
for file in $files $(cat /tmp/libraries); do
  dpkg -S "$(readlink -f "$file")" || dpkg -S "$file"
done 2>/dev/null | cut -d: -f1 | sort -u | while read -r package; do
  dpkg -s "$package" >"$dir/var/lib/dpkg/status.d/$package"
  take "$(readlink -f "/usr/share/doc/$package")/copyright"
done
