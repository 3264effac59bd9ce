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

# The load balancer of w1: haproxy, which only clients on this machine reach.

put 0644 /etc/haproxy/haproxy.cfg <<'EOF'
# The API servers of the lab ha, behind api.ha.internal:7445.
# For the clients on this node alone: its kubelet, its kube-proxy, its kubectl.
global
  log stdout format raw local0
  maxconn 4096
  # After a reload, the old worker keeps its connections but runs no health checks: it would keep connections to a dead
  # server. So it ends soon.
  hard-stop-after 2s
  stats socket /run/haproxy/admin.sock mode 660 level admin
  user haproxy
  group haproxy

defaults
  log global
  mode tcp
  option tcplog
  option dontlognull
  option redispatch
  retries 2
  timeout connect 1s
  timeout check 1s
  # watches, logs and exec may be idle for a long time: a short limit would cut them
  timeout client 1h
  timeout server 1h
  timeout tunnel 24h

frontend kube-apiserver
  bind 127.0.0.1:7445
  default_backend control-planes

backend control-planes
  balance roundrobin
  # An API server that accepts connections may not be ready: ask for its readiness.
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kube-apiserver
  http-check expect status 200
  default-server check check-ssl verify none inter 1s fall 3 rise 1
  server cp1 10.213.0.11:6443
  server cp2 10.213.0.12:6443

# The states of the servers, read-only: http://127.0.0.1:8404/;csv
frontend statistics
  bind 127.0.0.1:8404
  mode http
  option dontlog-normal
  maxconn 20
  timeout client 30s
  stats enable
  stats uri /
EOF
haproxy -c -q -f /etc/haproxy/haproxy.cfg || fail 'the load balancer rejects its configuration: /etc/haproxy/haproxy.cfg'
systemctl disable -q --now nginx.service
# a restart would refuse clients for a moment
case $changed in
  */etc/haproxy/haproxy.cfg*) systemctl reload-or-restart haproxy.service ;;
esac
systemctl enable -q --now haproxy.service
