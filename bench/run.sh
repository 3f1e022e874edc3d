#!/usr/bin/env bash
# The figures by which this server is judged, in one table: echo, chat broadcast
# and idle connections, the server pinned to one CPU and the load to another; and
# with a redis-server, chat over two nodes, whose CPU time counts with Redis'.
set -euo pipefail

usage() {
  cat <<'END'
usage: bench/run.sh [OPTION...]

  --bin DIR         programs to run (default: build/bin of this tree)
  --seconds S       measured per line (default 3, after 1 s of warm-up)
  --server-cpu N    default 0
  --bench-cpu N     default 1
  --quick           small numbers: does it work at all?
  --help            this text

Exit status 1 when any line lost, doubled or reordered something.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/servers.sh
. "$root/bench/servers.sh"
# shellcheck disable=SC2034 # used there
self=bench/run.sh
bin=$root/build/bin seconds=3 server_cpu=0 bench_cpu=1 quick=0
take_options "bin seconds server-cpu bench-cpu" "quick" "$@"

ulimit -n "$(ulimit -Hn)"
# shellcheck disable=SC2034
cores=$(nproc)
check_options echo-server chatroom-server webwire-bench
redis=0
command -v redis-server >/dev/null 2>&1 && redis=1
work=$(mktemp -d)
servers=() urls=()
trap 'stop_servers; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

bad=0
# line TITLE PROGRAM OPTION...: with a server of its own, so that none inherits
# another's memory.
line() {
  local title=$1 program=$2
  shift 2
  start "$program" --sessions "$work/sessions"
  measure "$title" "$@"
}

# cluster_line TITLE OPTION...: chat over two nodes and a Redis.
cluster_line() {
  local title=$1
  shift
  start_redis
  start chatroom-server --redis "unix://$work/redis"
  start chatroom-server --redis "unix://$work/redis"
  measure "$title" --mode broadcast "$@"
}

# measure TITLE OPTION...: load on what was started, then stop it.
measure() {
  local title=$1 status=0
  shift
  load --seconds "$seconds" "$@" || status=$?
  stop_servers
  if [ ! -s "$work/csv" ]; then
    printf '%-28s failed\n' "$title"
    bad=1
    return
  fi
  [ $status -eq 0 ] || bad=1
  awk -F, -v title="$title" -v status=$status '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    function get(name) { return name in column ? $column[name] : "" }
    {
      lost = get("unsent") + get("unanswered") + get("undelivered")
      odd = get("refused") + get("unexpected") + get("wrong") + \
            get("disordered") + get("duplicated") + get("broken_connections")
      printf "%-28s %10s %9s %7s %7s %8s %8s %8s %9s %5d %5d\n", title,
        get("rate_per_s"), get("server_cpu_us_each"),
        get("server_cpu_percent"), get("bench_cpu_percent"), get("p50_us"),
        get("p99_us"), get("max_us"), get("server_rss_bytes_per_connection"),
        lost, odd
    }' "$work/csv"
}

printf '%-28s %10s %9s %7s %7s %8s %8s %8s %9s %5s %5s\n' "" "per s" \
  "cpu us/1" "cpu %" "load %" "p50 us" "p99 us" "max us" "B/conn" lost odd
if [ $quick -eq 1 ]; then
  line "echo 4 x 4" echo-server --connections 4 --window 4
  line "broadcast 10, window 4" chatroom-server --mode broadcast \
    --connections 10 --window 4
  line "idle 100" echo-server --mode idle --connections 100
  [ $redis -eq 0 ] ||
    cluster_line "2 nodes, 10 clients, 20/s" --connections 10 --rate 20
else
  line "echo 64 x 1" echo-server --connections 64 --window 1
  line "echo 64 x 16" echo-server --connections 64 --window 16
  for n in 100 1000 5000; do
    line "broadcast $n, window 16" chatroom-server --mode broadcast \
      --connections $n --window 16
  done
  line "broadcast 1000, window 1" chatroom-server --mode broadcast \
    --connections 1000 --window 1
  start webwired --admin off
  measure "webwired 1000, window 16" --mode channels --connections 1000 \
    --subscribers 1000 --window 16
  line "idle 10000" echo-server --mode idle --connections 10000
  if [ $redis -eq 1 ]; then
    cluster_line "2 nodes, 100 clients, 100/s" --connections 100 --rate 100
    cluster_line "2 nodes, 100, window 16" --connections 100 --window 16
    cluster_line "2 nodes, 1000, window 16" --connections 1000 --window 16
  fi
fi
exit $bad
