#!/usr/bin/env bash
# Build and start the chat room, and say how to join it. Ctrl-C ends all of it.
set -euo pipefail

usage() {
  cat <<'END'
usage: deploy/demo.sh [OPTION...]

Installs what is missing (Debian 12 and 13), builds, starts the chat room on
this machine only, and says how to join it. Ctrl-C stops it.

  --port N   listen on this port (default: a free one)
  --yes      install without asking
  --help     this text
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
port=0 yes=0

fail() {
  echo "deploy/demo.sh: $1" >&2
  exit "${2:-1}"
}

while [ $# -gt 0 ]; do
  case $1 in
    --port)
      [ $# -ge 2 ] || fail "--port needs a value (try --help)" 2
      port=$2
      if ! [[ $port =~ ^[0-9]{1,5}$ ]] || [ "$((10#$port))" -gt 65535 ]; then
        fail "--port: '$port' is no port" 2
      fi
      shift
      ;;
    --yes) yes=1 ;;
    --help) usage; exit 0 ;;
    *) fail "unknown option $1 (try --help)" 2 ;;
  esac
  shift
done

work=$(mktemp -d)
server=
# Whatever ends this script: the server ends, and the sessions go with it.
# shellcheck disable=SC2317
clean_up() {
  trap - EXIT
  trap '' INT TERM HUP
  if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
    for _ in $(seq 50); do
      kill -0 "$server" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    echo "stopped"
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'echo; exit 0' INT
trap 'exit 143' TERM HUP

wwr_prepare "$yes" || fail "the packages above are needed"

# On a terminal the build shows its progress, elsewhere only what went wrong.
quietly() {
  if [ -t 1 ]; then
    "$@"
  elif ! "$@" >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    return 1
  fi
}
echo "building ..."
cd "$root"
quietly cmake --preset release || fail "the build could not be configured"
quietly cmake --build --preset release --target chatroom-server \
  chatroom-client || fail "the build failed"

# In a session of its own, so that Ctrl-C reaches it once, from clean_up.
setsid "$root/build/bin/chatroom-server" --listen "127.0.0.1:$port" \
  --sessions "$work/sessions" >"$work/out" 2>"$work/err" &
server=$!
url=
for _ in $(seq 100); do
  url=$(sed -n 's/^listening on //p' "$work/out")
  [ -z "$url" ] || break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
if [ -z "$url" ]; then
  cat "$work/out" "$work/err" >&2
  if [ "$port" -ne 0 ]; then
    fail "the chat room did not start; is port $port taken?"
  fi
  fail "the chat room did not start"
fi

cat <<END

The chat room listens on $url

Join it from a second terminal:

  $root/build/bin/chatroom-client $url --name Gandalf --pass gandalf1234

Everyone may write; who logs in has a name. Accounts: Gandalf, Sauron,
Galadriel, Legolas, Aragorn, Melkor, Thranduil, Frodo, Samweis, Gollum, Gimli,
Peregrin, Meriadoc, Boromir, Saruman, Elrond. The password is the lower-case
name followed by 1234. In the client: :login, :logout, :connect, :disconnect,
and :x to leave.

Ctrl-C stops the chat room.
END
status=0
wait "$server" || status=$?
server=
cat "$work/err" >&2
fail "the chat room ended by itself (exit status $status)"
