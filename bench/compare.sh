#!/usr/bin/env bash
# One sitting, one load generator, several servers: what a delivery, an echo and
# an idle connection cost with ours and with what others use, in one table, and
# how many times ours that is.
set -euo pipefail

usage() {
  cat <<'END'
usage: bench/compare.sh [OPTION...]

  --targets LIST    of webwire, floor, nchan, ws, socket.io, webwire-redis,
                    nchan-redis, socket.io-redis, separated by commas
                    (default: all). Those with -redis are two nodes over one
                    Redis, whose CPU time counts with the nodes'. "floor" is no
                    server, but one send() per subscriber in a loop: what the
                    kernel alone costs where each message is a write.
  --columns LIST    of 100x16, 1000x16, 5000x16, 1000x1, echo64x1, echo64x16,
                    idle, p50 (default: all)
  --rounds N        every cell is measured so often, the servers taking turns,
                    and the median is shown (default 3)
  --seconds S       measured per cell (default 3, after 1 s of warm-up)
  --bin DIR         our programs (default: build/bin of this tree)
  --server-cpu N    default 0
  --bench-cpu N     default 1
  --details FILE    append every measurement to FILE, a line of JSON each
  --quick           small numbers, one round: does it work at all?
  --yes             install what is missing: Debian's nginx,
                    libnginx-mod-nchan, redis-server, nodejs, npm; and from npm,
                    into a temporary directory, ws and Socket.IO
  --npm DIR         use the packages of a node_modules beside or in DIR instead
  --help            this text

Columns: "100x16" is a 64-byte message to 100 subscribers, 16 in flight, in
microseconds of server CPU per delivery; "echo64x16" 64 connections with 16
requests in flight each, per reply; "idle" bytes of memory per idle connection,
of 10,000; "p50" the median latency of 20 messages per second to 1,000
subscribers, in milliseconds. What can't be had here is left out, with the
reason. "!" marks a cell where messages were lost, doubled or out of order.

Exit status: 1 when ours failed or lost anything, 2 for a usage error.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/servers.sh
. "$root/bench/servers.sh"
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
# shellcheck disable=SC2034 # used there
self=bench/compare.sh
all_targets=webwire,floor,nchan,ws,socket.io,webwire-redis,nchan-redis,socket.io-redis
all_columns=100x16,1000x16,5000x16,1000x1,echo64x1,echo64x16,idle,p50
targets=$all_targets columns=$all_columns rounds=3 seconds=3 details=''
bin=$root/build/bin server_cpu=0 bench_cpu=1 quick=0 yes=0 npm=''
nchan_module=/usr/lib/nginx/modules/ngx_nchan_module.so

take_options "targets columns rounds seconds bin server-cpu bench-cpu details npm" \
  "quick yes" "$@"
# listed ITEM LIST
listed() { case ",$2," in *",$1,"*) ;; *) return 1 ;; esac; }
for item in ${targets//,/ }; do
  listed "$item" $all_targets || mistake "--targets: no such server: $item"
done
for item in ${columns//,/ }; do
  listed "$item" $all_columns || mistake "--columns: no such column: $item"
done
[[ $rounds =~ ^[1-9][0-9]?$ ]] || mistake "--rounds: 1 to 99"
[[ $seconds =~ ^[0-9]+(\.[0-9]+)?$ ]] || mistake "--seconds: a number"
[ -x "$bin/webwire-bench" ] || mistake "--bin: no webwire-bench in $bin"
warmup=1
[ $quick -eq 0 ] || rounds=1 warmup=0.2

ulimit -n "$(ulimit -Hn)"
# shellcheck disable=SC2034
cores=$(nproc)
work=$(mktemp -d)
chmod 755 "$work"
servers=() urls=()
trap 'stop_servers; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# --- What there is ----------------------------------------------------------

# have_packages PACKAGE...: installed, or installed now.
have_packages() {
  local missing=()
  wwr_is_debian || return 1
  mapfile -t missing < <(wwr_missing_packages "$@")
  [ ${#missing[@]} -eq 0 ] && return 0
  [ $yes -eq 1 ] && wwr_apt_install 1 "${missing[@]}"
}

have_nchan() {
  { [ -e $nchan_module ] && command -v nginx >/dev/null 2>&1; } ||
    have_packages nginx libnginx-mod-nchan
}

have_redis() {
  command -v redis-server >/dev/null 2>&1 || have_packages redis-server
}

# The scripts of bench/compare where they find their packages.
have_npm() {
  local modules=$npm
  [ ! -d "$work/npm" ] || return 0
  command -v node >/dev/null 2>&1 || have_packages nodejs npm || return 1
  [ ! -d "$npm/node_modules" ] || modules=$npm/node_modules
  mkdir "$work/npm"
  cp "$root"/bench/compare/*.mjs "$root"/bench/compare/*.json "$work/npm"
  if [ -n "$npm" ]; then
    [ -d "$modules/ws" ] && ln -s "$(cd "$modules" && pwd)" \
      "$work/npm/node_modules" && return 0
  elif [ $yes -eq 1 ]; then
    (cd "$work/npm" && timeout 300 npm ci --no-audit --no-fund \
      --ignore-scripts) >&2 && return 0
  fi
  rm -rf "$work/npm"
  return 1
}

# why_not TARGET: nothing when it can be measured.
why_not() {
  case $1 in
    *-redis) have_redis || { echo "no redis-server (try --yes)"; return; } ;;
  esac
  case $1 in
    nchan*) have_nchan || echo "no nginx with Nchan (try --yes)" ;;
    ws | socket.io*) have_npm || echo "no packages from npm (try --yes)" ;;
  esac
}

# --- Servers ----------------------------------------------------------------

# A port of which nothing answers; Nchan can't choose one for itself.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((10000 + RANDOM % 20000))
    (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo $port; return; }
  done
}

# children_of PID, without needing procps.
children_of() {
  grep -lsx "PPid:[[:space:]]*$1" /proc/[0-9]*/status | cut -d/ -f3 || true
}

# start_nchan_node [REDIS_PORT]: one worker, subscribers on /sub, senders on /pub.
start_nchan_node() {
  local port dir user='' redis='' pass='' worker=''
  port=$(free_port)
  dir=$work/nchan-$port
  mkdir "$dir"
  [ "$(id -u)" -ne 0 ] || user='user root;'
  if [ -n "${1:-}" ]; then
    redis="upstream redis { nchan_redis_server redis://127.0.0.1:$1; }"
    pass='nchan_redis_pass redis;' # it counts within a location only
  fi
  cat >"$dir/nginx.conf" <<END
load_module $nchan_module;
$user
daemon off;
worker_processes 1;
worker_rlimit_nofile $(ulimit -n);
pid $dir/pid;
error_log $dir/error.log warn;
events { worker_connections $(($(ulimit -n) - 64)); }
http {
  access_log off;
  client_body_temp_path $dir/body;
  proxy_temp_path $dir/proxy;
  fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi;
  scgi_temp_path $dir/scgi;
  nchan_max_reserved_memory 256M;
  $redis
  server {
    listen 127.0.0.1:$port backlog=4096;
    nchan_channel_id bench;
    nchan_message_buffer_length 100;
    location = /sub {
      $pass
      nchan_subscriber websocket;
      nchan_subscriber_first_message newest;
    }
    location = /pub {
      $pass
      nchan_publisher websocket;
    }
  }
}
END
  (pinned "$server_cpu" nginx -c "$dir/nginx.conf" -p "$dir" -e "$dir/error.log" \
    >"$work/out" 2>"$work/err") &
  servers+=($!)
  for _ in $(seq 100); do
    worker=$(children_of "${servers[-1]}")
    [ -z "$worker" ] || ! (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    kill -0 "${servers[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  if [ -z "$worker" ]; then
    cat "$dir/error.log" >&2
    did_not_start nginx
    return 1
  fi
  workers+=("$worker")
  urls+=("ws://127.0.0.1:$port/sub")
  publish=("--publish-url" "ws://127.0.0.1:$port/pub")
}

start_webwire() {
  case $1 in
    echo* | idle) start echo-server --sessions "$work/sessions" ;;
    *) start chatroom-server --sessions "$work/sessions" ;;
  esac
}

start_webwire_redis() {
  start_redis && start chatroom-server --redis "unix://$work/redis" &&
    start chatroom-server --redis "unix://$work/redis"
}

start_nchan_redis() {
  local port
  port=$(free_port)
  start_redis "$port" && start_nchan_node "$port" && start_nchan_node "$port"
}

start_socketio_redis() {
  local port
  port=$(free_port)
  start_redis "$port" &&
    start_listening node "$work/npm/socketio.mjs" "redis://127.0.0.1:$port" &&
    start_listening node "$work/npm/socketio.mjs" "redis://127.0.0.1:$port"
}

# start_target TARGET COLUMN: the server that the column needs, and the options
# with which the load generator speaks to it.
start_target() {
  local kind='broadcast'
  protocol=() publish=() workers=()
  case $2 in echo*) kind='echo' ;; esac
  case $1 in
    floor | nchan* | ws) protocol=(--protocol plain) ;;
    socket.io*) protocol=(--protocol socket.io) ;;
  esac
  case $1 in
    webwire) start_webwire "$2" ;;
    webwire-redis) start_webwire_redis ;;
    floor) start_listening "$bin/webwire-floor" ;;
    nchan) start_nchan_node ;;
    nchan-redis) start_nchan_redis ;;
    ws) start_listening node "$work/npm/ws.mjs" "$kind" ;;
    socket.io) start_listening node "$work/npm/socketio.mjs" ;;
    socket.io-redis) start_socketio_redis ;;
  esac
}

