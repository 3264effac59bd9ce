#!/usr/bin/env bash
set -euo pipefail
umask 022

# Write standard input to a file if that changes it: put MODE PATH. Says so, and remembers it in $changed.
changed=''
put() {
  local new
  mkdir -p "$(dirname "$2")"
  new=$(mktemp "$2.XXXXXX")
  cat >"$new"
  chmod "$1" "$new"
  if cmp -s "$new" "$2"; then
    rm -f "$new"
    return
  fi
  mv -f "$new" "$2"
  changed="$changed $2"
  echo "changed: $2"
}

did() { echo "changed: $1"; }

fail() {
  echo "error: $1" >&2
  exit 1
}
