#!/usr/bin/env bash
# run.sh packages DIR [FROM]  install what the tests need into DIR (npm ci), as
#                             the folder FROM says, else this one
# run.sh test DIR FILE        run a test file with that
#
# Exit 77: not possible here, with the reason as the last line. Where the
# system's own Node.js is too old, DIR gets a newer one, or one beside DIR, in
# js-modules, is used.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
OLDEST=20 # what the tests are written for
LIMIT=180 # seconds for npm ci, and for trying it once more
what=$1 modules=$2

skip() {
  echo "skipped: $1"
  exit 77
}

# node_is_good PROGRAM: it runs, and is new enough.
node_is_good() {
  local version
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version#v}
  [ "${version%%.*}" -ge $OLDEST ]
}

# Sets `node`, or skips.
find_node() {
  local candidate
  for candidate in node \
    {"$modules","${modules%/*}/js-modules"}/node/node_modules/node-linux-*/bin/node; do
    node=$(command -v "$candidate") || continue
    ! node_is_good "$node" || return 0
  done
  skip "no Node.js $OLDEST or newer"
}

# Where npm may write: a user may have no home.
find_cache() { # TO
  local cache
  cache=$(npm config get cache 2>/dev/null) || cache=''
  if [ -z "$cache" ] || ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
    export npm_config_cache=$1/cache
  fi
}

npm_ci() { # TO LOG SECONDS
  (cd "$1" && timeout --kill-after=5 "$3" npm ci --no-progress \
    --fetch-retries=2 --fetch-timeout=30000) >"$2" 2>&1
}

# install FROM TO: unless TO already has what FROM's lock says.
install() {
  local log=$2/npm.log status=0 begun=$SECONDS
  mkdir -p "$2"
  cp "$1/package.json" "$1/package-lock.json" "$1/.npmrc" "$2"
  ! cmp -s "$1/package-lock.json" "$2/installed" || return 0
  rm -f "$2/installed"
  find_cache "$2"
  npm_ci "$2" "$log" $LIMIT || status=$?
  if [ $status -ne 0 ] && [ $((SECONDS - begun)) -lt $((LIMIT / 2)) ]; then
    status=0 # the registry may have had a bad moment
    npm_ci "$2" "$log" $((LIMIT - SECONDS + begun)) || status=$?
  fi
  if [ $status -eq 0 ]; then
    cp "$1/package-lock.json" "$2/installed"
    return 0
  fi
  tail -n 20 "$log"
  [ $status -lt 124 ] || skip "npm did not finish within $LIMIT s"
  if grep -qE 'EAI_AGAIN|ENOTFOUND|ECONN|ETIMEDOUT|EIDLETIMEOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|ERR_SOCKET|code E(429|5[0-9][0-9])|network' "$log"
  then
    skip "npm does not reach its registry"
  fi
  exit 1
}

case $what in
  packages)
    command -v npm >/dev/null 2>&1 || skip "no npm"
    command -v node >/dev/null 2>&1 || skip "no Node.js"
    install "${3:-$here}" "$modules"
    (find_node) >/dev/null || install "$here/node" "$modules/node"
    find_node
    ;;
  test)
    find_node
    [ -e "$modules/installed" ] || skip "no JavaScript packages (js_packages)"
    export WWR_JS_MODULES=$modules
    exec "$node" --test-reporter=spec "$3"
    ;;
esac
