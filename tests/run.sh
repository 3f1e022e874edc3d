#!/usr/bin/env bash
# Install what is missing, build, run every test. The last line is always
# "N passed, N failed"; the exit status is 0 only if something ran and nothing
# failed.
set -euo pipefail

usage() {
  cat <<'END'
usage: tests/run.sh [OPTION...]

  --sanitize address|thread  build and run under a sanitizer (address includes
                             undefined behaviour)
  --filter REGEX             only the tests whose names match
  --build-dir DIR            default: build-test, build-asan or build-tsan
  --no-install               don't install missing packages
  --yes                      install them without asking, and what some tests
                             can do without
  --help                     this text

Compilers are taken from CC and CXX when these are set.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
sanitize='' filter='' build='' install=1 yes=0

usage_error() {
  echo "tests/run.sh: $1 (try --help)" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --sanitize | --filter | --build-dir)
      [ $# -ge 2 ] || usage_error "$1 needs a value"
      case $1 in
        --sanitize) sanitize=$2 ;;
        --filter) filter=$2 ;;
        --build-dir) build=$2 ;;
      esac
      shift
      ;;
    --no-install) install=0 ;;
    --yes) yes=1 ;;
    --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
case $sanitize in
  '') default='build-test' ;;
  address) default='build-asan' ;;
  thread) default='build-tsan' ;;
  *) usage_error "--sanitize: $sanitize is neither address nor thread" ;;
esac
build=${build:-$root/$default}

# From here on nothing ends without the line: what dies early is one failure.
passed=0 failed=1
last_line() {
  local status=$?
  echo "$passed passed, $failed failed"
  [ "$status" -ne 0 ] || [ "$failed" -eq 0 ] || status=1
  exit "$status"
}
trap last_line EXIT
trap 'exit 130' INT TERM

if [ $install -eq 1 ]; then
  wwr_prepare "$yes" || exit 1
  [ "$yes" -eq 0 ] || wwr_prepare_optional
fi

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1}
for tool in asan lsan tsan; do
  suppressions=$root/tests/$tool.supp
  [ -e "$suppressions" ] || continue
  case $tool in
    asan) ASAN_OPTIONS+=:suppressions=$suppressions ;;
    lsan) export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$suppressions} ;;
    tsan) TSAN_OPTIONS+=:suppressions=$suppressions ;;
  esac
done

type=RelWithDebInfo
[ -z "$sanitize" ] || type=Debug
options=(-G Ninja "-DCMAKE_BUILD_TYPE=$type" -DWWR_WERROR=ON
  "-DWWR_SANITIZE=$sanitize")
[ -z "$sanitize" ] || options+=(-DCMAKE_C_FLAGS=-O1)
if wwr_has_ccache; then
  options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
fi
log=$(mktemp)
trap 'rm -f "$log"; last_line' EXIT

# run TITLE COMMAND...: quiet unless it fails.
run() {
  echo "== $1"
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 200 "$log"
    return 1
  fi
}
run "configure $build" cmake -S "$root" -B "$build" "${options[@]}" || exit 1
run "build" cmake --build "$build" --parallel || exit 1

echo "== test"
junit=$build/junit.xml
rm -f "$junit"
# Most tests wait more than they work; the others count twice
# (tests/CMakeLists.txt).
jobs=$(($(nproc) * 4))
[ "$jobs" -le 16 ] || jobs=16
chosen=()
[ -z "$filter" ] || chosen=(-R "$filter")
ctest_status=0
ctest --test-dir "$build" --parallel "$jobs" --timeout 300 --output-on-failure \
  --no-tests=error --output-junit "$junit" "${chosen[@]}" || ctest_status=$?

# One line per test case: "pass", "skip" or "fail", and its name. A case that
# did not run counts as failed, unless it chose to be skipped or is disabled.
results() {
  [ -s "$junit" ] || return 0
  awk '
    /<testcase / {
      name = $0; sub(/.*<testcase name="/, "", name); sub(/".*/, "", name)
      status = "fail"
      if ($0 ~ /status="run"/) status = "pass"
      if ($0 ~ /status="disabled"/) status = "skip"
    }
    /<skipped message="SKIP_/ { status = "skip" }
    /<failure/ { status = "fail" }
    /<\/testcase>/ { print status, name }' "$junit"
}
passed=$(results | grep -c '^pass ' || true)
failed=$(results | grep -c '^fail ' || true)

# "NAME (REASON)" of each that chose to be skipped.
skipped() {
  [ -s "$junit" ] || return 0
  awk '
    /<testcase / {
      name = $0; sub(/.*<testcase name="/, "", name); sub(/".*/, "", name)
      skip = $0 ~ /status="disabled"/; reason = ""
    }
    /<skipped message="SKIP_/ { skip = 1 }
    /skipped: / && reason == "" {
      reason = $0; sub(/.*skipped: /, "", reason); sub(/<.*/, "", reason)
      reason = " (" reason ")"
    }
    /<\/testcase>/ { if (skip) print name reason }' "$junit" |
    sed "s/&apos;/'/g; s/&quot;/\"/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g"
}
skipped | sed 's/^/skipped: /'
# Some need more than Debian has packages of.
if [ -n "$(skipped)" ] && wwr_is_debian; then
  mapfile -t wanted < <(wwr_missing_packages "${WWR_OPTIONAL_PACKAGES[@]}" \
    "${WWR_DEPLOY_PACKAGES[@]}"; wwr_missing_js_packages)
  [ ${#wanted[@]} -eq 0 ] || echo "to skip fewer, install ${wanted[*]}"
fi
if [ "$ctest_status" -ne 0 ] && [ "$failed" -eq 0 ]; then
  failed=1
fi
[ "$passed" -gt 0 ] || [ "$failed" -gt 0 ] || failed=1
[ "$failed" -eq 0 ] || exit 1
