#!/bin/sh
# check_headers.sh DIR c|c++ COMPILER: every header in DIR/webwire compiles
# alone, without a warning, as the language says. Exit 77: no such compiler.
set -u
dir=$1 language=$2 compiler=$3
case $language in
  c) flags="-std=c11 -Wstrict-prototypes" ;;
  *) flags="-std=c++17 -Wno-pragma-once-outside-header" ;;
esac
if ! command -v "$compiler" >/dev/null 2>&1; then
  echo "skipped: no $compiler"
  exit 77
fi
count=0 bad=0
for header in "$dir"/webwire/*.h; do
  [ -e "$header" ] || continue
  count=$((count + 1))
  # Included from elsewhere, as a user would: found only by its full name.
  # shellcheck disable=SC2086
  printf '#include <webwire/%s>\nextern int unused;\n' "$(basename "$header")" |
    "$compiler" $flags -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
      -I"$dir" -x "$language" - || { echo "bad: $header"; bad=$((bad + 1)); }
done
echo "$count headers, $bad bad"
[ "$count" -gt 0 ] && [ "$bad" -eq 0 ]
