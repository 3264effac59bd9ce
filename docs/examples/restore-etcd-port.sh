#!/usr/bin/env bash
# A responder for `halab drill benchmark` that knows one thing: an API server asks its etcd on port 2379.
#
# It passes does-not-come-back, and fails drills with another cause. It works in the folder of the lab, with the
# commands that a person uses. It gets the situation and the tasks as JSON on standard input, and does not read them.
set -euo pipefail

manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
# `halab status` exits with 3 while the lab is not steady
machines=$( (halab status --json || true) | jq -r '.machines[].name | select(startswith("cp"))')

for machine in $machines; do
  port=$(halab ssh "$machine" -- sudo sed -n "'s/.*--etcd-servers=https:.*:\([0-9]*\)\$/\1/p'" "$manifest")
  if [ "$port" != 2379 ]; then
    halab ssh "$machine" -- sudo sed -i "'/--etcd-servers=/s/:$port\$/:2379/'" "$manifest"
    halab drill answer machine "$machine"
    halab drill answer port "$port"
  fi
done

# The kubelet restarts the API server. The drill ends with the check that finds every task done.
for _ in {1..12}; do
  ! halab drill check || exit 0
  sleep 15
done
exit 1
