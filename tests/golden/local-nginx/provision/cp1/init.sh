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

# kubeadm init on cp1; the API's endpoint is api.ha.internal:7445.

if [ -e /etc/kubernetes/halab-joined ]; then
  exit 0
fi
remember_group
# What an interrupted kubeadm leaves behind. The folder of manifests may also have pods of the user's own.
has_leftovers() {
  [ ! -e /etc/kubernetes/kubelet.conf ] || return 0
  [ ! -e /etc/kubernetes/manifests/etcd.yaml ] || return 0
  [ ! -e /etc/kubernetes/manifests/kube-apiserver.yaml ] || return 0
  [ ! -e /etc/kubernetes/manifests/kube-controller-manager.yaml ] || return 0
  [ ! -e /etc/kubernetes/manifests/kube-scheduler.yaml ] || return 0
  return 1
}
reset_leftovers() {
  did "removed what an interrupted $1 left behind"
  kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock
}

if has_leftovers; then
  reset_leftovers 'kubeadm init'
fi

# kubeadm only says that it timed out. Print the last error of every component that does not run.
print_reasons() {
  local name log
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    log=$(find /var/log/pods -path "*/kube-system_$name-*.log" -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1)
    if [ -n "$log" ] && ! pgrep -x "${name:0:15}" >/dev/null; then
      print_reason "$name" <"${log#* }"
    fi
  done
  if ! pgrep -x kubelet >/dev/null; then
    journalctl -u kubelet -o cat -n 100 | print_reason kubelet
  fi
}
print_reason() {
  local reason
  # without the time and stream that containerd puts in front
  reason=$(sed 's/^[^ ]* std[a-z]* [FP] //' | grep -iE 'error|fatal|panic|invalid|failed' | tail -n 1) ||
    reason='it printed no error'
  echo "error: $1 does not run: $reason" >&2
}

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
cat >'/etc/kubernetes/halab-patches/kube-apiserver!halab.yaml' <<'EOF'
spec:
  containers:
    - name: kube-apiserver
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 240
EOF
cat >'/etc/kubernetes/halab-patches/kube-controller-manager!halab.yaml' <<'EOF'
spec:
  containers:
    - name: kube-controller-manager
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 240
EOF
cat >'/etc/kubernetes/halab-patches/kube-scheduler!halab.yaml' <<'EOF'
spec:
  containers:
    - name: kube-scheduler
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 240
EOF

mkdir -p /run/halab
cat >/run/halab/kubeadm-init.yaml <<'EOF'
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: "ha"
kubernetesVersion: v1.37.2
controlPlaneEndpoint: api.ha.internal:7445
networking:
  serviceSubnet: 10.96.0.0/12
etcd:
  local:
    imageTag: 3.7.3-0
controllerManager:
  extraArgs:
    # Before it starts its controllers, it asks for an account of each: some 150 requests in a new cluster. With the
    # defaults, 20 a second after the first 30, it signs the first bootstrap token 4 s later.
    - name: kube-api-qps
      value: "100"
    - name: kube-api-burst
      value: "200"
dns:
  imageTag: v1.14.6
apiServer:
  certSANs:
    - localhost
    - 127.0.0.1
---
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
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
# Pods are on the bridge; all other traffic comes from outside.
detectLocalMode: BridgeInterface
detectLocal:
  bridgeInterface: cni0
# The connection table belongs to the host.
conntrack:
  maxPerCore: 0
  min: 0
  tcpEstablishedTimeout: 0s
  tcpCloseWaitTimeout: 0s
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 10.213.0.11
  bindPort: 6443
nodeRegistration:
  name: cp1
  criSocket: unix:///run/containerd/containerd.sock
  imagePullPolicy: Never
  kubeletExtraArgs:
    - name: node-ip
      value: 10.213.0.11
patches:
  directory: /etc/kubernetes/halab-patches
bootstrapTokens: []
EOF

if ! kubeadm init --config /run/halab/kubeadm-init.yaml --skip-token-print \
  --ignore-preflight-errors=SystemVerification,Swap,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables; then
  print_reasons
  exit 1
fi
rm -f /run/halab/kubeadm-init.yaml
date -Is >/etc/kubernetes/halab-joined
did 'kubeadm init'
