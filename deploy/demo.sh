#!/usr/bin/env bash
# Build and start the chat room on several nodes behind one address, say how to
# join it, and let a person break parts of it. Ctrl-C ends all of it.
#
# Once it runs there is no command substitution: a trap that comes while bash
# parses one ends the script with a syntax error (bash 5.2).
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
declare -A pid=() ports=() up=() connections=()
mkfifo "$work/idle"
exec 9<>"$work/idle" # nothing ever comes: reading from it is a pause

pause() {
  read -r -t "$1" -u 9 || true
}

# Whether bash knows the member as a running child: a number that ended may
# belong to somebody else by now.
runs() {
  local one
  [ -n "${pid[$1]:-}" ] || return 1
  (:) # in a trap bash hears of ended children only while it waits for one
  jobs -rp >"$work/jobs"
  while read -r one; do
    [ "$one" -ne "${pid[$1]}" ] || return 0
  done <"$work/jobs"
  return 1
}

# In a session of its own, so that Ctrl-C reaches it once, from clean_up; and
# gone with us even when we are killed.
launch() {
  local name=$1 wrapper=(setsid)
  shift
  ! command -v setpriv >/dev/null 2>&1 || wrapper+=(setpriv --pdeathsig KILL)
  "${wrapper[@]}" "$@" </dev/null >>"$work/$name.out" 2>>"$work/$name.err" \
    9<&- &
  pid[$name]=$!
}

# reap NAME SIGNAL: send it, wait for the end, forget it. Sets `ended`, its exit
# status.
reap() {
  local name=$1
  ended=0
  [ -n "${pid[$name]:-}" ] || return 0
  ! runs "$name" || kill "-$2" "${pid[$name]}" 2>/dev/null || true
  if [ "$2" != KILL ]; then
    for _ in {1..50}; do
      runs "$name" || break
      pause 0.1
    done
    ! runs "$name" || kill -KILL "${pid[$name]}" 2>/dev/null || true
  fi
  wait "${pid[$name]}" 2>/dev/null || ended=$?
  pid[$name]=''
}

# Whatever ends this script: everything that it started ends, and the data with
# it.
# shellcheck disable=SC2317
clean_up() {
  local status=$? name any=0 IFS=$' \t\n' # a read may have been interrupted
  trap - EXIT
  trap '' INT TERM HUP USR1 USR2
  for name in "${names[@]}"; do
    ! runs "$name" || kill -TERM "${pid[$name]}" 2>/dev/null || true
  done
  for name in "${names[@]}" haproxy redis; do
    [ -z "${pid[$name]:-}" ] || any=1
    reap "$name" TERM
  done
  if [ $status -ne 0 ] && [ $explained -eq 0 ] && [ -e "$work/notices" ]; then
    cat "$work/notices" >&7
  fi
  rm -rf "$work"
  [ $any -eq 0 ] || echo "stopped" || true
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

# ask PORT TEXT: sets `answer` to what 127.0.0.1:PORT says, up to its end or for
# 2 seconds; false when there is nobody.
ask() {
  local line
  answer=''
  {
    printf '%b' "$2" >&8 || return 1
    while IFS= read -r -t 2 -u 8 line; do answer+=${line%$'\r'}$'\n'; done
  } 2>/dev/null 8<>"/dev/tcp/127.0.0.1/$1"
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
  local name=$1 left=$(($2 * 10))
  shift 2
  while [ $left -gt 0 ] && runs "$name"; do
    ! "$@" || return 0
    pause 0.1
    left=$((left - 1))
  done
  return 1
}

# --- Starting -------------------------------------------------------------------

# Sets `found`: a port nobody listens on, below those of the kernel's choice, so
# that it is still free when a member comes back to it.
find_port() {
  for _ in {1..100}; do
    found=$((20000 + RANDOM % 10000))
    case " ${ports[*]} " in *" $found "*) continue ;; esac
    (: <>"/dev/tcp/127.0.0.1/$found") 2>/dev/null || return 0
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
    reap "$name" KILL
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
  reap "$chosen" KILL
  say "killed $chosen (kill -9) with ${connections[$chosen]:-0} connections"
  say "they go to the others and keep their sessions"
  connections[$chosen]=0
}

start_nodes() {
  local name some=0
  [ -z "${1:-}" ] || choose "$1" || return 0
  for name in "${names[@]}"; do
    if runs "$name" || [ "${1:+$chosen}" != "${1:+$name}" ]; then continue; fi
    some=1
    reap "$name" TERM
    start_node "$name"
    say "starting $name again"
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
  reap redis TERM
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
  local name key
  for name in "${names[@]}" redis haproxy; do
    if [ -z "${pid[$name]:-}" ] || runs "$name"; then continue; fi
    reap "$name" TERM
    tail -n 5 "$work/$name.err" >&7 || true
    [ "$name" != "$front" ] ||
      fail "the chat room ended by itself ($name: exit status $ended)"
    key=n
    [ "$name" != redis ] || key=r
    say "$name ended by itself (exit status $ended); $key starts it again"
  done
}

# What changed in HAProxy's table.
check_balance() {
  local cells name state
  haproxy_answers || return 0
  while IFS=, read -r -a cells; do
    name=${cells[1]:-}
    if [ "${cells[0]:-}" != nodes ] || [ -z "${up[$name]:-}" ]; then
      continue
    fi
    connections[$name]=${cells[4]}
    case ${cells[17]} in UP*) state=yes ;; DOWN*) state=no ;; *) continue ;; esac
    if [ $state = "${up[$name]}" ]; then continue; fi
    up[$name]=$state
    if [ $state = yes ]; then
      say "HAProxy: $name is up"
    else
      node_health "$name"
      say "HAProxy: $name is down (${health:-ready again})"
    fi
  done <<<"$answer"
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

# Commands come from our input; not in the background of a terminal, where
# reading would stop us. Sets `typed` when there is one. Lasts at most a second.
input=0 typing=''
if [ -t 0 ] && ! ps -o stat= -p $$ 2>/dev/null | grep -q '+'; then input=9; fi
take_command() {
  local line='' got=0
  typed=''
  IFS= read -r -t 1 -u $input line || got=$?
  typing+=$line
  if [ $got -eq 0 ]; then
    typed=$typing
    typing=''
  elif [ $got -le 128 ]; then # the end of the input
    if [ -t $input ]; then exit 0; fi
    input=9
  fi
}

wanted='' # by a signal
if [ $single -eq 0 ]; then
  trap 'wanted=k' USR1
  trap 'wanted=r' USR2
fi
commands
exec 2>"$work/notices" # what bash says of children that were killed
while true; do
  take_command
  [ -z "$typed" ] || obey "$typed"
  if [ -n "$wanted" ]; then
    typed=$wanted
    wanted=''
    obey "$typed"
  fi
  check_members
  if [ $single -eq 0 ]; then
    check_balance
    check_clients
    do_what_is_due
  fi
done
