#!/bin/sh
# check_shape.sh SOURCE_DIR: no function over 80 lines, no file over 800, no
# function that can't be used safely. Exit 77: no Universal Ctags.
set -eu
cd "$1"
max_function=80 max_file=800
banned='strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|rand|srand|system|tmpnam|alloca|strncpy|strncat|strdupa'
bad=0
found=$(mktemp)
trap 'rm -f "$found"' EXIT
files=$(find . -path './build*' -prune -o -path './.git' -prune -o \
  -path './client/js' -prune -o \( -name '*.c' -o -name '*.h' \) -print | sort)

scripts=$(find client/js examples tests/js tests/kubernetes -name node_modules -prune -o \
  \( -name '*.js' -o -name '*.mjs' -o -name '*.css' \) -print | sort)

for file in $files $scripts; do
  lines=$(wc -l <"$file")
  if [ "$lines" -gt $max_file ]; then
    echo "$file: $lines lines, at most $max_file"
    bad=1
  fi
done

# Comments and strings are cut away, so that they may speak of them.
for file in $files; do
  sed -e 's/"\([^"\\]\|\\.\)*"/""/g' -e 's@//.*@@' -e 's@/\*[^*]*\*/@@g' \
    -e '/^ *\/\*/,/\*\//d' "$file" |
    grep -nE "(^|[^A-Za-z0-9_>.])($banned) *\(" |
    sed "s@^@$file: banned: @" || true
done >"$found"
if [ -s "$found" ]; then
  cat "$found"
  bad=1
fi

if ! ctags --version 2>/dev/null | grep -q 'Universal Ctags'; then
  [ $bad -eq 0 ] || exit 1
  echo "skipped: function lengths, no Universal Ctags"
  exit 77
fi
# shellcheck disable=SC2086
ctags --languages=C --langmap=C:.c.h --kinds-C=f --fields=+ne -f - $files |
  awk -F '\t' -v max=$max_function '
    { line = 0; end = 0
      for (i = 4; i <= NF; i++) {
        if ($i ~ /^line:/) line = substr($i, 6)
        if ($i ~ /^end:/) end = substr($i, 5)
      }
      if (end == 0) next
      count++
      length_of[count] = end - line + 1
      if (end - line + 1 > max) {
        printf "%s:%d: %s has %d lines, at most %d\n", $2, line, $1, end - line + 1, max
        bad = 1
      }
    }
    END { printf "%d functions\n", count; exit bad || count == 0 }' || bad=1
exit $bad
