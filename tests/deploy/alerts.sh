#!/usr/bin/env bash
# alerts.sh: every alert is explained in the run book, and nothing else is; what the
# run book refers to in this tree is there.
. "$(dirname "$0")/lib.sh"
book=$SOURCE/docs/operations.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n 's/^ *- alert: //p' "$SOURCE/deploy/prometheus/alerts.yaml" | sort >"$work/alerts"
sed -n 's/^### \(Webwire.*\)/\1/p' "$book" | sort >"$work/explained"
[ -s "$work/alerts" ] || fail "no alerts"
cmp "$work/alerts" "$work/explained" || {
  diff "$work/alerts" "$work/explained" || true
  fail "alerts (<) and their explanations (>) differ"
}
grep -oE '\]\([^)h#][^)#]*' "$book" | sed 's/](//' | sort -u | while read -r path; do
  [ -e "$SOURCE/docs/$path" ] || fail "docs/operations.md: no $path"
done
grep -oE '\]\(#[^)]*' "$book" | sed 's/](#//' | sort -u | while read -r name; do
  grep -qix "##* $name" "$book" || fail "docs/operations.md: no heading #$name"
done
echo "$(wc -l <"$work/alerts") alerts explained"
