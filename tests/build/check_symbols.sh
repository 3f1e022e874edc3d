#!/bin/sh
# check_symbols.sh LIBRARY: a shared library exports wwr_ names and nothing
# else, and some of them.
set -eu
exported=$(nm -D --defined-only "$1" | awk '{ print $3 }' |
  grep -v -e '^_init$' -e '^_fini$' -e '^__' || true)
foreign=$(printf '%s\n' "$exported" | grep -v '^wwr_' | grep . || true)
ours=$(printf '%s\n' "$exported" | grep -c '^wwr_' || true)
if [ -n "$foreign" ]; then
  echo "exported, but not wwr_:"
  echo "$foreign"
  exit 1
fi
echo "$ours symbols exported"
[ "$ours" -gt 0 ]
