#!/usr/bin/env bash
set -euo pipefail
umask 022

# kubeadm would write the proxies, with their passwords, into the manifests of the control plane.
unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY

# put MODE PATH: write standard input to a file if its content or mode differs. Report it and add it to $changed.
changed=''
put() {
  local new
  mkdir -p "$(dirname "$2")"
  new=$(mktemp "$2.XXXXXX")
  cat >"$new"
  chmod "$1" "$new"
  if cmp -s "$new" "$2" && [ "$(stat -c %a "$new")" = "$(stat -c %a "$2")" ]; then
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

# kubeadm runs for a long time. If halab is interrupted, its ssh ends but kubeadm continues. Remember its process group,
# so that the next attempt can end it first.
running=/run/halab/kubeadm.group
remember_group() {
  mkdir -p "${running%/*}"
  ps -o pgid= -p $$ | tr -d ' ' >"$running"
  trap 'rm -f "$running"' EXIT
}
end_remembered_group() {
  local group
  group=$(cat "$running" 2>/dev/null) || return 0
  rm -f "$running"
  kill -TERM -- "-$group" 2>/dev/null || return 0
  for _ in {1..50}; do
    kill -0 -- "-$group" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$group" 2>/dev/null || true
  did 'ended a kubeadm that an interrupted halab left running'
}

# Sets up every machine of the lab ha: the names of the other machines, and the lab's network.
# Machine: lb1

put 0644 /etc/halab/hosts <<'EOF'
127.0.0.1 localhost
10.213.0.10 lb1
10.213.0.11 cp1
EOF
# The engine mounts /etc/hosts into a container and rewrites it at every start. The file can be written, not replaced.
put 0644 /etc/systemd/system/halab-hosts.service <<'EOF'
[Unit]
Description=Names of the machines of the lab
After=local-fs.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cmp -s /etc/halab/hosts /etc/hosts || cat /etc/halab/hosts >/etc/hosts'

[Install]
WantedBy=multi-user.target
EOF
# `enable` makes systemd read its units again
systemctl enable -q --now halab-hosts.service

# Not piped into grep -q: it exits early, ip then fails to write its next line, and with pipefail the whole pipe fails.
has_address() { [ -n "$(ip -4 -o address show to 10.213.0.10/32)" ]; }

has_address || fail 'this machine has no address on the network of the lab: 10.213.0.10'

# The load balancer: nginx.

# A configuration of the user's own: it replaces the one in use only if the load balancer accepts it and runs with it.
new=/etc/nginx/nginx.conf.halab-new old=/etc/nginx/nginx.conf.halab-old
cat >"$new" <<'EOF'
include /etc/nginx/modules-enabled/*.conf;
pid /run/nginx.pid;
events {}
stream {
  server {
    listen 6443;
    proxy_pass 10.213.0.11:6443;
  }
}
EOF
chmod 0644 "$new"
is_listening() {
  for _ in {1..50}; do
    [ -z "$(ss -Hltn 'sport = :6443')" ] || return 0
    sleep 0.1
  done
  echo "it does not listen on port 6443, where clients connect" >&2
  return 1
}
# of services that run now
running() { systemctl list-units --plain --no-legend --state=active nginx.service haproxy.service | cut -d ' ' -f 1; }
# An interrupted halab leaves the old configuration: the load balancer may still run with that one.
if [ -e "$old" ] || ! cmp -s "$new" /etc/nginx/nginx.conf; then
  nginx -t -q -c /etc/nginx/nginx.conf.halab-new || {
    rm -f "$new"
    fail 'the load balancer rejects the configuration; the one in use was not changed'
  }
  before=$(running)
  [ -e "$old" ] || cp -p /etc/nginx/nginx.conf "$old" 2>/dev/null || : >"$old"
  mv -f "$new" /etc/nginx/nginx.conf
  systemctl stop haproxy.service
  if ! systemctl restart nginx.service || ! is_listening; then
    # indented, because not all of it is about this configuration
    journalctl -u nginx.service -n 8 -o cat --no-pager | sed 's/^/  /' >&2
    systemctl stop nginx.service
    mv -f "$old" /etc/nginx/nginx.conf
    for service in $before; do systemctl start "$service"; done
    fail 'the load balancer does not work with the configuration; the one before is in use again'
  fi
  rm -f "$old"
  changed="$changed /etc/nginx/nginx.conf"
  did /etc/nginx/nginx.conf
fi
rm -f "$new"
systemctl disable -q --now haproxy.service
systemctl enable -q --now nginx.service
