#!/bin/sh
# check_includes.sh SOURCE_DIR: the arrows of docs/architecture.md. CMake's
# targets stop most wrong includes of ours; this also stops a skipped layer and
# covers the headers of other libraries, which are visible to everyone.
set -eu
cd "$1"
bad=0

# only HEADER_PATTERN PATH...: the header is included by these paths only.
only() {
  header=$1
  shift
  allowed=$(printf '%s\n' "$@" | sed 's@^@^@' | paste -sd'|' -)
  found=$(grep -rlE "^ *# *include *[<\"]${header}[>\"]" --include='*.[ch]' \
    core protocol session loop transport sessionstore redis cluster server \
    client examples bench tools 2>/dev/null | grep -vE "$allowed" || true)
  if [ -n "$found" ]; then
    printf '%s\n' "$found" | sed "s@\$@: must not include $header@"
    bad=1
  fi
}
only 'libwebsockets\.h' transport/websocket/
only 'libwebsockets/.*' transport/websocket/
only 'hiredis/.*' redis/ tools/webwire/redis_connect.h
only 'curl/.*' tools/webwire/
only 'libconfig\.h' 'server/config(\.c|/)' 'examples/common/'
only 'jansson\.h' session/ examples/chatroom/ server/webwired/ server/admin/ tools/
only 'jwt\.h' server/webwired/token
only 'microhttpd\.h' server/admin/http.c
only 'uv\.h' loop/ transport/websocket/ redis/
only 'openssl/.*' transport/websocket/ server/keygen.c redis/ bench/tls.c \
  sessionstore/redis/ server/webwired/token_key.c

# arrows FOLDER ALLOWED...: the folder includes headers of these folders (and
# its own) only. Headers are ours when a folder has one of that name.
arrows() {
  folder=$1
  shift
  [ -d "$folder" ] || return 0
  grep -rHoE '^ *# *include *[<"][^>"]+[>"]' --include='*.[ch]' "$folder" |
    sed -E 's@^([^:]+):.*[<"]([^>"]+)[>"]@\1 \2@' >"$list"
  while read -r file header; do
    case $header in webwire/*) continue ;; esac
    # Configuration knows everything, and only the programs know it.
    case $folder:$file in
      *:server/config* | server:server/webwired/* | server:server/admin/*) continue ;;
    esac
    # What speaks to Redis stands above the folder that it is in.
    case $file in "$folder"/redis/*) continue ;; esac
    case $folder in
      bench | examples | tools/*) [ -z "$(find "$folder" -path "*/$header")" ] || continue ;;
    esac
    where=$(find core protocol session loop transport sessionstore redis \
      cluster server client -name "$(basename "$header")" 2>/dev/null || true)
    [ -n "$where" ] || continue
    good=0
    for owner in $where; do
      owner=$(dirname "$owner")
      for may in "$folder" "$(dirname "$file")" "$@"; do
        if [ "$owner" = "$may" ]; then good=1; fi
      done
    done
    if [ $good -eq 0 ]; then
      echo "$file: must not include $header"
      bad=1
    fi
  done <"$list"
}
list=$(mktemp)
trap 'rm -f "$list"' EXIT
arrows core
arrows protocol core
arrows session core
arrows loop core
arrows transport loop core
arrows transport/memory transport loop core
arrows transport/websocket transport loop core
arrows redis loop core
arrows cluster protocol core
arrows cluster/redis cluster redis loop protocol core
arrows sessionstore session core
# What webwired is made of sees what a user sees, and the configuration.
arrows server/webwired server/config server/admin
arrows server transport sessionstore cluster protocol session loop core
arrows client transport protocol session loop core
# Examples and the load generator see what a user sees.
arrows examples server/config
# The tool does, too, reads the URLs of Redis and knows who has a name's keys.
arrows tools/webwire server/config cluster/redis cluster redis protocol core
arrows bench

# Another folder's header is reached by its name alone, never by a path.
if grep -rnE '^ *# *include *"\.\./' --include='*.[ch]' core protocol session \
  loop transport sessionstore redis server client; then
  echo "includes by a path into another folder"
  bad=1
fi
[ $bad -ne 0 ] || echo "includes follow the arrows"
exit $bad
