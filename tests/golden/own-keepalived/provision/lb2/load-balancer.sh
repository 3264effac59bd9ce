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
# Machine: lb2

put 0644 /etc/halab/hosts <<'EOF'
127.0.0.1 localhost
10.213.0.10 lb1
10.213.0.9 lb2
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
has_address() { [ -n "$(ip -4 -o address show to 10.213.0.9/32)" ]; }

has_address || fail 'this machine has no address on the network of the lab: 10.213.0.9'

# The load balancer: haproxy.

put 0644 /etc/haproxy/haproxy.cfg <<'EOF'
# The API servers of the lab ha, behind 10.213.0.100:6443.
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
  bind :6443
  default_backend control-planes

backend control-planes
  balance roundrobin
  # An API server that accepts connections may not be ready: ask for its readiness.
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kube-apiserver
  http-check expect status 200
  default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
  server cp1 10.213.0.11:6443

# The states of the servers, read-only: http://10.213.0.100:8404/;csv
frontend statistics
  bind :8404
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

# The address 10.213.0.100, which keepalived gives to one of the load balancers.
nic=$(ip -4 -o address show to 10.213.0.9/32 | awk 'NR == 1 { print $2 }')
new=/etc/keepalived/keepalived.conf.halab-new
sed "s/@nic@/$nic/g" >"$new" <<'EOF'
vrrp_script chk_haproxy {
  script "/usr/bin/killall -0 haproxy"
  interval 3
  weight -2
}

vrrp_instance VI_1 {
  state BACKUP
  interface @nic@
  virtual_router_id 60
  priority 100
  advert_int 5
  authentication {
    auth_type PASS
    auth_pass secret
  }
  virtual_ipaddress {
    10.213.0.100
  }
  track_script {
    chk_haproxy
  }
}
EOF
chmod 0644 "$new"
if ! cmp -s "$new" /etc/keepalived/keepalived.conf; then
  { keepalived -t -f /etc/keepalived/keepalived.conf.halab-new || [ $? -eq 6 ]; } || {
    rm -f "$new"
    fail 'keepalived rejects the configuration; the one in use was not changed'
  }
  mv -f "$new" /etc/keepalived/keepalived.conf
  changed="$changed /etc/keepalived/keepalived.conf"
  did /etc/keepalived/keepalived.conf
  # a restart on both machines at once would leave the address without a holder for seconds
  systemctl reload-or-restart keepalived.service
fi
rm -f "$new"
systemctl enable -q --now keepalived.service

# As on Debian. The box forwards packets, as nodes must. A machine that has lost the address would pass on what it still
# gets for it, and nobody would notice that no neighbour knows the new holder.
put 0644 /etc/sysctl.d/91-halab-balancer.conf <<'EOF'
net.ipv4.ip_forward = 0
EOF
sysctl -q -p /etc/sysctl.d/91-halab-balancer.conf
