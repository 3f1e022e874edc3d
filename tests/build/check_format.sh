#!/bin/sh
# check_format.sh SOURCE_DIR: clang-format would change nothing. Its versions
# disagree in details, so only the one that the tree was formatted with counts.
# Exit 77: not that version.
set -eu
wanted=14
cd "$1"
tool=clang-format
command -v clang-format-$wanted >/dev/null 2>&1 && tool=clang-format-$wanted
if ! "$tool" --version 2>/dev/null | grep -q "version $wanted\."; then
  echo "skipped: no clang-format $wanted"
  exit 77
fi
bad=0
for file in $(find . -path './build*' -prune -o -path './.git' -prune -o \
  -path './client/js' -prune -o \
  \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print | sort); do
  if ! "$tool" --dry-run -Werror "$file" >/dev/null 2>&1; then
    echo "not formatted: $file (clang-format -i)"
    bad=1
  fi
done
exit $bad
