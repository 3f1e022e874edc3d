#!/usr/bin/env bash
# unit.sh: systemd finds no fault with the unit and the user's description, and the
# service is locked up well.
. "$(dirname "$0")/lib.sh"
need systemd-analyze systemd-sysusers
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unit=$SOURCE/deploy/systemd/webwired.service
WORST=20 # of systemd's exposure, 0 is best, 100 worst; more than 20 is not "OK"

# With a program and manuals that are there: neither is installed here.
sed -e 's@/usr/bin/webwired@/bin/true@' -e '/^Documentation=/d' "$unit" \
  >"$work/webwired.service"
systemd-analyze verify --man=no "$work/webwired.service" >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "verify"; }
[ ! -s "$work/log" ] || { cat "$work/log"; fail "verify complains"; }

systemd-analyze security --offline=true --threshold=$WORST "$unit" \
  >"$work/log" 2>&1 || { cat "$work/log"; fail "exposed by more than $WORST"; }
tail -n 1 "$work/log"

# What the unit names the user's description makes, and nothing else.
mkdir -p "$work/root/etc"
systemd-sysusers --root="$work/root" "$SOURCE/deploy/systemd/sysusers.conf" \
  >"$work/log" 2>&1 || { cat "$work/log"; fail "sysusers"; }
user=$(sed -n 's/^User=//p' "$unit")
grep -q "^$user:.*:/var/lib/webwire:.*nologin$" "$work/root/etc/passwd" ||
  fail "no user $user"
grep -q "^$(sed -n 's/^Group=//p' "$unit"):" "$work/root/etc/group" ||
  fail "no group"

# Whoever ends nodes gives them longer than they take by themselves.
conf=$SOURCE/deploy/webwired.conf
drain() { # KEY
  sed -n "/^drain = {/,/^};/ s/^ *#$1 = \([0-9]*\);\$/\1/p" "$conf"
}
needed=$(($(drain time) + $(drain grace) + 5))
longer() { # FILE PATTERN: each number behind the pattern
  local found
  found=$(grep -oE -- "$2[0-9]+" "$SOURCE/deploy/$1" | grep -oE '[0-9]+$') ||
    fail "$1: nothing like $2"
  for seconds in $found; do
    [ "$seconds" -ge $needed ] ||
      fail "$1: $2$seconds, but drain.time and drain.grace take $needed"
  done
}
longer systemd/webwired.service 'TimeoutStopSec='
longer compose.yaml 'stop_grace_period: '
longer Dockerfile '--stop-timeout '
longer ../docs/operations.md '--stop-timeout '
echo "at least $needed s to end"