# --- Cells ------------------------------------------------------------------

# applies TARGET COLUMN: does this server do that?
applies() {
  case $1-$2 in
    nchan-echo* | nchan-redis-echo*) return 1 ;; # nothing echoes there
    floor-1000x1 | floor-p50) ;;
    floor-*) return 1 ;; # it does not put messages together
    *-redis-echo* | *-redis-idle | *-redis-5000x16) return 1 ;;
  esac
}

# The load of a column, as options.
load_of() {
  local n=$1
  case $1 in
    echo64x*)
      if [ $quick -eq 1 ]; then n=4x4; else n=${1#echo}; fi
      echo "--mode echo --connections ${n%x*} --window ${n#*x}" \
        "--warmup $warmup"
      ;;
    idle)
      n=10000
      [ $quick -eq 0 ] || n=50
      echo "--mode idle --connections $n --warmup 0.5"
      ;;
    p50)
      n=1000
      [ $quick -eq 0 ] || n=10
      echo "--mode broadcast --connections $n --rate 20 --warmup $warmup"
      ;;
    *)
      [ $quick -eq 0 ] || n=10x4
      echo "--mode broadcast --connections ${n%x*} --window ${n#*x}" \
        "--warmup $warmup"
      ;;
  esac
}

# What the reckoning in $work/csv complains of, in a line.
faults() {
  awk -F, '
    NR == 1 { for (i = 1; i <= NF; i++) name[i] = $i; next }
    { for (i = 1; i <= NF; i++) {
        if (name[i] == "issued") behind = i
        if (behind && i > behind && $i > 0) printf "%s %s  ", $i, name[i]
      }
      print "" }' "$work/csv"
}

