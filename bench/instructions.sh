#!/usr/bin/env bash
# How many instructions our servers execute per delivery, echo, connection,
# logged publish and decoded message, counted by valgrind's callgrind. Unlike
# times these hardly depend on what else the machine does, so that a build can
# fail when one grows.
#
# Each is the difference of two runs, one with more of it than the other, so that
# what a start, the connections and an end cost is not in it.
set -euo pipefail

usage() {
  cat <<'END'
usage: bench/instructions.sh [OPTION...]

Counts instructions and compares them with bench/instructions.txt.

  --update       write the file anew
  --bin DIR      programs of a RelWithDebInfo build, as by the preset "release"
                 (default: build/bin of this tree)
  --help         this text

Exit status: 0; 1 when something grew by more than 5 %; 77, with the reason, when
it can't be told here: no valgrind or Redis, or another compiler or other
libraries than those the file was written with.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/servers.sh
. "$root/bench/servers.sh"
# shellcheck disable=SC2034 # used there
self=bench/instructions.sh
# shellcheck disable=SC2034 # nothing is timed, so nothing is pinned
cores=1 server_cpu=0 bench_cpu=0 slow=60
bin=$root/build/bin update=0 file=$root/bench/instructions.txt
take_options "bin" "update" "$@"

skip() {
  echo "skipped: $1"
  exit 77
}
for program in webwire-bench echo-server chatroom-server decode_count; do
  [ -x "$bin/$program" ] || { echo "$self: no $program in $bin" >&2; exit 2; }
done
for program in valgrind redis-server; do
  command -v $program >/dev/null 2>&1 || skip "no $program"
done

# What the counts depend on besides our code.
environment() {
  local compiler flags=plain library
  compiler=$(readelf -p .comment "$bin/echo-server" 2>/dev/null |
    sed -n 's/^.*] *//p' | sort -u | paste -sd+ -)
  grep -qw avx2 /proc/cpuinfo 2>/dev/null && flags=avx2
  printf '%s' "$(uname -m) $flags; $compiler; $(valgrind --version)"
  printf '; libc %s' "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
  for library in libwebsockets libuv jansson openssl; do
    printf '; %s %s' "$library" "$(pkg-config --modversion "$library")"
  done
  echo
}
here=$(environment)
noted=$(sed -n 's/^environment //p' "$file" 2>/dev/null || true)
if [ $update -eq 0 ] && [ "$here" != "$noted" ]; then
  skip "counts can't be compared
  noted: $noted
  here:  $here"
fi

work=$(mktemp -d)
servers=() urls=() keep=(--sessions "$work/sessions")
trap 'stop_servers; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
callgrind=(valgrind --tool=callgrind --quiet "--callgrind-out-file=$work/count")

total() { sed -n 's/^\(summary\|totals\): //p' "$work/count" | head -n 1; }

# served PROGRAM OPTION...: the instructions of a server under this load.
served() {
  local program=$1 status=0 started
  shift
  rm -f "$work/count"
  start_listening "${callgrind[@]}" "$bin/$program" --listen 127.0.0.1:0 \
    --threads 1 --read-timeout 600 --log-level off "${keep[@]}"
  started=("${servers[-1]}")
  servers=() # it is not to be read from /proc
  load "$@" || status=$?
  servers=("${started[@]}")
  stop_servers
  counted=$(total)
  if [ $status -ne 0 ] || [ -z "$counted" ]; then
    cat "$work/err" >&2
    echo "$self: counting $program failed" >&2
    exit 1
  fi
}

decoded() {
  "${callgrind[@]}" "$bin/decode_count" "$1" >"$work/decoded"
  counted=$(total)
}

# count NAME: once; the result in `each`, to a tenth.
count() {
  local few many divisor
  case $1 in
    echo) few=500 many=4500 divisor=4000 ;;
    echo-16) few=640 many=9600 divisor=8960 ;;
    delivery) few=20 many=120 divisor=$((100 * 200)) ;;
    connect) few=50 many=250 divisor=200 ;;
    publish) few=100 many=900 divisor=800 ;;
    decode) few=100 many=600 ;;
  esac
  measure "$1" $few
  few=$counted
  measure "$1" $many
  [ "$1" != decode ] || divisor=$(($(cat "$work/decoded") * 5 / 6))
  each=$(awk -v a="$few" -v b="$counted" -v n="$divisor" \
    'BEGIN { printf "%.1f", (b - a) / n }')
}

# measure NAME COUNT
measure() {
  case $1 in
    echo) served echo-server --connections 1 --count "$2" ;;
    echo-16) served echo-server --connections 4 --window 16 --count "$2" ;;
    delivery)
      served chatroom-server --mode broadcast --connections 199 --count "$2"
      ;;
    connect)
      served echo-server --mode connect --connections 20 --count "$2"
      ;;
    publish) served_with_redis --mode broadcast --connections 1 --count "$2" ;;
    decode) decoded "$2" ;;
  esac
}

# served_with_redis OPTION...: the chat room as a node of a cluster.
served_with_redis() {
  local redis keep=(--redis "unix://$work/redis")
  start_redis
  redis=("${servers[@]}")
  served chatroom-server "$@"
  servers=("${redis[@]}")
  stop_servers
}

# grown OLD NEW: by more than 5 %; shrunk likewise.
grown() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(b > a * 1.05) }'; }
shrunk() { grown "$2" "$1"; }

bad=0 better=0 lines=()
printf '%-12s %10s %10s\n' "" noted now
for name in echo echo-16 delivery connect publish decode; do
  old=$(sed -n "s/^$name //p" "$file" 2>/dev/null || true)
  count $name
  best=$each
  # What disturbs only adds: the least of three counts.
  for _ in 1 2; do
    [ $update -eq 1 ] || { [ -n "$old" ] && grown "$old" "$best"; } || break
    count $name
    awk -v a="$each" -v b="$best" 'BEGIN { exit !(a < b) }' && best=$each
  done
  verdict=''
  if [ $update -eq 0 ] && [ -z "$old" ]; then
    verdict='NOT IN THE FILE'
    bad=1
  elif [ $update -eq 0 ] && grown "$old" "$best"; then
    verdict='GREW BY MORE THAN 5 %'
    bad=1
  elif [ -n "$old" ] && shrunk "$old" "$best"; then
    verdict='less'
    better=1
  fi
  lines+=("$name $best")
  printf '%-12s %10s %10s  %s\n' "$name" "${old:--}" "$best" "$verdict"
done

if [ $update -eq 1 ]; then
  {
    cat <<'END'
# Instructions per reply, delivery, connection (opened and reset) and decoded
# message, all of the server's process but the kernel. Echo: one connection with
# one request in flight, and 4 with 16. Delivery: a chat message to 200 clients,
# the sender's request, one in flight (with more it is chance how many meet in a
# write). Publish: one at a time on a node of a cluster, its request, the log in
# Redis, two deliveries, the node's beats. Written by bench/instructions.sh
# --update; when one grows by more than 5 % the test "instructions" fails.
END
    echo "environment $here"
    printf '%s\n' "${lines[@]}"
  } >"$work/new"
  cp "$work/new" "$file"
elif [ $bad -ne 0 ]; then
  echo "If that is the price of something: bench/instructions.sh --update"
elif [ $better -ne 0 ]; then
  echo "Keep what was won: bench/instructions.sh --update"
fi
exit $bad
