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

# The etcd member on etcd2: a static pod of kubeadm, run by a kubelet without an API server.
#
# kubeadm's own guide does the same ("Set up a High Availability etcd Cluster with kubeadm"). Other guides write a
# systemd unit for etcd. A static pod has the image, certificates, flags, paths and restarts of a member on a control
# plane, so faults work in the same way on both.
#
# Unlike in the guide, every etcd machine keeps the key of the CA: a lost machine can be replaced through any other.
#
# /run/halab/etcd-material has two lines: new or existing (the state of the cluster), and the output of etcd-ca.sh.

if [ -e /etc/kubernetes/halab-joined ]; then
  exit 0
fi
remember_group
{ read -r state && read -r ca; } </run/halab/etcd-material || fail 'no state of the cluster, or no CA'
rm -f /run/halab/etcd-material

if [ "$state" = existing ]; then
  # the old member was removed from the cluster: whatever is here belongs to it
  systemctl stop kubelet.service
  rm -f /etc/kubernetes/manifests/etcd.yaml
  while pkill -KILL -x etcd; do sleep 0.1; done
  rm -rf /var/lib/etcd/member
fi
umask 077
mkdir -p /etc/kubernetes/pki/etcd
base64 -d <<<"$ca" | tar --extract --directory /etc/kubernetes/pki/etcd --no-same-owner
umask 022

rm -rf /etc/kubernetes/halab-patches
mkdir -p /etc/kubernetes/halab-patches
cat >'/etc/kubernetes/halab-patches/etcd!halab.yaml' <<'EOF'
spec:
  containers:
    - name: etcd
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 240
EOF
cat >/etc/kubernetes/halab-patches/etcd0+strategic.yaml <<'EOF'
spec:
  hostNetwork: true
EOF

config=$(
  cat <<'EOF'
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: ha
kubernetesVersion: v1.37.2
etcd:
  local:
    imageTag: "3.7.3-0"
    extraArgs:
      - name: initial-cluster
        value: "etcd1=https://10.213.0.41:2380,etcd2=https://10.213.0.42:2380,etcd3=https://10.213.0.43:2380"
      - name: initial-cluster-state
        value: "@state@"
certificateValidityPeriod: "24h"
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 10.213.0.42
  bindPort: 6443
nodeRegistration:
  name: etcd2
  criSocket: unix:///run/containerd/containerd.sock
patches:
  directory: /etc/kubernetes/halab-patches
EOF
)
config=${config//@state@/$state}
printf '%s\n' "$config" >/run/halab/kubeadm-etcd.yaml
# a phase would only warn of a field that it does not know
kubeadm config validate --config /run/halab/kubeadm-etcd.yaml
# the last one is for the API servers
for certificate in etcd-server etcd-peer etcd-healthcheck-client apiserver-etcd-client; do
  kubeadm init phase certs "$certificate" --config /run/halab/kubeadm-etcd.yaml
done

put 0644 /var/lib/kubelet/config.yaml <<'EOF'
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
resolvConf: /etc/halab/resolv.conf
failSwapOn: false
failCgroupV1: false
# The disk is the host's: how full it is says nothing about a node.
evictionHard:
  imagefs.available: 0%
  nodefs.available: 0%
  nodefs.inodesFree: 0%
imageGCHighThresholdPercent: 100
featureGates:
  KubeletInUserNamespace: true
staticPodPath: /etc/kubernetes/manifests
# This kubelet has no API server that could authorize requests, so it listens on this machine only.
address: 127.0.0.1
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: false
authorization:
  mode: AlwaysAllow
EOF
put 0644 /etc/systemd/system/kubelet.service.d/20-etcd-service-manager.conf <<'EOF'
# The file has the name that kubeadm's guide gives it. This kubelet only keeps etcd running.
[Service]
ExecStart=
ExecStart=/usr/local/bin/kubelet --config=/var/lib/kubelet/config.yaml --hostname-override=etcd2
EOF
systemctl daemon-reload
mkdir -p /etc/kubernetes/manifests
kubeadm init phase etcd local --config /run/halab/kubeadm-etcd.yaml
rm -f /run/halab/kubeadm-etcd.yaml
systemctl enable -q kubelet.service
systemctl restart kubelet.service
did 'started etcd'