# as_json TARGET COLUMN: $work/csv with these two in front.
as_json() {
  awk -F, -v target="$1" -v cell="$2" '
    NR == 1 { for (i = 1; i <= NF; i++) name[i] = $i; next }
    {
      printf "{\"target\":\"%s\",\"column\":\"%s\"", target, cell
      for (i = 1; i <= NF; i++) {
        value = $i == "" ? "null" : $i
        if (name[i] == "mode") value = "\"" $i "\""
        printf ",\"%s\":%s", name[i], value
      }
      print "}"
    }' "$work/csv"
}

bad=0
# cell TARGET COLUMN: measure it once and note the value.
cell() {
  local status=0 value='' mark='' settle=0 options=() processes
  case $1 in *-redis) settle=1 ;; esac # until all nodes hear the channel
  read -r -a options <<<"$(load_of "$2")"
  if start_target "$1" "$2"; then
    processes=("${servers[@]}")
    servers+=("${workers[@]}")
    case $2 in idle) publish=() ;; esac # nobody sends there
    load --seconds "$seconds" --settle "$settle" "${protocol[@]}" \
      "${publish[@]}" "${options[@]}" 2>"$work/load.err" || status=$?
    servers=("${processes[@]}") # the master ends its worker
  else
    status=1
  fi
  stop_servers
  case $2 in
    idle) value=$(field server_rss_bytes_per_connection) ;;
    p50) value=$(field p50_us) ;;
    *) value=$(field server_cpu_us_each) ;;
  esac
  if [ $status -ne 0 ]; then
    mark='!'
    { cat "$work/load.err" && faults; } | sed "s/^/$1, $2: /" >&2
    case $1 in webwire*) bad=1 ;; esac
  fi
  [ -z "$details" ] || ! [ -s "$work/csv" ] || as_json "$1" "$2" >>"$details"
  [ -z "$value" ] || echo "$value $mark" >>"$work/cell-$1-$2"
}

