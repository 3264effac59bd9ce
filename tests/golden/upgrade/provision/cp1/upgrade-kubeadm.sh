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

# Upgrades cp1 to Kubernetes 1.37.2 with kubeadm.

# Wait for a kubeadm that an interrupted halab left running. If it were killed, it would roll nothing back.
running=/run/halab/upgrade.group
if group=$(cat "$running" 2>/dev/null); then
  while kill -0 -- "-$group" 2>/dev/null; do sleep 0.5; done
fi
remember_group

# kubeadm moves the old manifest away, then the new one to its place: a power cut may have come between the two.
for pod in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  manifest=/etc/kubernetes/manifests/$pod.yaml
  [ ! -e "$manifest" ] || continue
  backup=$(find /etc/kubernetes/ -path "*/tmp/kubeadm-backup-manifests-*/$pod.yaml" | sort | tail -n 1)
  if [ -n "$backup" ]; then
    # in one step: kubelet may read the file at any moment
    cp "$backup" "$backup.whole"
    mv "$backup.whole" "$manifest"
    did "put $manifest back, which an interrupted kubeadm had moved away"
  fi
done

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
      # a slow machine takes longer to answer, and a restart of etcd delays all others even more
      livenessProbe:
        failureThreshold: 16
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 480
EOF
cat >'/etc/kubernetes/halab-patches/kube-apiserver!halab.yaml' <<'EOF'
spec:
  containers:
    - name: kube-apiserver
      # a slow machine takes longer to answer, and a restart of kube-apiserver delays all others even more
      livenessProbe:
        failureThreshold: 16
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 480
EOF
cat >'/etc/kubernetes/halab-patches/kube-controller-manager!halab.yaml' <<'EOF'
spec:
  containers:
    - name: kube-controller-manager
      # a slow machine takes longer to answer, and a restart of kube-controller-manager delays all others even more
      livenessProbe:
        failureThreshold: 16
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 480
EOF
cat >'/etc/kubernetes/halab-patches/kube-scheduler!halab.yaml' <<'EOF'
spec:
  containers:
    - name: kube-scheduler
      # a slow machine takes longer to answer, and a restart of kube-scheduler delays all others even more
      livenessProbe:
        failureThreshold: 16
      # kubeadm lets the kubelet ask after 10 s, and then every 10 s: the pod would be Ready up to 20 s after its
      # program has started. The time limit stays the same.
      startupProbe:
        initialDelaySeconds: 0
        periodSeconds: 1
        failureThreshold: 480
EOF
cat >/etc/kubernetes/halab-patches/kube-apiserver0+strategic.yaml <<'EOF'
spec:
  priorityClassName: system-node-critical
EOF
cat >/etc/kubernetes/halab-patches/kube-scheduler+json.yaml <<'EOF-'
# ends EOF
EOF
- {op: add, path: /metadata/labels/halab, value: 'yes'}
EOF-

cat >/run/halab/kubeadm-upgrade.yaml <<'EOF'
apiVersion: kubeadm.k8s.io/v1beta4
kind: UpgradeConfiguration
apply:
  kubernetesVersion: v1.37.2
  imagePullPolicy: Never
  ignorePreflightErrors: [SystemVerification, Swap, FileContent--proc-sys-net-bridge-bridge-nf-call-iptables]
  patches:
    directory: /etc/kubernetes/halab-patches
# kubeadm's own limits, stretched by the lab's patience like all others.
timeouts:
  controlPlaneComponentHealthCheck: 480s
  kubeletHealthCheck: 480s
  kubernetesAPICall: 120s
  etcdAPICall: 240s
  tlsBootstrap: 600s
  discovery: 600s
  upgradeManifests: 600s
EOF
put 0755 /usr/local/bin/kubeadm </var/lib/halab/programs/kubeadm

# The preflight checks ran before anything changed; here they would run a Job with the pause image (upgrade-preflight.sh).
# kubeadm does not write to the pipe of the log, which ends with halab: kubeadm must continue without it.
output=$(mktemp /run/halab/upgrade.XXXXXX)
kubeadm upgrade apply --yes --skip-phases=preflight --config /run/halab/kubeadm-upgrade.yaml \
  >"$output" 2>&1 </dev/null &
tail -n +1 -s 0.2 -f --pid=$! "$output"
code=0
wait $! || code=$?
rm -f "$output"
if [ "$code" != 0 ]; then
  print_reasons
  exit "$code"
fi
rm -f /run/halab/kubeadm-upgrade.yaml
did 'kubeadm upgrade apply'
