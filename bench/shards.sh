#!/usr/bin/env bash
# What a logged publish costs when channels are split among 1, 2 and 4 Redis
# servers, and among the masters of a Redis Cluster: CPU of all of them together,
# and how much of it the busiest has (docs/scaling.md).
set -euo pipefail

usage() {
  cat <<'END'
usage: bench/shards.sh [OPTION...]

  --bin DIR         programs to run (default: build/bin of this tree)
  --seconds S       measured per line (default 3, after 1 s of warm-up)
  --channels N      for each Redis, on two nodes, with a sender each (default
                    256): each has as much to do as the one
  --window N        publishes in flight per channel (default 16)
  --kinds KINDS     "list cluster" (default), or one of them
  --server-cpu N    of the nodes and Redis; default 0
  --bench-cpu N     of the load generator; default 1
  --help            this text

Exit status 1 when something was lost, doubled or reordered; when a publish costs
all Redis together over a tenth more than it costs one; or when the busiest has
over a quarter more than its share.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/servers.sh
. "$root/bench/servers.sh"
# shellcheck disable=SC2034 # used there
self=bench/shards.sh
bin=$root/build/bin seconds=3 channels=256 window=16 kinds="list cluster"
server_cpu=0 bench_cpu=1
take_options "bin seconds channels window kinds server-cpu bench-cpu" "" "$@"
if ! command -v redis-server >/dev/null 2>&1; then
  echo "bench/shards.sh: no redis-server" >&2
  exit 1
fi

# shellcheck disable=SC2034
cores=$(nproc)
check_options webwired webwire-bench
work=$(mktemp -d)
servers=() urls=() bad=0
trap 'stop_servers; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# start_one NUMBER OPTION...: a Redis that keeps nothing, in a directory of its own.
start_one() {
  local dir=$work/redis$1
  shift
  rm -rf "$dir" # with what the last one left there
  mkdir "$dir"
  (pinned "$server_cpu" redis-server --bind 127.0.0.1 --unixsocket "$dir/s" \
    --dir "$dir" --save '' --appendonly no "$@" >"$work/out" 2>"$work/err") &
  servers+=($!)
  for _ in $(seq 100); do
    redis-cli -s "$dir/s" ping >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  did_not_start redis-server
}

# start_list N: their URLs are the setting.
start_list() {
  local i
  setting=
  for i in $(seq "$1"); do
    start_one "$i" --port 0
    setting+="unix://$work/redis$i/s "
  done
  setting=${setting% }
}

# A port that nobody has, of which the cluster's bus has another one.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((12000 + RANDOM % 9000)) # and 10000 more is below the ephemeral ones
    # shellcheck disable=SC2188
    { <"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null ||
      { <"/dev/tcp/127.0.0.1/$((port + 10000))"; } 2>/dev/null ||
      { echo "$port"; return 0; }
  done
  return 1
}

# start_cluster N: masters without replicas, each with its share of the slots.
start_cluster() {
  local i port first
  for i in $(seq "$1"); do
    port=$(free_port)
    start_one "$i" --port "$port" --cluster-enabled yes
    redis-cli -s "$work/redis$i/s" cluster addslotsrange \
      $((16384 * (i - 1) / $1)) $((16384 * i / $1 - 1)) >/dev/null
    [ "$i" -gt 1 ] || first=$port
    redis-cli -s "$work/redis$i/s" cluster meet 127.0.0.1 "$first" >/dev/null
  done
  for i in $(seq "$1"); do
    for _ in $(seq 200); do
      redis-cli -s "$work/redis$i/s" cluster info | grep -q 'cluster_state:ok' &&
        redis-cli -s "$work/redis$i/s" cluster info |
        grep -q "cluster_known_nodes:$1" && break
      sleep 0.1
    done
  done
  setting=redis+cluster://127.0.0.1:$first
}

# ask N: CPU seconds, number of XADDs, and of reads from clients, of each.
ask() {
  local i
  for i in $(seq "$1"); do
    redis-cli -s "$work/redis$i/s" info everything | tr -d '\r' | awk -F'[:=,]' '
      /^used_cpu_(sys|user):/ { cpu += $2 }
      /^cmdstat_xadd:/ { calls = $3 }
      /^total_reads_processed:/ { reads = $2 }
      END { print cpu, calls + 0, reads }'
  done
}

for kind in $kinds; do
  for count in 1 2 4; do
    case $kind in
      list) start_list "$count" ;;
      cluster) start_cluster "$count" ;;
      *) echo "bench/shards.sh: --kinds: $kind" >&2; exit 2 ;;
    esac
    for _ in 1 2; do
      start webwired --admin off \
        --redis "$setting"
    done
    ask "$count" >"$work/before"
    load --seconds "$seconds" --mode channels --connections $((2 * channels * count)) \
      --window "$window" || bad=1
    ask "$count" >"$work/after"
    paste -d ' ' "$work/before" "$work/after" | sed "s/^/$kind $count /" >>"$work/lines"
    stop_servers
  done
done
awk '
  {
    line = $1 " " $2
    if (!(line in cpu)) order[++lines] = line
    used = $6 - $3
    cpu[line] += used
    calls[line] += $7 - $4
    reads[line] += $8 - $5
    if (used > most[line]) most[line] = used
  }
  END {
    printf "%-8s %6s %10s %8s %8s %7s %8s %6s\n", "kind", "Redis",
      "publishes", "a read", "us each", "to one", "busiest", "share"
    for (i = 1; i <= lines; i++) {
      line = order[i]
      split(line, part, " ")
      us = cpu[line] * 1e6 / calls[line]
      if (part[2] == 1) one = us
      if (us > 1.1 * one) bad = 1
      if (most[line] * part[2] > 1.25 * cpu[line]) bad = 1
      printf "%-8s %6d %10d %8.1f %8.2f %6.0f%% %7.0f%% %5.0f%%\n", part[1],
        part[2], calls[line], calls[line] / reads[line], us, 100 * us / one,
        100 * most[line] / cpu[line], 100 / part[2]
    }
    exit bad
  }' "$work/lines" || bad=1
exit $bad
