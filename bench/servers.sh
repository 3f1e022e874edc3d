# shellcheck shell=bash disable=SC2154
# Servers to be measured: start them pinned to a CPU, know their processes and
# addresses, stop them. Sourced by run.sh and compare.sh; defines functions only.
#
# The caller sets: self (its name), work (a directory), bin (our programs),
# server_cpu, bench_cpu, cores; and the arrays servers (pids, Redis' too), urls.
# Starting and stopping may take 10 s each, or as many as in slow.

mistake() {
  echo "$self: $1 (try --help)" >&2
  exit 2
}

# take_options VALUES FLAGS ARGUMENT...: --server-cpu 1 sets server_cpu when it is
# among VALUES, --quick sets quick to 1 when it is among FLAGS.
take_options() {
  local values=" $1 " flags=" $2 " option
  shift 2
  while [ $# -gt 0 ]; do
    option=${1#--}
    [ "$1" != --help ] || { usage; exit 0; }
    [[ $1 =~ ^--[a-z-]+$ ]] || mistake "unexpected argument $1"
    if [[ $values == *" $option "* ]]; then
      [ $# -ge 2 ] || mistake "$1 needs a value"
      printf -v "${option//-/_}" %s "$2"
      shift
    elif [[ $flags == *" $option "* ]]; then
      printf -v "$option" 1
    else
      mistake "unknown option $1"
    fi
    shift
  done
}

# check_options PROGRAM...: bin has these, and the other options make sense.
check_options() {
  local name
  [[ $seconds =~ ^[0-9]{1,5}(\.[0-9]+)?$ ]] ||
    mistake "--seconds: '$seconds' is no number of seconds"
  for name in window channels; do
    [[ ${!name-1} =~ ^[1-9][0-9]{0,5}$ ]] ||
      mistake "--$name: '${!name}' is no whole number above 0"
  done
  for name in server_cpu bench_cpu; do
    [ "$cores" -eq 1 ] || taskset -c "${!name}" true 2>/dev/null ||
      mistake "--${name/_/-}: there is no CPU '${!name}' to use"
  done
  for name in "$@"; do
    [ -x "$bin/$name" ] ||
      mistake "--bin: no $name in $bin; build with the preset release first"
  done
}

# pinned CPU COMMAND...: on that CPU, if there are several. For a subshell.
pinned() {
  local cpu=$1
  shift
  if [ "$cores" -gt 1 ]; then
    exec taskset -c "$cpu" "$@"
  else
    exec "$@"
  fi
}

stop_servers() {
  local server
  for server in "${servers[@]}"; do
    kill -TERM "$server" 2>/dev/null || true
    for _ in $(seq $((${slow:-10} * 10))); do
      kill -0 "$server" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  done
  servers=() urls=()
}

did_not_start() {
  cat "$work/out" "$work/err" >&2
  echo "$self: $1 did not start" >&2
  return 1
}

# start_listening COMMAND...: a server that says "listening on URL".
start_listening() {
  local url=
  : >"$work/out" # or the last server's address might be read again
  (pinned "$server_cpu" "$@" >"$work/out" 2>"$work/err") &
  servers+=($!)
  for _ in $(seq $((${slow:-10} * 10))); do
    url=$(sed -n 's/^listening on //p' "$work/out")
    if [ -n "$url" ]; then
      urls+=("$url")
      return 0
    fi
    kill -0 "${servers[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  did_not_start "$1"
}

# start PROGRAM OPTION...: a server of ours.
start() {
  local program=$1
  shift
  start_listening "$bin/$program" --listen 127.0.0.1:0 --threads 1 \
    --read-timeout 60 "$@"
}

# A Redis that keeps nothing on disk, on a socket in $work and, with a port, on
# loopback.
start_redis() {
  (pinned "$server_cpu" redis-server --bind 127.0.0.1 --port "${1:-0}" \
    --unixsocket "$work/redis" --dir "$work" --save '' --appendonly no \
    >"$work/out" 2>"$work/err") &
  servers+=($!)
  for _ in $(seq $((${slow:-10} * 10))); do
    redis-cli -s "$work/redis" ping >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  did_not_start redis-server
}

# load OPTION...: webwire-bench on what was started, bounded; CSV to $work/csv.
# Its exit status; 124 when it was ended because it took too long.
load() {
  local options=() item limit=${seconds:-0}
  limit=$((${limit%.*} + 300))
  for item in "${urls[@]}"; do options+=(--url "$item"); done
  for item in "${servers[@]}"; do options+=(--pid "$item"); done
  : >"$work/csv"
  (pinned "$bench_cpu" timeout --foreground --kill-after=5 $limit \
    "$bin/webwire-bench" "${options[@]}" --output csv "$@") >"$work/csv"
}

# field NAME: of $work/csv; empty when it is not there.
field() {
  awk -F, -v name="$1" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next }
    at { print $at }' "$work/csv"
}
