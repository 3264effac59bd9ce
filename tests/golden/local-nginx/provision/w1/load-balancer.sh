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

# The load balancer of w1: nginx, which only clients on this machine reach.

put 0644 /etc/nginx/nginx.conf <<'EOF'
# The API servers of the lab ha, behind api.ha.internal:7445.
# For the clients on this node alone: its kubelet, its kube-proxy, its kubectl.
# Open-source NGINX checks passively: a failed connection takes its server out of use for fail_timeout.
include /etc/nginx/modules-enabled/*.conf;
worker_processes auto;
# After a reload, the old workers keep their connections. End them soon.
worker_shutdown_timeout 2s;
pid /run/nginx.pid;
error_log stderr warn;

events {
  worker_connections 4096;
}

stream {
  log_format connections '$time_iso8601 $remote_addr $upstream_addr $status $upstream_connect_time $session_time';
  access_log /var/log/nginx/stream.log connections;
  error_log stderr warn;
  # which server each client has: halab reads it here, as NGINX shows it nowhere else
  error_log /var/log/nginx/connections.log info;

  upstream control-planes {
    server 10.213.0.11:6443 max_fails=3 fail_timeout=5s;
  }

  server {
    listen 127.0.0.1:7445;
    proxy_pass control-planes;
    proxy_connect_timeout 1s;
    proxy_next_upstream on;
    proxy_next_upstream_timeout 5s;
    # watches, logs and exec may be idle for a long time: a short limit would cut them
    proxy_timeout 1h;
  }
}
EOF
nginx -t -q || fail 'the load balancer rejects its configuration: /etc/nginx/nginx.conf'
systemctl disable -q --now haproxy.service
# a restart would refuse clients for a moment
case $changed in
  */etc/nginx/nginx.conf*) systemctl reload-or-restart nginx.service ;;
esac
systemctl enable -q --now nginx.service
