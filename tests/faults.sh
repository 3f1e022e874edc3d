#!/usr/bin/env bash
# The cluster's fault suite alone: three nodes behind HAProxy on a real Redis,
# on three, or on a Redis Cluster; a crowd that chats, one fault after the other;
# prints the table.
set -euo pipefail

usage() {
  cat <<'END'
usage: tests/faults.sh [OPTION...] [FAULT...]

  FAULT              "stopped", "node killed", ...; default: all, 6 minutes
  --build-dir DIR    default: build-test, as tests/run.sh
  --yes              install what is missing without asking
  --help             this text

Exit status 0 only if nothing was lost without a verdict, doubled or reordered,
and everything recovered in time.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
build=$root/build-test yes=0
while [ $# -gt 0 ]; do
  case $1 in
    --build-dir)
      [ $# -ge 2 ] || { echo "tests/faults.sh: $1 needs a value" >&2; exit 2; }
      build=$2
      shift
      ;;
    --yes) yes=1 ;;
    --help) usage; exit 0 ;;
    --*) echo "tests/faults.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
    *) break ;;
  esac
  shift
done

wwr_prepare "$yes" || exit 1
wwr_prepare_optional
for tool in redis-server redis-cli haproxy; do
  command -v "$tool" >/dev/null 2>&1 ||
    { echo "tests/faults.sh: needs $tool" >&2; exit 1; }
done
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >&2
cmake --build "$build" --target cluster_faults >&2

# With a network of its own, where it may also drop packets; else without.
run=("$root/tests/fault/in_netns.sh")
"${run[@]}" true >&2 || run=()
status=0
if [ $# -eq 0 ]; then
  "${run[@]}" "$build/bin/cluster_faults" || status=1
else
  for fault in "$@"; do
    "${run[@]}" "$build/bin/cluster_faults" "$fault" || status=1
  done
fi
echo "measured on $(date -u +%F), $(nproc) cores, $(redis-server --version)"
exit "$status"
