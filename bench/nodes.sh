#!/usr/bin/env bash
# What a logged publish costs Redis when 1, 2, 4 and 8 nodes hear it, beside the
# line through the first and the last: the cost model of docs/performance.md, and
# how far it is off between them.
set -euo pipefail

usage() {
  cat <<'END'
usage: bench/nodes.sh [OPTION...]

  --bin DIR         programs to run (default: build/bin of this tree)
  --seconds S       measured per line (default 3, after 1 s of warm-up)
  --window N        publishes in flight (default 16)
  --server-cpu N    of the nodes and Redis; default 0
  --bench-cpu N     of the load generator; default 1
  --help            this text

Exit status 1 when something was lost, doubled or reordered, or when the line is
off by more than a quarter at 2 or 4 nodes.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/servers.sh
. "$root/bench/servers.sh"
# shellcheck disable=SC2034 # used there
self=bench/nodes.sh
bin=$root/build/bin seconds=3 window=16 server_cpu=0 bench_cpu=1
take_options "bin seconds window server-cpu bench-cpu" "" "$@"
if ! command -v redis-server >/dev/null 2>&1; then
  echo "bench/nodes.sh: no redis-server" >&2
  exit 1
fi

# shellcheck disable=SC2034
cores=$(nproc)
check_options chatroom-server webwire-bench
work=$(mktemp -d)
servers=() urls=() bad=0
trap 'stop_servers; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Redis' CPU seconds and the number of its XADDs.
ask() {
  redis-cli -s "$work/redis" info everything | tr -d '\r' | awk -F'[:=,]' '
    /^used_cpu_(sys|user):/ { cpu += $2 }
    /^cmdstat_xadd:/ { calls = $3 }
    END { print cpu, calls + 0 }'
}

# A room with two clients on every node, one of which publishes.
for nodes in 1 2 4 8; do
  start_redis
  for _ in $(seq $nodes); do
    start chatroom-server --redis "unix://$work/redis"
  done
  before=$(ask)
  load --seconds "$seconds" --mode broadcast --connections $((2 * nodes)) \
    --publishers 1 --window "$window" || bad=1
  echo "$nodes $before $(ask)" >>"$work/lines"
  stop_servers
done
awk '
  { nodes[NR] = $1; us[NR] = ($4 - $2) * 1e6 / ($5 - $3); count[NR] = $5 - $3 }
  END {
    each = (us[NR] - us[1]) / (nodes[NR] - nodes[1])
    base = us[1] - each * nodes[1]
    printf "%6s %10s %8s %8s %5s\n", "nodes", "publishes", "us each", "line",
      "off"
    for (i = 1; i <= NR; i++) {
      line = base + each * nodes[i]
      off = 100 * (us[i] - line) / line
      if (off > 25 || off < -25) bad = 1
      printf "%6d %10d %8.2f %8.2f %4.0f%%\n", nodes[i], count[i], us[i], line,
        off
    }
    printf "Redis: %.1f us for a publish, and %.2f us for each node that hears it\n",
      base, each
    exit bad
  }' "$work/lines" || bad=1
exit $bad
