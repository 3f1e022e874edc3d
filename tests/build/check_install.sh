#!/bin/sh
# check_install.sh BUILD_DIR CC CXX [FLAGS]: install into a temporary
# prefix, move it, and use it as a stranger would: by find_package(), and by
# pkg-config. FLAGS are the sanitizer's, which whoever links must share. Without
# a C++ compiler exit 77.
set -eu
build=$1 cc=$2 cxx=$3 flags=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
command -v "$cxx" >/dev/null 2>&1 || { echo "skipped: no $cxx"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/moved"
prefix=$work/moved

echo "--- JavaScript"
for file in "$here"/../../client/js/*; do
  cmp "$file" "$prefix/share/webwire/js/$(basename "$file")"
done

echo "--- find_package"
cmake -S "$here/consumer" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" >"$work/log" 2>&1 ||
  { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
for program in consumer_c consumer_c_static consumer_cxx; do
  "$work/build/$program"
done

echo "--- pkg-config"
pc=$(find "$prefix" -name webwire.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
lib=$(pkg-config --variable=libdir webwire)
# shellcheck disable=SC2046,SC2086
"$cc" $flags "$here/consumer/main.c" -o "$work/c" \
  $(pkg-config --cflags --libs webwire) -Wl,-rpath,"$lib"
"$work/c"
# shellcheck disable=SC2046,SC2086
"$cxx" -std=c++17 $flags "$here/consumer/main.cpp" -o "$work/cxx" \
  $(pkg-config --cflags --libs webwire) -Wl,-rpath,"$lib"
"$work/cxx"
pkg-config --print-requires-private webwire | paste -sd' ' -
pkg-config --exists --print-errors 'webwire >= 0.1'
# A static link, by what the file says that it needs.
# shellcheck disable=SC2046
others=$(pkg-config --libs $(pkg-config --print-requires-private webwire))
# shellcheck disable=SC2046,SC2086
"$cc" $flags $(pkg-config --cflags webwire) "$here/consumer/main.c" \
  -o "$work/c_static" "$lib/libwebwire.a" $others -pthread
"$work/c_static"
