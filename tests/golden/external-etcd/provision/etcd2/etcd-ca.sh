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

# Prints the CA of etcd with its key, for all etcd machines. It is made if it does not exist. Never logged.

umask 077
if ! [ -e /etc/kubernetes/pki/etcd/ca.key ]; then
  mkdir -p /run/halab
  cat >/run/halab/kubeadm-etcd-ca.yaml <<'EOF'
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
  kubeadm init phase certs etcd-ca --config /run/halab/kubeadm-etcd-ca.yaml >&2
  rm -f /run/halab/kubeadm-etcd-ca.yaml
fi
tar --create --directory /etc/kubernetes/pki/etcd ca.crt ca.key | base64 -w0
