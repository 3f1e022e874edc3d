#!/usr/bin/env bash
# Build and start the chat room on several nodes behind one address, say how to
# join it, and let a person break parts of it. Ctrl-C ends all of it.
#
# What bash 5.2 does when a signal or a pause of the machine comes at the wrong
# moment, and what it costs here:
# - A trap that comes with `break` or `continue` is skipped for good: SIGTERM is
#   lost. Loops do without both.
# - A trap that comes while it parses a command substitution ends the script with
#   a syntax error: there is none once the demonstration runs.
# - A trap that comes while the builtin `wait` hears of a child's end loses the
#   news, and the next `wait` for that child lasts for ever: whether a member runs
#   is asked of /proc, and nothing waits for one that might.
# - `read -t` that expires before it begins to read sets the signal mask to
#   garbage, and SIGTERM may never come: only the helper process uses it.
set -euo pipefail

usage() {
  cat <<'END'
usage: deploy/demo.sh [OPTION...]

Installs what is missing (Debian 12 and 13), builds, and starts the chat room on
this machine only: a Redis of its own, several nodes, and HAProxy in front of
them. Says where to open it in a browser, how to join otherwise, and what can be
tried; Ctrl-C stops all of it.

  --nodes N        so many nodes, 1 to 8 (default 3)
  --port N         listen on this port (default: a free one)
  --single         one node without Redis and HAProxy
  --kill-node      kill a node (kill -9) some time after somebody joined,
                   and start it again later
  --restart-redis  restart Redis some time after somebody joined
  --after SECONDS  that time (default 10)
  --bin DIR        take the programs from here, build nothing
  --yes            install without asking
  --help           this text

While it runs it reads commands from its input, one a line:
  k [N]  kill node N, or the one with the most connections (also SIGUSR1)
  n [N]  start node N again, or all that do not run
  r      restart Redis; it is away for some seconds (also SIGUSR2)
  s      status        h  this list        q  quit

Debian starts redis-server and haproxy as services when it installs them; the
demonstration does not use those.
END
}

export PATH=$PATH:/usr/sbin # where Debian has haproxy
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
nodes=3 port=0 single=0 yes=0 after=10 bin='' explained=0
planned=() # what the flags asked for, in order: kill, redis

fail() {
  explained=1
  echo "deploy/demo.sh: $1" >&7
  exit "${2:-1}"
}
exec 7>&2

# number OPTION VALUE MIN MAX WHAT: the value without leading zeros.
number() {
  if ! [[ $2 =~ ^[0-9]{1,5}$ ]] || [ "$((10#$2))" -lt "$3" ] ||
    [ "$((10#$2))" -gt "$4" ]; then
    fail "$1: '$2' is no $5" 2
  fi
  number=$((10#$2))
}

while [ $# -gt 0 ]; do
  case $1 in
    --nodes | --port | --after | --bin)
      [ $# -ge 2 ] || fail "$1 needs a value (try --help)" 2
      case $1 in
        --nodes) number "$1" "$2" 1 8 "number from 1 to 8" && nodes=$number ;;
        --port) number "$1" "$2" 0 65535 port && port=$number ;;
        --after) number "$1" "$2" 0 86400 "number of seconds" && after=$number ;;
        --bin) bin=$2 ;;
      esac
      shift
      ;;
    --single) single=1 ;;
    --kill-node) planned+=(kill) ;;
    --restart-redis) planned+=(redis) ;;
    --yes) yes=1 ;;
    --help) usage; exit 0 ;;
    *) fail "unknown option $1 (try --help)" 2 ;;
  esac
  shift
