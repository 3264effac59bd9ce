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
# Machine: w1

put 0644 /etc/halab/hosts <<'EOF'
127.0.0.1 localhost
10.213.0.11 cp1
10.213.0.21 w1
127.0.0.1 api.ha.internal
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
has_address() { [ -n "$(ip -4 -o address show to 10.213.0.21/32)" ]; }

has_address || fail 'this machine has no address on the network of the lab: 10.213.0.21'

end_remembered_group

# Prepares a Kubernetes node for kubeadm: routes to the pods of other nodes, a bridge for its own pods, containerd.

put 0755 /usr/local/lib/halab/pod-routes <<'EOF'
#!/bin/bash
# Routes to the pods of the other nodes. A restart of the machine loses them, so this runs at every start.
set -euo pipefail
ip route replace 10.244.11.0/24 via 10.213.0.11
# nodes that have left the lab
ip -4 route show root 10.244.0.0/16 | while read -r pods via address _; do
  case ' 10.244.11.0/24 10.244.21.0/24 ' in
    *" $pods "*) ;;
    *) [ "$via" != via ] || ip route del "$pods" via "$address" ;;
  esac
done
EOF
put 0644 /etc/systemd/system/halab-pod-routes.service <<'EOF'
[Unit]
Description=Routes to the pods on the other machines of the lab
After=network-online.target
Wants=network-online.target
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/halab/pod-routes

[Install]
WantedBy=multi-user.target
EOF

put 0644 /etc/cni/net.d/10-halab.conflist <<'EOF'
{
  "cniVersion": "1.0.0",
  "name": "halab",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.244.21.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
EOF

# Pods must not inherit a resolver on the loopback: CoreDNS would ask itself forever, and its `loop` plugin ends it.
put 0644 /etc/halab/resolv.conf <<'EOF'
nameserver 10.213.0.1
EOF

put 0644 /etc/containerd/config.toml <<'EOF'
version = 3

[plugins.'io.containerd.cri.v1.images']
  discard_unpacked_layers = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'registry.k8s.io/pause:3.10.2'

[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  # the container engine may not allow lower scores
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/usr/lib/cni']
  conf_dir = '/etc/cni/net.d'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
EOF

put 0644 /etc/sysctl.d/91-halab-node.conf <<'EOF'
net.ipv4.ip_forward = 1
EOF
sysctl -q -p /etc/sysctl.d/91-halab-node.conf

# `enable` makes systemd read its units again
systemctl enable -q --now halab-pod-routes.service
# the unit stays active after it has run: other machines of the lab may be new, or gone
case $changed in
  *lib/halab/pod-routes*) systemctl restart halab-pod-routes.service ;;
esac
case $changed in
  *containerd/config.toml*) systemctl restart containerd.service ;;
esac
systemctl enable -q --now --no-reload containerd.service
