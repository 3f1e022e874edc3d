#!/bin/sh
# check_shell.sh SOURCE_DIR: shellcheck finds no fault with our scripts. Exit
# 77: no shellcheck.
set -eu
cd "$1"
command -v shellcheck >/dev/null 2>&1 || { echo "skipped: no shellcheck"; exit 77; }
find .ci/run bench deploy tests \( -name '*.sh' -o -path .ci/run \) -print0 |
  xargs -0 shellcheck -x --severity=warning