done
if [ $single -eq 1 ] && [ ${#planned[@]} -gt 0 ]; then
  fail "--single has neither a node to spare nor a Redis (try --help)" 2
fi

# --- Members: node-1, node-2, ..., redis, haproxy ------------------------------

work=$(mktemp -d)
names=() # of the nodes
declare -A pid=() born=() ports=() up=() connections=()
mkfifo "$work/events"
exec 9<>"$work/events" # what the helper writes, see hear()

pause() {
  sleep "$1" || true
}

# Sets `process`: when the member's process was started, in the kernel's ticks,
# and `parent`; false when it has ended.
look_up() {
  local stat fields
  process='' parent=''
  read -r stat <"/proc/${pid[$1]}/stat" || return 1
  read -r -a fields <<<"${stat##*) }" # after the program's name
  case ${fields[0]:-X} in [ZX]) return 1 ;; esac
  process=${fields[19]:-} parent=${fields[1]:-}
} 2>/dev/null

# Whether the member runs: the number of one that ended may belong to somebody
# else by now.
runs() {
  [ -n "${pid[$1]:-}" ] && look_up "$1" && [ "$process" = "${born[$1]:-}" ]
}

# In a session of its own, so that Ctrl-C reaches it once, from clean_up; and
# gone with us even when we are killed.
with_us=()
! command -v setpriv >/dev/null 2>&1 || with_us=(setpriv --pdeathsig KILL)
launch() {
  local name=$1
  shift
  setsid "${with_us[@]}" "$@" </dev/null >>"$work/$name.out" \
    2>>"$work/$name.err" 7>&- 9<&- &
  pid[$name]=$!
  look_up "$name" || true
  born[$name]=$process
}

# signal SIGNAL NAME...: to those that run.
signal() {
  local name signal=$1
  shift
  for name in "$@"; do
    ! runs "$name" || kill "-$signal" "${pid[$name]}" 2>/dev/null || true
  done
}

# await_end TENTHS NAME...: until none of them runs, no longer than that.
await_end() {
  local name left=$1
  shift
  for name in "$@"; do
    while [ "$left" -gt 0 ] && runs "$name"; do
      pause 0.1
      left=$((left - 1))
    done
  done
}

# stop NAME...: all of them end within 7 seconds, and are forgotten.
stop() {
  signal TERM "$@"
  await_end 50 "$@"
  slay "$@"
}

slay() {
  local name
  signal KILL "$@"
  await_end 20 "$@"
  for name in "$@"; do pid[$name]=''; done
}

# Whether bash takes a member for running.
is_job() {
  local one
  (:) # it learns of ended children at the latest when it waits for one
  jobs -rp >"$work/jobs"
  while read -r one; do
    [ "$one" -ne "${pid[$1]}" ] || return 0
  done <"$work/jobs"
  return 1
}

# Sets `ended`: the exit status of a member that has ended. Its threads may still
# be ending, and until then bash does not know; or it was never told.
exit_status() {
  local left=20
  ended=unknown
  while is_job "$1"; do
    [ $left -gt 0 ] || return 0
    pause 0.1
    left=$((left - 1))
  done
  ended=0
  wait "${pid[$1]}" 2>/dev/null || ended=$?
}

# The child that a trap left no time to note is a member as well, `last`.
note_last() {
  pid[last]=''
  if [ -n "${!:-}" ] && [[ " ${pid[*]} " != *" $! "* ]]; then
    pid[last]=$!
    if look_up last && [ "$parent" = $$ ]; then born[last]=$process; fi
  fi
}

# Whatever ends this script: everything that it started ends, and the data with
# it.
# shellcheck disable=SC2317
clean_up() {
  local status=$? any=${#pid[@]} IFS=$' \t\n' # a read may have been interrupted
  trap - EXIT
  trap '' INT TERM HUP USR1 USR2
  set +e # whatever fails, the rest is done
  note_last
  slay helper
  stop last "${names[@]}" # in peace: they have sessions to give back
  stop haproxy redis
  if [ $status -ne 0 ] && [ $explained -eq 0 ] && [ -e "$work/notices" ]; then
    cat "$work/notices" >&7
  fi
  rm -rf "$work"
  [ "$any" -eq 0 ] || echo "stopped" || true
}
trap clean_up EXIT
trap 'echo; exit 0' INT
trap 'explained=1; exit 143' TERM HUP

# What a member printed last, and the end.
give_up() {
  tail -n 20 "$work/$1.out" "$work/$1.err" >&7 || true
  fail "$2"
}

# --- Asking ---------------------------------------------------------------------

# ask PORT TEXT: sets `answer` to what 127.0.0.1:PORT says within 2 seconds; false
# when that is nothing. Another process asks: it can be ended from outside,
# whatever it waits for.
ask() {
  # shellcheck disable=SC2016
  timeout --foreground -k 1 2 bash -c '
    exec 8<>"/dev/tcp/127.0.0.1/$1" && printf "%b" "$2" >&8 &&
      exec head -c 100000 <&8' \
    ask "$1" "$2" >"$work/answer" 2>/dev/null 7>&- 9<&- || true
  IFS= read -r -d '' answer <"$work/answer" || true
  answer=${answer//$'\r'/}
  [ -n "$answer" ]
}
trap '' PIPE # who hangs up on us ends no more than the question

redis_answers() {
  ask "${ports[redis]}" 'PING\r\nQUIT\r\n' && [[ $answer == +PONG* ]]
}

node_listens() {
  grep -q '^listening on ' "$work/$1.out"
}

# Sets `health`: why a node is not ready, empty when it is.
node_health() {
  health="no answer"
  ask "${ports[$1]}" \
    'OPTIONS / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n' ||
    return 0
  answer=${answer%$'\n'}
  case $answer in
    HTTP/1.?\ 200*) health='' ;;
    HTTP/1.?\ *) health=${answer##*$'\n'} ;;
  esac
}

node_is_ready() {
  node_listens "$1" || return 1
  node_health "$1"
  [ -z "$health" ]
}

# Sets `answer`: HAProxy's table as "proxy,server,...".
haproxy_answers() {
  ask "${ports[page]}" 'GET /;csv HTTP/1.0\r\n\r\n' &&
    [[ $answer == HTTP/1.?\ 200* ]]
}

# await NAME SECONDS TEST [ARG]: until the test is true; false when the member
# ends or takes longer.
await() {
  local name=$1 end=$((SECONDS + $2))
  shift 2
  while [ $SECONDS -lt $end ] && runs "$name"; do
    ! "$@" || return 0
    pause 0.1
  done
  return 1
}

# --- Starting -------------------------------------------------------------------

# Sets `found`: a port nobody listens on, below those of the kernel's choice, so
# that it is still free when a member comes back to it.
find_port() {
  for _ in {1..100}; do
    found=$((20000 + RANDOM % 10000))
    # shellcheck disable=SC2016
    [[ " ${ports[*]} " == *" $found "* ]] ||
      timeout --foreground -k 1 2 bash -c ': <>"/dev/tcp/127.0.0.1/$0"' \
        "$found" 2>/dev/null || return 0
  done
  fail "no free port"
}

start_redis() {
  mkdir -p "$work/redis"
  launch redis redis-server --bind 127.0.0.1 --port "${ports[redis]}" \
    --dir "$work/redis" --save '' --appendonly yes
  await redis 30 redis_answers
}

start_node() {
  local where=(--sessions "$work/sessions")
  [ $single -eq 1 ] ||
    where=(--redis "redis://127.0.0.1:${ports[redis]}" --node-name "$1")
  : >"$work/$1.out"
  launch "$1" "$bin/chatroom-server" --listen "127.0.0.1:${ports[$1]}" \
    "${where[@]}"
}

bring_up_node() {
  start_node "$1"
  await "$1" 30 node_listens "$1"
}

# deploy/haproxy/haproxy.cfg, with these nodes.
write_haproxy_config() {
  local name
  grep -v '^  server ' "$root/deploy/haproxy/haproxy.cfg"
  for name in "${names[@]}"; do
    echo "  server $name 127.0.0.1:${ports[$name]}"
  done
}

start_haproxy() {
  find_port
  ports[page]=$found
  write_haproxy_config >"$work/haproxy.cfg"
  launch haproxy env WEBWIRE_LISTEN="127.0.0.1:${ports[haproxy]}" \
    WEBWIRE_STATS="127.0.0.1:${ports[page]}" WEBWIRE_CHECK=500ms \
    haproxy -db -f "$work/haproxy.cfg"
  await haproxy 30 haproxy_answers
}

# bring_up NAME WHAT COMMAND...: start a member on a free port, another one when
# somebody else was quicker.
bring_up() {
  local name=$1 what=$2
  shift 2
  for _ in 1 2 3; do
    find_port
    ports[$name]=$found
    ! "$@" || return 0
    slay "$name"
  done
  give_up "$name" "$what did not start"
}

# On a terminal the build shows its progress, elsewhere only what went wrong.
quietly() {
  if [ -t 1 ]; then
    "$@"
  elif ! "$@" >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    return 1
  fi
}

if [ -z "$bin" ]; then
  wwr_prepare "$yes" || fail "the packages above are needed"
fi
if [ $single -eq 0 ]; then
  wwr_prepare_cluster "$yes" ||
    fail "the programs above are needed; --single does without"
fi
if [ -z "$bin" ]; then
  echo "building ..."
  cd "$root"
  quietly cmake --preset release || fail "the build could not be configured"
  quietly cmake --build --preset release --target chatroom-server \
    chatroom-client || fail "the build failed"
  bin=$root/build/bin
fi
[ -x "$bin/chatroom-server" ] || fail "no chatroom-server in $bin"

# Clients come in by `front`.
if [ $single -eq 1 ]; then
  names=(node-1)
  front=node-1
  ports[node-1]=$port
  hint=''
  [ "$port" -eq 0 ] || hint="; is port $port taken?"
  bring_up_node node-1 || give_up node-1 "the chat room did not start$hint"
  read -r _ _ url <"$work/node-1.out"
  ports[node-1]=${url##*:}
else
  echo "starting Redis, $nodes nodes and HAProxy ..."
  front=haproxy
  bring_up redis Redis start_redis
  for ((i = 1; i <= nodes; i++)); do
    names+=("node-$i")
    bring_up "node-$i" "node $i" bring_up_node "node-$i"
    up[node-$i]=yes
  done
  for name in "${names[@]}"; do
    await "$name" 30 node_is_ready "$name" ||
      give_up "$name" "$name is not ready: $health"
  done
  if [ "$port" -eq 0 ]; then
    bring_up haproxy HAProxy start_haproxy
  else
    ports[haproxy]=$port
    start_haproxy ||
      give_up haproxy "HAProxy did not start; is port $port taken?"
  fi
  url=ws://127.0.0.1:${ports[haproxy]}
fi

cat <<END

The chat room:  http://${url#ws://}/

Open it in a browser, twice. It can also be joined from other terminals:

  $bin/chatroom-client $url --name Gandalf --pass gandalf1234
  $bin/chatroom-client $url --name Frodo --pass frodo1234

Everyone may write; who logs in has a name. Accounts: Gandalf, Sauron,
Galadriel, Legolas, Aragorn, Melkor, Thranduil, Frodo, Samweis, Gollum, Gimli,
Peregrin, Meriadoc, Boromir, Saruman, Elrond. The password is the lower-case
name followed by 1234. chatroom-client's own commands begin with a colon; :x
leaves.

END

# --- Events ---------------------------------------------------------------------

AWAY=3           # seconds that Redis is away, and a node that a flag killed twice
joined_at=''     # when somebody was first seen
redis_back_at='' # when to start Redis again
nodes_back_at='' # when to start nodes again
expected=''      # connections before a node was killed, until they are back
killed_at=''

say() {
  printf '%(%H:%M:%S)T  %s\n' -1 "$1"
}

# Tenths of a second, to measure with.
tenths() {
  local now=${EPOCHREALTIME/[.,]/}
  tenths=$((now / 100000))
}

# Sets `since`: the time that has passed.
since() {
  tenths
  since="$(((tenths - $1) / 10)).$(((tenths - $1) % 10)) s"
}

total() {
  local name
  total=0
  for name in "${names[@]}"; do
    total=$((total + ${connections[$name]:-0}))
  done
}

# A node's number or nothing, as the commands take it; sets `chosen`.
choose() {
  local name most=-1
  chosen=''
  if [ -n "$1" ]; then
    chosen=node-$1
    [ -n "${ports[$chosen]:-}" ] || { say "there is no node $1"; return 1; }
    return 0
  fi
  for name in "${names[@]}"; do
    if runs "$name" && [ "${connections[$name]:-0}" -gt "$most" ]; then
      most=${connections[$name]:-0}
      chosen=$name
    fi
  done
  [ -n "$chosen" ] || { say "no node runs"; return 1; }
}

kill_node() {
  choose "${1:-}" || return 0
  runs "$chosen" || { say "$chosen does not run"; return 0; }
  total
  if [ -z "$expected" ]; then expected=$total; fi
  tenths
  killed_at=$tenths
  slay "$chosen"
  say "killed $chosen (kill -9) with ${connections[$chosen]:-0} connections"
  say "they go to the others and keep their sessions"
  connections[$chosen]=0
}

start_nodes() {
  local name some=0
  [ -z "${1:-}" ] || choose "$1" || return 0
  for name in "${names[@]}"; do
    if [ "${1:+$chosen}" = "${1:+$name}" ] && ! runs "$name"; then
      some=1
      start_node "$name"
      say "starting $name again"
    fi
  done
  [ $some -eq 1 ] || say "nothing to start: all of them run"
}

restart_redis() {
  if [ -n "$redis_back_at" ]; then return 0; fi
  tenths
  if ! runs redis; then
    redis_back_at=$tenths
    return 0
  fi
  stop redis
  redis_back_at=$((tenths + AWAY * 10))
  say "Redis is stopped for $AWAY s: what is written now arrives afterwards"
}

start_redis_again() {
  redis_back_at=''
  if start_redis; then
    say "Redis is back, with its data"
  else
    tail -n 5 "$work/redis.out" >&7 || true
    say "Redis did not start; r tries again"
  fi
}

status() {
  local name state
  for name in "${names[@]}"; do
    state="does not run"
    if runs "$name"; then
      node_health "$name"
      state="pid ${pid[$name]}  ${connections[$name]:-0} connections  ready"
      [ -z "$health" ] || state="${state%ready}not ready: $health"
    fi
    echo "  $name  127.0.0.1:${ports[$name]}  $state"
  done
  [ $single -eq 1 ] || status_of_others
  echo "  logs    $work/*.err"
}

status_of_others() {
  local state="does not run"
  ! runs redis || state="pid ${pid[redis]}"
  echo "  redis   127.0.0.1:${ports[redis]}  $state"
  state="pid ${pid[haproxy]}  its page: http://127.0.0.1:${ports[page]}/"
  echo "  haproxy 127.0.0.1:${ports[haproxy]}  $state"
}

commands() {
  if [ $single -eq 1 ]; then
    echo "Commands: s status, q quit (or Ctrl-C)."
  else
    cat <<'END'
Commands: k [N] kill a node, n [N] start it again, r restart Redis, s status,
h this help, q quit (or Ctrl-C).
END
  fi
}

obey() {
  local command argument
  read -r command argument <<<"$1" || true
  case $single$command in
    ?) ;;
    0k) kill_node "$argument" ;;
    0n) start_nodes "$argument" ;;
    0r) restart_redis ;;
    ?s) status ;;
    ?q) exit 0 ;;
    *) commands ;;
  esac
}

