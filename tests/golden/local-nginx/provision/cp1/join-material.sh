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

# Runs on a control plane before another machine joins, and prints the join command. Its secrets are never logged.

export KUBECONFIG=/etc/kubernetes/admin.conf

# The certificates are uploaded for every join: the uploaded ones may be of another control plane, or expired. The key
# that encrypts them stays the same until a reboot, because a machine that joins at the same time needs it too. Without
# the address, kubeadm takes that of the default route, which is not in the API server's certificate; without the
# version, it asks the internet for one.
umask 077
mkdir -p /run/halab
exec 9>/run/halab/join-material.lock
flock 9
[ -s /run/halab/certificate-key ] || kubeadm certs certificate-key >/run/halab/certificate-key
key=$(cat /run/halab/certificate-key)
cat >/run/halab/upload-certs.yaml <<EOF
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
controlPlaneEndpoint: api.ha.internal:7445
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 10.213.0.11
  bindPort: 6443
certificateKey: $key
EOF
kubeadm init phase upload-certs --upload-certs --skip-certificate-key-print --config /run/halab/upload-certs.yaml >&2
rm -f /run/halab/upload-certs.yaml
exec 9>&-

command=$(kubeadm token create --ttl 1h --print-join-command)
token=$(sed -n 's/.*--token \([a-z0-9]*\)\..*/\1/p' <<<"$command")

# Wait here until the controller-manager has signed the token: a join would wait in steps of five seconds. By curl
# and without an account, as a join asks for it: kubectl takes ten times the processor time while the cluster starts.
cluster_info() {
  curl -sf --max-time 10 --cacert /etc/kubernetes/pki/ca.crt \
    https://10.213.0.11:6443/api/v1/namespaces/kube-public/configmaps/cluster-info || true
}
deadline=$((SECONDS + 120))
date +"%T token made" >&2
until [[ $(cluster_info) == *"\"jws-kubeconfig-$token\":"* ]]; do
  [ $SECONDS -lt $deadline ] || fail 'the controller-manager did not sign the bootstrap token (is it leading?)'
  sleep 0.2
done
date +"%T token signed" >&2
# echo is a builtin of the shell: the host's process list shows the processes of containers with their arguments.
echo "$command --control-plane --certificate-key $key"
