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
# Machine: cp1

put 0644 /etc/halab/hosts <<'EOF'
127.0.0.1 localhost
10.213.0.11 cp1
10.213.0.12 cp2
10.213.0.13 cp3
10.213.0.21 w1
10.213.0.100 api.lab.example
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
has_address() { [ -n "$(ip -4 -o address show to 10.213.0.11/32)" ]; }

has_address || fail 'this machine has no address on the network of the lab: 10.213.0.11'

end_remembered_group

# Prepares a Kubernetes node for kubeadm: routes to the pods of other nodes, a bridge for its own pods, containerd.

put 0755 /usr/local/lib/halab/pod-routes <<'EOF'
#!/bin/bash
# Routes to the pods of the other nodes. A restart of the machine loses them, so this runs at every start.
set -euo pipefail
ip route replace 10.244.12.0/24 via 10.213.0.12
ip route replace 10.244.13.0/24 via 10.213.0.13
ip route replace 10.244.21.0/24 via 10.213.0.21
# nodes that have left the lab
ip -4 route show root 10.244.0.0/16 | while read -r pods via address _; do
  case ' 10.244.11.0/24 10.244.12.0/24 10.244.13.0/24 10.244.21.0/24 ' in
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
        "ranges": [[{"subnet": "10.244.11.0/24"}]],
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

# Write the manifest of standard input, with the NIC on the lab's network, if it differs. The kubelet reads the folder
# all the time, and ignores files whose names begin with a dot: it never sees half a manifest.
write_kube_vip() {
  local nic new=/etc/kubernetes/manifests/.kube-vip
  nic=$(ip -4 -o address show to 10.213.0.11/32 | awk 'NR == 1 { print $2 }')
  mkdir -p /etc/kubernetes/manifests
  sed "s/@nic@/$nic/g" >"$new"
  chmod 0600 "$new"
  if cmp -s "$new" /etc/kubernetes/manifests/kube-vip.yaml; then
    rm -f "$new"
  else
    mv -f "$new" /etc/kubernetes/manifests/kube-vip.yaml
    did /etc/kubernetes/manifests/kube-vip.yaml
  fi
}
# IPVS is a part of the kernel. A container uses the kernel of its host.
[ -e /proc/net/ip_vs ] || modprobe ip_vs ||
  fail 'the kernel has no IPVS (ip_vs), which the setting balancing of kube-vip needs'
# Only after the join, because `init` and `join` write the manifest themselves. kubeadm would take an earlier one for
# the rest of an interrupted attempt.
if [ -e /etc/kubernetes/halab-joined ]; then
  write_kube_vip <<'EOF'
# kube-vip gives the address 10.213.0.100 of the lab ha to the control plane that has the lease plndr-cp-lock.
apiVersion: v1
kind: Pod
metadata:
  name: kube-vip
  namespace: kube-system
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  # It asks the API server of its own machine, by a name in that server's certificate.
  hostAliases:
    - ip: 127.0.0.1
      hostnames: [kubernetes]
  containers:
    - name: kube-vip
      image: ghcr.io/kube-vip/kube-vip:v0.9.1
      imagePullPolicy: Never
      args: [manager]
      env:
        - {name: vip_arp, value: "true"}
        - {name: cp_enable, value: "true"}
        - {name: cp_namespace, value: kube-system}
        - {name: address, value: 10.213.0.100}
        - {name: vip_subnet, value: "32"}
        - {name: vip_interface, value: "@nic@"}
        - {name: port, value: "6443"}
        - {name: vip_leaderelection, value: "true"}
        - {name: vip_leasename, value: plndr-cp-lock}
        - {name: vip_leaseduration, value: "10"}
        - {name: vip_renewdeadline, value: "3"}
        - {name: vip_retryperiod, value: "1"}
        - {name: lb_enable, value: "true"}
        - {name: lb_port, value: "6443"}
        - name: vip_nodename
          valueFrom:
            fieldRef:
              fieldPath: spec.nodeName
      securityContext:
        capabilities:
          add: [NET_ADMIN, NET_RAW]
          drop: [ALL]
      volumeMounts:
        - {name: kubeconfig, mountPath: /etc/kubernetes/admin.conf, readOnly: true}
  volumes:
    - name: kubeconfig
      hostPath: {path: /etc/kubernetes/admin.conf, type: File}
EOF
fi
