#!/usr/bin/env bash
# in_netns.sh COMMAND...: run it in a network namespace of its own, with nothing
# but loopback, where it may set up a firewall. Status 77: not possible here.
set -euo pipefail

for tool in unshare ip iptables; do
  command -v "$tool" >/dev/null 2>&1 || { echo "skipped: no $tool"; exit 77; }
done
if ! unshare --net -- sh -c 'ip link set lo up && iptables -L -n >/dev/null'
then
  echo "skipped: no right to make a network namespace"
  exit 77
fi
# shellcheck disable=SC2016 # the inner shell's arguments
exec unshare --net -- sh -c 'ip link set lo up && exec "$@"' sh \
  env WWR_IN_NETNS=1 "$@"