# median TARGET COLUMN: of its values; "!" behind it when a run was not flawless.
median() {
  [ -s "$work/cell-$1-$2" ] || return 0
  sort -g "$work/cell-$1-$2" | awk '
    { values[NR] = $1; if ($2 != "") mark = "!" }
    END {
      if (NR % 2) middle = values[(NR + 1) / 2]
      else middle = (values[NR / 2] + values[NR / 2 + 1]) / 2
      print middle mark
    }'
}

# --- The sitting ------------------------------------------------------------

measured=()
for target in ${targets//,/ }; do
  reason=$(why_not "$target" 2>"$work/why")
  if [ -z "$reason" ]; then
    measured+=("$target")
  else
    cat "$work/why" >&2
    echo "left out: $target: $reason"
  fi
done
[ ${#measured[@]} -gt 0 ] || mistake "none of these servers can be had"

for round in $(seq "$rounds"); do
  for column in ${columns//,/ }; do
    for target in "${measured[@]}"; do
      applies "$target" "$column" || continue
      [ ! -t 2 ] || printf '\r\033[Kround %s of %s: %s, %s' "$round" "$rounds" \
        "$column" "$target" >&2
      cell "$target" "$column"
    done
  done
done
[ ! -t 2 ] || printf '\r\033[K' >&2

# row TITLE VALUE...
row() {
  printf '| %-16s |' "$1"
  shift
  printf ' %9s |' "$@"
  printf '\n'
}

# shown COLUMN VALUE: in the units of the table.
shown() {
  local mark=''
  [ -n "$2" ] || return 0
  case $2 in *!) mark='!' ;; esac
  awk -v column="$1" -v value="${2%!}" -v mark="$mark" 'BEGIN {
    format = value < 1 ? "%.3f" : "%.2f"
    if (column == "idle") { format = "%.2f KB"; value /= 1024 }
    if (column == "p50") { format = "%.2f ms"; value /= 1000 }
    printf format "%s\n", value, mark }'
}

# times TARGET COLUMN: how many times ours, of the same kind.
times() {
  local ours=webwire
  case $1 in *-redis) ours=webwire-redis ;; esac
  awk -v its="$(median "$1" "$2")" -v ours="$(median $ours "$2")" 'BEGIN {
    sub(/!/, "", its); sub(/!/, "", ours)
    if (its != "" && ours > 0) printf "%.1f x", its / ours }'
}

# table FUNCTION TITLE: one row per server.
table() {
  local target column cells
  read -r -a cells <<<"${columns//,/ }"
  row "$2" "${cells[@]}"
  printf '|------------------|'
  printf -- '-----------|%.0s' "${cells[@]}"
  printf '\n'
  for target in "${measured[@]}"; do
    cells=()
    for column in ${columns//,/ }; do
      cells+=("$("$1" "$target" "$column")")
    done
    row "$target" "${cells[@]}"
  done
}
value_of() { shown "$2" "$(median "$1" "$2")"; }

echo "$(date -u +%Y-%m-%d), $(nproc) CPUs, $rounds round(s) of $seconds s;" \
  "microseconds of server CPU each"
echo
table value_of ""
echo
table times "times ours"
echo
echo "Not measured: uWebSockets, of which Debian has no package and npm only" \
  "other people's copies."
exit $bad
