#!/bin/sh
# Chromium, gone with the test that started it, also when that is killed.
[ ! -x /usr/bin/setpriv ] || set -- /usr/bin/setpriv --pdeathsig KILL -- \
  "${CHROMIUM:-chromium}" "$@"
exec "$@"
