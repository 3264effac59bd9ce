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

# all.sh: a script of the user's own, which runs before halab sets up the machine.
# Machine: lb1

script=/var/lib/halab/setup-before
ran=/var/lib/halab/setup-before.sha256 sum=5f31ec9a022657a3c27cf210f05f64d578b59e346de055ee3c2ccf0c44a90497
if [ "$(cat "$ran" 2>/dev/null)" = "$sum" ]; then
  exit 0
fi
running=/run/halab/setup.group
end_remembered_group | sed 's/a kubeadm/a script/'
remember_group
rm -f "$ran"
install -D -m 0700 /dev/stdin "$script" <<'EOF-'
cat <<'EOF'
{{ not a template }}
EOF
EOF-
export https_proxy=http://proxy.example:3128
export no_proxy=10.213.0.0/24,10.244.0.0/16,10.96.0.0/12,localhost,127.0.0.1,.svc,.cluster.local,lb1,cp1,w1
export NO_PROXY=10.213.0.0/24,10.244.0.0/16,10.96.0.0/12,localhost,127.0.0.1,.svc,.cluster.local,lb1,cp1,w1
[ ! -e /etc/kubernetes/admin.conf ] || export KUBECONFIG=/etc/kubernetes/admin.conf

# Not through the pipe to the log: a program that the script leaves running would keep it open.
output=$(mktemp /run/halab/setup.XXXXXX)
cd /
bash "$script" >"$output" 2>&1 </dev/null &
tail -n +1 -s 0.2 -f --pid=$! "$output"
code=0
wait $! || code=$?
rm -f "$output"
[ "$code" = 0 ] || fail 'exit code of all.sh'": $code"
echo "$sum" >"$ran"
did 'ran all.sh'
