#!/usr/bin/env bash
# compose.sh OUT BIN: the compose file with the images of this build, in a network
# of its own, Redis started last: a chat message passes through HAProxy from node to
# node, and with the node daemon a message of a channel; Prometheus' container
# scrapes the nodes all the while.
. "$(dirname "$0")/lib.sh"
out=$1 bin=$2
need podman podman-compose runc iptables
need_root
[ -e "$out/containers/storage.conf" ] || skip "no images (deploy_image)"
container_environment "$out/containers"
podman image exists localhost/webwire/chatroom || skip "no image (deploy_image)"
for plugin in netavark aardvark-dns; do
  [ -x "/usr/lib/podman/$plugin" ] || skip "no $plugin"
done
isolate "$@"
log=$out/compose.log
: >"$log"

# The other images are Debian's programs under the names of the real ones.
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
image_of() {
  sed -n "s@^ *image: \(.*/$1:.*\)@\1@p" "$SOURCE/deploy/compose.yaml"
}
for name in redis haproxy; do
  podman tag "docker.io/library/debian:$suite-slim" "$(image_of $name)"
done

# The program and its place, user and folder as in Prometheus' own image.
prometheus_image() {
  local container
  container=$(buildah from --pull-never "docker.io/library/debian:$suite-slim")
  buildah copy "$container" "$(command -v prometheus)" /bin/prometheus
  buildah run --isolation chroot "$container" -- \
    install -d -o 65534 -g 65534 /prometheus
  buildah config --user 65534 --workingdir /prometheus --cmd '' \
    --entrypoint '["/bin/prometheus"]' --volume /prometheus "$container"
  buildah commit "$container" "$(image_of prometheus)"
  buildah rm "$container"
}
services=(haproxy node3 node2 node1 redis)
if command -v prometheus >/dev/null 2>&1; then
  prometheus_image >>"$log" 2>&1 ||
    { tail -n 10 "$log"; fail "the image of Prometheus"; }
  services=(prometheus "${services[@]}")
fi

