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

# kubeadm join of w1 (worker).
# The join command of join-material.sh is in /run/halab/join-command.

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
  reset_leftovers 'kubeadm join'
fi

read -r -a words </run/halab/join-command
rm -f /run/halab/join-command
token='' hash='' key=''
while [ ${#words[@]} -gt 1 ]; do
  case ${words[0]} in
    --token) token=${words[1]} ;;
    --discovery-token-ca-cert-hash) hash=${words[1]} ;;
    --certificate-key) key=${words[1]} ;;
  esac
  words=("${words[@]:1}")
done
if [ -z "$token" ] || [ -z "$hash" ] || [ -z "$key" ]; then
  fail 'the join command has no token, no hash or no key'
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

config=$(
  cat <<'EOF'
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: api.ha.internal:7445
    token: "@token@"
    caCertHashes:
      - "@hash@"
nodeRegistration:
  name: w1
  criSocket: unix:///run/containerd/containerd.sock
  imagePullPolicy: Never
  kubeletExtraArgs:
    - name: node-ip
      value: 10.213.0.21
EOF
)
config=${config//@token@/$token}
config=${config//@hash@/$hash}
config=${config//@key@/$key}
umask 077
# printf is a builtin of the shell, and no process list shows it
printf '%s\n' "$config" >/run/halab/kubeadm-join.yaml
umask 022

join=(kubeadm join --config /run/halab/kubeadm-join.yaml '--ignore-preflight-errors=SystemVerification,Swap,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables')
# halab takes what follows for the output of kubeadm
echo "runs: ${join[*]}"
code=0
"${join[@]}" || code=$?
if [ "$code" != 0 ]; then
  print_reasons
  exit "$code"
fi
rm -f /run/halab/kubeadm-join.yaml
date -Is >/etc/kubernetes/halab-joined
did 'kubeadm join'
