#!/usr/bin/env bash
# image.sh build OUT | image.sh run OUT: build the images from the packages of this
# build, and run them as deploy/Dockerfile says that they can be run.
. "$(dirname "$0")/lib.sh"
what=$1 out=$2
need buildah podman runc
need_root
[ -e "$out/root.has" ] || skip "no Debian to build from (deploy_base)"
container_environment "$out/containers"

suite() {
  # shellcheck disable=SC1091
  (. /etc/os-release && echo "$VERSION_CODENAME")
}

build_image() { # TARGET NAME
  timeout 200 buildah bud --isolation chroot --pull-never --format docker \
    --build-context "build=$out/context" --build-arg "DEBIAN=$(suite)" -f "$SOURCE/deploy/Dockerfile" \
    --target "$1" -t "$2" "$SOURCE" >"$out/image.log" 2>&1 ||
    { tail -n 30 "$out/image.log"; fail "the image $2"; }
  podman image inspect "$2" --format "$2: {{.Size}} bytes"
}

build() {
  podman info >"$out/image.log" 2>&1 ||
    { tail -n 1 "$out/image.log"; skip "podman does not work here"; }
  tar -C "$out/root" --exclude='./proc/*' --exclude='./sys/*' -c . |
    podman import --change 'CMD ["bash"]' - \
      "docker.io/library/debian:$(suite)-slim" >/dev/null
  # Instead of compiling once more: the packages as the stage `build` leaves them.
  rm -rf "$out/context"
  mkdir -p "$out/context/packages"
  cp "$out"/debs/*.deb "$out/context/packages"
  build_image chatroom webwire/chatroom
  [ ! -e "$SOURCE/server/webwired" ] || build_image webwired webwire/webwired
}

state() { # NAME FIELD
  podman inspect "$1" --format "{{.State.$2}}"
}

healthy() {
  podman healthcheck run "$1" && [ "$(state "$1" Health.Status)" = healthy ]
}

# run_image IMAGE PORT: as nobody, on a root that can't be written.
run_image() {
  local name=probe pid
  podman rm -f $name >/dev/null 2>&1 || true
  podman run -d --name $name --network host --read-only --cap-drop ALL \
    --security-opt no-new-privileges "localhost/$1" >"$out/run.log" 2>&1 ||
    { cat "$out/run.log"; fail "$1 does not start"; }
  trap 'podman logs probe; podman rm -f probe >/dev/null 2>&1' EXIT
  until_true 20 "$1 is healthy" healthy $name || fail "$1 is not healthy"
  (: <>"/dev/tcp/127.0.0.1/$2") || fail "$1 does not listen on $2"
  pid=$(state $name Pid)
  grep -qE '^Uid:\s10001\s10001\s10001\s10001$' "/proc/$pid/status" ||
    fail "$1 does not run as 10001"
  grep -qE '^CapEff:\s0+$' "/proc/$pid/status" || fail "$1 has capabilities"
  ! podman exec $name /bin/sh -c true 2>/dev/null || fail "$1 has a shell"
  podman stop -t 45 $name >/dev/null 2>&1
  [ "$(state $name ExitCode)" = 0 ] ||
    fail "$1: exit status $(state $name ExitCode) after SIGTERM"
  podman rm -f $name >/dev/null 2>&1
  trap - EXIT
  echo "$1: read-only, 10001, no shell, drained with exit status 0"
}

case $what in
  build) build ;;
  run)
    podman image exists localhost/webwire/chatroom 2>/dev/null ||
      skip "no image (deploy_image)"
    ! ischroot 2>/dev/null ||
      skip "in a chroot: what podman runs in a container is looked for outside it"
    isolate "$@"
    run_image webwire/chatroom 9090
    ! podman image exists localhost/webwire/webwired ||
      run_image webwire/webwired 8080
    ;;
esac
