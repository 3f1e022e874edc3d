# shellcheck shell=bash
# Sourced by the tests of deploy/. OUT is the folder that they share: debs/ the
# packages, root/ a Debian with what they depend on, containers/ podman's storage.
set -euo pipefail

export PATH=$PATH:/usr/sbin:/sbin
# shellcheck disable=SC2034 # for who sources this
SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

skip() {
  echo "skipped: $1"
  exit 77
}

fail() {
  echo "FAILED: $1"
  exit 1
}

# need PROGRAM...
need() {
  local program
  for program; do
    command -v "$program" >/dev/null 2>&1 || skip "no $program"
  done
}

need_root() {
  [ "$(id -u)" -eq 0 ] || skip "not root"
}

# The whole script again, in a network with nothing but loopback, and with mounts
# that end with it.
isolate() {
  [ -z "${WWR_ISOLATED:-}" ] || { ip link set lo up; return 0; }
  need unshare ip
  unshare --net --mount -- ip link set lo up 2>/dev/null ||
    skip "no right to make a namespace"
  WWR_ISOLATED=1 exec unshare --net --mount -- "$0" "$@"
}

# until_true SECONDS WHAT COMMAND...: polls.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$end" ] || return 1
    sleep 0.1
  done
  echo "$what"
}

# Podman and buildah as they work without systemd, in any folder.
container_environment() {
  local dir=$1
  mkdir -p "$dir"
  printf '[storage]\ndriver = "%s"\nrunroot = "%s"\ngraphroot = "%s"\n' \
    "${2:-overlay}" "$dir/run" "$dir/graph" >"$dir/storage.conf"
  cat >"$dir/containers.conf" <<END
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
  export CONTAINERS_STORAGE_CONF=$dir/storage.conf
  export CONTAINERS_CONF=$dir/containers.conf
  # The same on Debian 12 and 13: the latter's takes nft, and complains of old
  # control groups in every line.
  export NETAVARK_FW=iptables PODMAN_IGNORE_CGROUPSV1_WARNING=1
}
