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

# Vagrant replaces its published key with a new one. An interrupted `up` may have left the published one.
sed -i '/ vagrant insecure public key$/d' /home/vagrant/.ssh/authorized_keys

# Keep the address while the plug is out, as a real host does.
put 0644 /etc/systemd/network/20-halab.network <<'EOF'
[Match]
MACAddress=52:54:00:7d:cd:4d

[Link]
RequiredForOnline=no

[Network]
Address=10.213.0.10/24
LinkLocalAddressing=no
IPv6AcceptRA=no
ConfigureWithoutCarrier=yes
IgnoreCarrierLoss=yes
# systemd-resolved asks the lab's DNS server for the name of the endpoint, and the servers of the other network for others
DNS=10.213.0.10
Domains=~api.lab.example
EOF
case $changed in
  *20-halab.network*) networkctl reload ;;
esac
for _ in $(seq 50); do
  ! has_address || break
  sleep 0.2
done
has_address || fail 'this machine has no address on the network of the lab: 10.213.0.10'

# The DNS server: dnsmasq.

# The machines ask this machine for names. It asks the servers that it had before.
put 0644 /etc/halab/dns-records <<'EOF'
10.213.0.11 api.lab.example
EOF
put 0644 /etc/dnsmasq.conf <<'EOF'
# The DNS server of the lab ha: api.lab.example has the addresses of all API servers.
listen-address=10.213.0.10
# also before the address exists
bind-dynamic
# The records. A reload reads them again, but not this file.
no-hosts
addn-hosts=/etc/halab/dns-records
local-ttl=30
# what is not in the records does not exist: other servers are not asked for this name
local=/api.lab.example/
# all other names
resolv-file=/run/systemd/resolve/resolv.conf
EOF
dnsmasq --test || fail 'dnsmasq rejects its configuration: /etc/dnsmasq.conf'
case $changed in
  */etc/dnsmasq.conf*) systemctl restart dnsmasq.service ;;
  */etc/halab/dns-records*) systemctl reload-or-restart dnsmasq.service ;;
esac
systemctl enable -q --now dnsmasq.service
