#!/usr/bin/env bash
# clean.sh OUT: remove the containers' storage, which holds mounts.
. "$(dirname "$0")/lib.sh"
out=$1
[ -e "$out/containers/storage.conf" ] || exit 0
container_environment "$out/containers"
podman system reset --force >/dev/null 2>&1 || true
rm -rf "$out/containers" "$out/context"