# --- Watching -------------------------------------------------------------------

# What ended by itself. Without the way in there is no chat room.
check_members() {
  local name
  for name in "${names[@]}" redis haproxy; do
    [ -z "${pid[$name]:-}" ] || runs "$name" || has_ended "$name"
  done
}

has_ended() {
  local name=$1 key=n
  exit_status "$name"
  pid[$name]=''
  tail -n 5 "$work/$name.err" >&7 || true
  [ "$name" != "$front" ] ||
    fail "the chat room ended by itself ($name: exit status $ended)"
  [ "$name" != redis ] || key=r
  say "$name ended by itself (exit status $ended); $key starts it again"
}

# What changed in HAProxy's table.
check_balance() {
  local cells name
  haproxy_answers || return 0
  while IFS=, read -r -a cells; do
    name=${cells[1]:-}
    if [ "${cells[0]:-}" = nodes ] && [ -n "${up[$name]:-}" ]; then
      connections[$name]=${cells[4]}
      case ${cells[17]} in
        UP*) is_up "$name" yes ;;
        DOWN*) is_up "$name" no ;;
      esac
    fi
  done <<<"$answer"
}

is_up() {
  [ "$2" != "${up[$1]}" ] || return 0
  up[$1]=$2
  if [ "$2" = yes ]; then
    say "HAProxy: $1 is up"
  else
    node_health "$1"
    say "HAProxy: $1 is down (${health:-ready again})"
  fi
}

