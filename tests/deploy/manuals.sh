#!/usr/bin/env bash
# manuals.sh BUILD: every program has a manual without a fault, which lists exactly
# the options that --help lists. Without mandoc only the lists are compared.
. "$(dirname "$0")/lib.sh"
build=$1 bin=$1/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
man=$SOURCE/docs/man
failed=0

complain() {
  echo "FAILED: $1"
  failed=1
}

compared=0
for page in "$man"/*.[18]; do
  program=$(basename "${page%.*}")
  [ -x "$bin/$program" ] || { echo "not built: $program"; continue; }
  "$bin/$program" --help >"$work/help"
  # Options as --help has them, those in its prose included.
  grep -oE -- '--[a-z][a-z0-9-]*' "$work/help" | sort -u >"$work/in-help"
  grep -oE '^\.It Fl \\-[a-z][a-z0-9\\-]*' "$page" |
    sed 's/^\.It Fl \\-/--/; s/\\-/-/g' | sort -u >"$work/in-page"
  cmp -s "$work/in-help" "$work/in-page" || {
    complain "$program: --help and its manual differ"
    diff "$work/in-help" "$work/in-page" | sed -n 's/^</  only in --help:/p; s/^>/  only in the manual:/p' || true
  }
  compared=$((compared + 1))
done
[ $compared -ge 7 ] || complain "only $compared manuals"

# Every installed program has one.
for program in webwired webwire webwire-bench {echo,pubsub,chatroom}-{server,client}; do
  [ -x "$bin/$program" ] || continue
  [ -e "$man/$program.1" ] || [ -e "$man/$program.8" ] ||
    complain "$program has no manual"
done

# And the manual of the configuration has every key of the sample.
pages=("$man"/*.[18])
conf=$build/man/webwired.conf.5
if [ -e "$conf" ]; then
  pages+=("$conf")
  "$bin/webwired" --sample-config | grep -oE '^ *#[a-z-]+ = ' | wc -l >"$work/keys"
  [ "$(grep -c '^\.It Ic [a-z]*\.[a-z-]*$' "$conf")" -eq "$(cat "$work/keys")" ] ||
    complain "webwired.conf.5 has not the $(cat "$work/keys") keys of the sample"
fi

if command -v mandoc >/dev/null 2>&1; then
  # What our own pages refer to is checked below: it is not installed here.
  mandoc -T lint "${pages[@]}" >"$work/lint" || true
  ! grep -v 'referenced manual not found' "$work/lint" || complain "mandoc"
fi
for reference in $(sed -n 's/^\.Xr \([a-z.-]*\) \([0-9]\).*/\1.\2/p' "${pages[@]}" | sort -u); do
  [ -e "$man/$reference" ] || [ -e "$build/man/$reference" ] || [ ! -x "$bin/${reference%.*}" ] || complain "no $reference"
done
[ $failed -eq 0 ] || exit 1
echo "$compared manuals"
