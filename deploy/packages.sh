# shellcheck shell=bash
# The one list of what the system must have, for Debian 12 and 13, and how to
# get it. Sourced by tests/run.sh and deploy/demo.sh; defines functions only.

WWR_PACKAGES=(
  build-essential cmake ninja-build pkg-config
  libwebsockets-dev libwebsockets-evlib-uv # the latter is loaded at run time
  libuv1-dev libssl-dev libhiredis-dev libconfig-dev libjansson-dev libjwt-dev
  libmicrohttpd-dev libcurl4-openssl-dev
  libcunit1-dev openssl
)
# What a cluster runs on: each is called like its program.
WWR_CLUSTER_PACKAGES=(redis-server haproxy)
# Without these some checks are skipped.
WWR_OPTIONAL_PACKAGES=(clang clang-format shellcheck universal-ctags valgrind
  iptables iproute2 "${WWR_CLUSTER_PACKAGES[@]}")
# And without these the tests of packages, images and manuals: 47 MB to fetch.
WWR_DEPLOY_PACKAGES=(debootstrap dpkg-dev file mandoc systemd nginx buildah
  podman runc netavark aardvark-dns podman-compose prometheus)
# And without these the tests of the JavaScript client and of the chat page.
# Asked for by their programs: Node.js often comes from elsewhere.
# shellcheck disable=SC2034
WWR_JS_PACKAGES=(nodejs npm chromium)
# The same as pkg-config and the shell know them.
WWR_MODULES=(libwebsockets libuv openssl hiredis jansson libconfig libjwt libcurl
  libmicrohttpd cunit)
WWR_COMMANDS=(cc c++ cmake ninja pkg-config openssl)

wwr_is_debian() {
  # shellcheck disable=SC1091
  [ -r /etc/os-release ] && (. /etc/os-release && [ "${ID:-}" = debian ] &&
    case ${VERSION_ID:-13} in 12 | 13) true ;; *) false ;; esac)
}

# Those of the given packages that are not installed.
wwr_missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qx installed || echo "$package"
  done
}

# What can't be found, whatever the distribution calls its package.
wwr_missing_tools() {
  local name
  for name in "${WWR_COMMANDS[@]}"; do
    command -v "$name" >/dev/null 2>&1 || echo "$name"
  done
  for name in "${WWR_MODULES[@]}"; do
    pkg-config --exists "$name" 2>/dev/null || echo "$name"
  done
}

# wwr_ask QUESTION: true for yes. Without a terminal the answer is no.
wwr_ask() {
  local answer=
  [ -t 0 ] || return 1
  read -r -p "$1 [y/N] " answer
  case $answer in y | Y | yes) return 0 ;; *) return 1 ;; esac
}

WWR_POLICY=/usr/sbin/policy-rc.d # what Debian asks before it starts a service
WWR_POLICY_MARK='# webwire: only while packages are being installed; else remove it'

# A policy by which the services of these packages are not started. Others are:
# something may be brought up to date and have to start again.
wwr_policy() {
  local package patterns=''
  for package in "$@"; do
    patterns+="${patterns:+|}$package|$package.*|$package-*"
  done
  printf '%s\n' '#!/bin/sh' "$WWR_POLICY_MARK" \
    "case \$1 in $patterns) exit 101 ;; esac" 'exit 0'
}

WWR_APT_WAIT=300 # seconds; a new machine brings itself up to date first

# apt-get; while another apt or dpkg is at work, as soon as that has ended. Apt's own
# option waits for one of its three locks.
wwr_apt_get() {
  local errors status end=$((SECONDS + WWR_APT_WAIT)) told=0
  errors=$(mktemp) || return 1
  while true; do
    status=0
    LC_ALL=C apt-get -o "DPkg::Lock::Timeout=$WWR_APT_WAIT" "$@" \
      2>"$errors" || status=$?
    [ $status -ne 0 ] && [ $SECONDS -lt $end ] &&
      grep -q 'Could not get lock' "$errors" || break
    [ $told -eq 1 ] || echo "another apt is at work; waiting for its end" >&2
    told=1
    sleep 2
  done
  cat "$errors" >&2
  rm -f "$errors"
  return $status
}