check_clients() {
  total
  tenths
  if [ -z "$joined_at" ] && [ $total -gt 0 ]; then
    joined_at=$tenths
  fi
  if [ -n "$expected" ] && [ $total -ge "$expected" ]; then
    since "$killed_at"
    [ "$expected" -eq 0 ] ||
      say "all $expected clients are connected, $since after the kill"
    expected=''
  fi
}

# What the flags asked for, one after the other, and what is to follow it.
do_what_is_due() {
  tenths
  if [ -n "$redis_back_at" ] && [ $tenths -ge "$redis_back_at" ]; then
    start_redis_again
  fi
  if [ -n "$nodes_back_at" ] && [ $tenths -ge "$nodes_back_at" ]; then
    nodes_back_at=''
    start_nodes
  fi
  if [ ${#planned[@]} -eq 0 ] || [ -z "$joined_at" ] ||
    [ $tenths -lt $((joined_at + after * 10)) ]; then
    return 0
  fi
  if [ "${planned[0]}" = kill ]; then
    kill_node
    nodes_back_at=$((tenths + 2 * AWAY * 10))
  else
    restart_redis
  fi
  planned=("${planned[@]:1}")
  joined_at=$tenths # the next one as long after this one
}

# The helper says what was typed, and every second that it passed. It reads our
# input, but not in the background of a terminal, where that would stop us.
hear() {
  exec 6<&0
  if [ -t 0 ] && ! ps -o stat= -p $$ 2>/dev/null | grep -q '+'; then
    exec 6</dev/null
  fi
  # shellcheck disable=SC2016
  "${with_us[@]}" bash -c '
    typing=""
    while true; do
      got=0
      IFS= read -r -t 1 line || got=$?
      typing=${typing:0:80}${line:0:80}
      if [ $got -eq 0 ]; then
        echo "typed $typing" || exit
        typing=""
      elif [ $got -gt 128 ]; then
        echo second || exit
      else
        break
      fi
    done
    [ ! -t 0 ] || echo "typed q"
    while sleep 1; do echo second || exit; done' \
    <&6 >"$work/events" 2>/dev/null 6<&- 7>&- 9<&- &
  pid[helper]=$!
  look_up helper || true
  born[helper]=$process
  exec 6<&-
}

look_round() {
  check_members
  if [ $single -eq 0 ]; then
    check_balance
    check_clients
    do_what_is_due
  fi
}

wanted='' # by a signal
if [ $single -eq 0 ]; then
  trap 'wanted=k' USR1
  trap 'wanted=r' USR2
fi
commands
hear
exec 2>"$work/notices" # what bash says of children that were killed
looked_at=0
while true; do
  IFS= read -r -u 9 event || true
  case $event in typed\ *) obey "${event#typed }" ;; esac
  if [ -n "$wanted" ]; then
    event=$wanted
    wanted=''
    obey "$event"
  fi
  tenths
  idle=$((tenths - looked_at))
  # Seconds that passed while we were busy are one.
  if [ "$event" != second ] || [ $idle -lt 0 ] || [ $idle -ge 5 ]; then
    look_round
    tenths
    looked_at=$tenths
  fi
done