files=(-f compose.yaml -f compose.chatroom.yaml)
compose() {
  (cd "$SOURCE/deploy" && podman-compose -p wwr "${files[@]}" "$@") \
    >>"$log" 2>&1
}
clients=()
clean_up() {
  local status=$?
  if [ $status -ne 0 ]; then
    tail -n 40 "$log"
    for name in redis node1 node2 node3 haproxy prometheus; do
      echo "--- $name"
      podman logs --tail 10 "wwr_${name}_1" 2>&1 || true
    done
  fi
  [ ${#clients[@]} -eq 0 ] || kill "${clients[@]}" 2>/dev/null || true
  podman ps -aq | xargs -r podman rm -f -t 0 >>"$log" 2>&1
  podman volume prune -f >>"$log" 2>&1
  rm -rf "$work"
}
work=$(mktemp -d)
trap clean_up EXIT

# In the worst order.
for service in "${services[@]}"; do
  compose up -d --no-build "$service" || fail "$service did not come up"
done
ready() {
  podman exec wwr_haproxy_1 true &&
    { exec 8<>/dev/tcp/127.0.0.1/8404; } 2>/dev/null &&
    printf 'GET /;csv HTTP/1.0\r\n\r\n' >&8 &&
    [ "$(grep -c '^nodes,node-.*,UP,' <&8)" -eq 3 ]
}
until_true 60 "HAProxy has three nodes" ready || fail "not three nodes are ready"

# Each client is on another node, by the fewest connections.
mkfifo "$work/ann" "$work/bob"
for name in ann bob; do
  "$bin/chatroom-client" ws://127.0.0.1:8080 <"$work/$name" >"$work/$name.out" 2>&1 &
  clients+=($!)
done
exec 6>"$work/ann" 7>"$work/bob"
connections() {
  { exec 8<>/dev/tcp/127.0.0.1/8404; } 2>/dev/null
  printf 'GET /;csv HTTP/1.0\r\n\r\n' >&8
  awk -F, '$1 == "nodes" && $2 ~ /^node-/ && $5 == 1 {n++} END {exit n != 2}' <&8
}
until_true 20 "two clients on two nodes" connections || fail "not on two nodes"
both() { grep -q '^\* connected' "$work/ann.out" && grep -q '^\* connected' "$work/bob.out"; }
until_true 20 "both are in the room" both || fail "not both are in the room"
echo "from ann through HAProxy" >&6
until_true 20 "bob has it" grep -q "from ann through HAProxy" "$work/bob.out" ||
  { cat "$work"/*.out; fail "bob does not hear ann"; }

# Stopped as `compose down` does it, nodes end by themselves.
stop_nodes() {
  compose stop -t 45 node1 node2 node3 || fail "stop"
  for node in node1 node2 node3; do
    code=$(podman inspect "wwr_${node}_1" --format '{{.State.ExitCode}}')
    [ "$code" = 0 ] || fail "$node: exit status $code"
  done
  echo "the nodes ended with 0"
}
kill "${clients[@]}" 2>/dev/null
stop_nodes

# The file as it is, with a Redis that has nothing of the chat room's settings.
podman image exists localhost/webwire/webwired || exit 0
podman rm -f -t 0 wwr_node1_1 wwr_node2_1 wwr_node3_1 >>"$log" 2>&1
podman exec wwr_redis_1 redis-cli flushall >>"$log" 2>&1
files=(-f compose.yaml)
for service in node1 node2 node3; do
  compose up -d --no-build "$service" || fail "$service did not come up"
done
until_true 60 "HAProxy has three nodes of webwired" ready ||
  fail "not three nodes of webwired are ready"
for node in node1 node2 node3; do # what prometheus.yml scrapes
  address=$(podman inspect "wwr_${node}_1" \
    --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
  exec 8<>"/dev/tcp/$address/9180"
  printf 'GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' \
    "$node" >&8
  [ "$(grep -c '^webwire_health{state="ready"} 1' <&8)" -eq 1 ] ||
    fail "no metrics of $node"
done
echo "three nodes have metrics"

# Who subscribes and who publishes are on two nodes again.
mkfifo "$work/words"
"$bin/webwire" --url ws://127.0.0.1:8080 --history 10 \
  subscribe news >"$work/news" 2>&1 &
clients=($!)
"$bin/publisher" ws://127.0.0.1:8080 news <"$work/words" >"$work/said" 2>&1 &
clients+=($!)
exec 6>"$work/words"
until_true 20 "a subscriber and a publisher on two nodes" connections ||
  { cat "$work/news" "$work/said"; fail "not on two nodes"; }
for word in one two three; do
  echo "$word through HAProxy" >&6
done
heard() {
  [ "$(grep -o '[a-z]* through HAProxy' "$work/news" | paste -sd,)" = \
    "one through HAProxy,two through HAProxy,three through HAProxy" ]
}
until_true 20 "the subscriber has all three in order" heard ||
  { cat "$work/news" "$work/said"; fail "a channel's messages from node to node"; }

# Each node is scraped, with what it says of itself, and the alerts are there.
ask_prometheus() {
  { exec 8<>/dev/tcp/127.0.0.1/9090; } 2>/dev/null
  printf 'GET /api/v1/%s HTTP/1.0\r\n\r\n' "$1" >&8
  cat <&8
}
scraped() {
  [ "$(ask_prometheus 'query?query=webwire_health%7Bstate%3D%22ready%22%7D%3D%3D1' |
    grep -o '"instance":"node[123]:9180"' | sort -u | wc -l)" -eq 3 ]
}
if podman container exists wwr_prometheus_1; then
  until_true 40 "Prometheus has three nodes that are ready" scraped ||
    { ask_prometheus targets; fail "Prometheus does not scrape three nodes"; }
  [ "$(ask_prometheus rules | grep -o '"type":"alerting"' | wc -l)" -eq \
    "$(grep -c '^ *- alert:' "$SOURCE/deploy/prometheus/alerts.yaml")" ] ||
    fail "Prometheus has not all alerts"
fi
kill "${clients[@]}" 2>/dev/null
stop_nodes