# wwr_install_quietly PACKAGE...: as root. What is needed for tests and the demo
# are programs, not services: none is started, now or with the system. A policy
# that somebody else has made stays, and decides.
wwr_install_quietly() {
  local package status=0 ours=0
  if [ ! -e "$WWR_POLICY" ] || grep -qxF "$WWR_POLICY_MARK" "$WWR_POLICY"; then
    ours=1
    trap 'rm -f "$WWR_POLICY"' EXIT
    trap 'exit 130' INT TERM HUP
    wwr_policy "$@" >"$WWR_POLICY" && chmod 755 "$WWR_POLICY" || return 1
  fi
  wwr_apt_get update -qq || echo "apt-get update failed; trying with what is known"
  DEBIAN_FRONTEND=noninteractive wwr_apt_get install -y -qq \
    --no-install-recommends "$@" || status=$?
  [ $ours -eq 1 ] && [ -d /run/systemd/system ] || return $status
  for package in "$@"; do
    if systemctl disable --quiet "$package.service" 2>/dev/null; then
      echo "not started: $package.service; systemctl enable --now $package"
    fi
  done
  return $status
}

# wwr_apt_install YES PACKAGE...: YES is 1 when nobody must be asked.
wwr_apt_install() {
  local yes=$1 sudo=()
  shift
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
      echo "not root, and there is no sudo; as root: apt-get install $*" >&2
      return 1
    fi
    if [ "$yes" -ne 1 ] && ! wwr_ask "Install $* with sudo?"; then
      echo "not installed; either use --yes, or: sudo apt-get install $*" >&2
      return 1
    fi
    sudo=(sudo)
  fi
  echo "installing: $*" >&2
  # In a shell of its own: it sets traps, and may be another user's.
  # shellcheck disable=SC2016
  "${sudo[@]}" bash -c '. "$0" && wwr_install_quietly "$@"' \
    "${BASH_SOURCE[0]}" "$@" >&2
}

# Those of WWR_JS_PACKAGES whose programs can't be found. A Node.js that did not
# come from Debian stays alone: Debian's npm would bring its own beside it.
wwr_missing_js_packages() {
  if ! command -v node >/dev/null 2>&1; then
    echo nodejs
    echo npm
  elif ! command -v npm >/dev/null 2>&1 &&
    [[ $(dpkg-query -W -f='${Version}' nodejs 2>/dev/null) == *+dfsg* ]]; then
    echo npm
  fi
  command -v "${CHROMIUM:-chromium}" >/dev/null 2>&1 || echo chromium
}

# What some checks need, if it can be had without asking; never fails.
wwr_prepare_optional() {
  local missing=() js=()
  wwr_is_debian && [ "$(id -u)" -eq 0 ] || return 0
  mapfile -t missing < <(wwr_missing_packages "${WWR_OPTIONAL_PACKAGES[@]}" \
    "${WWR_DEPLOY_PACKAGES[@]}")
  mapfile -t js < <(wwr_missing_js_packages)
  [ ${#missing[@]} -eq 0 ] || wwr_apt_install 1 "${missing[@]}" || true
  [ ${#js[@]} -eq 0 ] || wwr_apt_install 1 "${js[@]}" || true
}

# Whether there is a ccache that has where to write: a user may have no home, and
# then it compiles nothing.
wwr_has_ccache() {
  local dir
  dir=$(ccache --get-config cache_dir 2>/dev/null) && [ -n "$dir" ] &&
    mkdir -p "$dir/tmp" 2>/dev/null && [ -w "$dir" ]
}

# wwr_prepare YES: everything that building needs is there afterwards, or false
# after saying what is missing.
wwr_prepare() {
  local missing=()
  if wwr_is_debian; then
    mapfile -t missing < <(wwr_missing_packages "${WWR_PACKAGES[@]}")
    [ ${#missing[@]} -eq 0 ] && return 0
    wwr_apt_install "$1" "${missing[@]}" && return 0
    echo "could not install: ${missing[*]}" >&2
    return 1
  fi
  mapfile -t missing < <(wwr_missing_tools)
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "This is neither Debian 12 nor 13: please install what is missing." >&2
  echo "  missing: ${missing[*]}" >&2
  echo "  Debian calls all that is needed: ${WWR_PACKAGES[*]}" >&2
  return 1
}

# wwr_prepare_cluster YES: the same for the programs that a cluster runs on.
wwr_prepare_cluster() {
  local package missing=()
  for package in "${WWR_CLUSTER_PACKAGES[@]}"; do
    command -v "$package" >/dev/null 2>&1 ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if wwr_is_debian && wwr_apt_install "$1" "${missing[@]}"; then return 0; fi
  echo "please install: ${missing[*]}" >&2
  return 1
}
