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

# Mounts the disks that the lab file gives this machine, before anything else is set up.
# Machine: cp1

# mount_disk SERIAL FOLDER: the label says that the file system is complete. An interrupted run has set none.
mount_disk() {
  local device=/dev/disk/by-id/virtio-$1 new
  ! mountpoint -q "$2" || return 0
  [ -e "$device" ] || fail "this machine has no disk for $2"
  if [ "$(e2label "$device" 2>/dev/null)" != "$1" ]; then
    ! findmnt -n --source "$device" >/dev/null || umount "$device"
    mkfs.ext4 -q -F "$device"
    new=$(mktemp -d)
    mount "$device" "$new"
    # kubeadm wants an empty folder for etcd
    rmdir "$new/lost+found"
    mkdir -p "$2"
    cp -a "$2/." "$new/"
    umount "$new"
    rmdir "$new"
    e2label "$device" "$1"
  fi
  mkdir -p "$2"
  grep -q "^LABEL=$1 " /etc/fstab || echo "LABEL=$1 $2 ext4 defaults 0 2" >>/etc/fstab
  systemctl daemon-reload
  mount "$2"
  did "a disk of its own in $2"
}

mount_disk halab-disk1 /var/lib/etcd
mount_disk halab-disk2 /srv/data
