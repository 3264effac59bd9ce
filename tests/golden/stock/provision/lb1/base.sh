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

# Installs what the box bento/ubuntu-24.04 lacks: the packages, files and services of halab's own box.
# The next script sets kernel modules, sysctls and addresses. Kubernetes comes over SSH.
# Machine: lb1

# shellcheck source=/dev/null
[ ! -r /etc/os-release ] || . /etc/os-release
case " ${ID:-unknown} ${ID_LIKE:-} " in
  *' debian '* | *' ubuntu '*) ;;
  *) fail "halab supports boxes of Debian and Ubuntu only, and this box has ${PRETTY_NAME:-an unknown distribution}" ;;
esac
command -v apt-get >/dev/null || fail "this box of ${PRETTY_NAME:-$ID} has no apt-get"

export https_proxy=http://proxy.example:3128
export no_proxy=10.213.0.0/24,10.244.0.0/16,10.96.0.0/12,localhost,127.0.0.1,.svc,.cluster.local,lb1,cp1
export NO_PROXY=10.213.0.0/24,10.244.0.0/16,10.96.0.0/12,localhost,127.0.0.1,.svc,.cluster.local,lb1,cp1
export DEBIAN_FRONTEND=noninteractive
# The standard input is this script: apt-get must not read it.
apt_get() { apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null; }
is_installed() {
  # prints one word for each architecture; not-installed for a package that dpkg knows only by name
  case $(dpkg-query --show --showformat ' ${db:Status-Status} ' "$1" 2>/dev/null) in
    *' installed '*) ;;
    *) return 1 ;;
  esac
}
is_known() { [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }
is() { [ "$(systemctl is-enabled "$2" 2>/dev/null)" = "$1" ]; }

# First, stop the units that install packages by themselves: they would hold apt's lock.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer logrotate.timer man-db.timer unattended-upgrades.service; do
  ! is masked "$unit" || continue
  systemctl stop "$unit" "${unit%.*}.service" 2>/dev/null || true
  systemctl mask -q "$unit"
  did "masked $unit"
done

# Each line has the names of one package: in Debian 12, then in other distributions.
wanted=(
  systemd-sysv
  dbus
  libpam-systemd
  openssh-server
  sudo
  conntrack
  containernetworking-plugins
  ebtables
  ethtool
  iproute2
  iptables
  kmod
  mount
  nftables
  procps
  runc
  socat
  dnsmasq
  haproxy
  keepalived
  libnginx-mod-stream
  'nginx-light nginx-core nginx'
  ca-certificates
  curl
  iputils-ping
  less
  'netcat-openbsd netcat'
  psmisc
  tcpdump
  'vim-tiny vim'
)
lacking=()
for names in "${wanted[@]}"; do
  for name in $names; do
    ! is_installed "$name" || continue 2
  done
  lacking+=("$names")
done
if [ ${#lacking[@]} != 0 ]; then
  # finish what an interrupted run left behind
  dpkg --configure -a </dev/null
  apt_get update
  packages=()
  for names in "${lacking[@]}"; do
    for name in $names; do
      if is_known "$name"; then
        packages+=("$name")
        continue 2
      fi
    done
    fail "apt of ${PRETTY_NAME:-$ID} has none of these packages: $names"
  done
  apt_get install --no-install-recommends "${packages[@]}"
  did "installed ${packages[*]}"
fi

# Packages start their services when they are installed. Stop them once; later, the role of this machine decides.
if [ ! -e /var/lib/halab/services ]; then
  systemctl disable -q --now dnsmasq.service haproxy.service keepalived.service nginx.service nftables.service
  put 0644 /var/lib/halab/services </dev/null
fi

put 0644 /etc/ssh/sshd_config.d/halab.conf <<'EOF'
# Machines of a lab have no name service, and keys are the only way in.
UseDNS no
PasswordAuthentication no
HostKey /etc/ssh/ssh_host_ed25519_key
# Probes, checks and people come at the same time.
MaxStartups 100
MaxSessions 100
EOF
put 0644 /etc/sysctl.d/90-halab.conf <<'EOF'
net.ipv4.ip_forward = 1
EOF
put 0644 /etc/systemd/journald.conf.d/halab.conf <<'EOF'
# Logs outlive a power cut: they are evidence. Bounded, so that a lab left alone does not fill the disk.
[Journal]
Storage=persistent
SystemMaxUse=64M
RateLimitIntervalSec=0
EOF
put 0644 /etc/systemd/system/containerd.service <<'EOF'
[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target halab-machine.service

[Service]
ExecStart=/usr/local/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=1
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
EOF
put 0644 /etc/systemd/system/halab-machine.service <<'EOF'
[Unit]
Description=Make this machine a machine of a halab lab
Documentation=https://www.freedesktop.org/wiki/Software/systemd/ContainerInterface/
DefaultDependencies=no
After=local-fs.target
Before=basic.target ssh.service containerd.service kubelet.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/halab/machine-start

[Install]
WantedBy=sysinit.target
EOF
put 0644 /etc/systemd/system/kubelet.service <<'EOF'
[Unit]
Description=kubelet: the Kubernetes node agent
Documentation=https://kubernetes.io/docs/
After=network-online.target containerd.service halab-machine.service
Wants=network-online.target
# kubeadm writes it: before that, there is nothing to run
ConditionPathExists=/var/lib/kubelet/config.yaml

[Service]
ExecStart=/usr/local/bin/kubelet
Restart=always
RestartSec=2
StartLimitInterval=0

[Install]
WantedBy=multi-user.target
EOF
put 0644 /etc/systemd/system/kubelet.service.d/10-kubeadm.conf <<'EOF'
# kubeadm's contract with the kubelet's service: it writes these files, the service reads them.
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
EOF
put 0755 /usr/lib/halab/machine-start <<'EOF'
#!/bin/bash
# Runs at every start of a machine, before anything of Kubernetes: a power cut loses what this sets up.
set -euo pipefail

# Host keys are made by the machine itself: a key inside a box would be everybody's.
# ed25519 only: an RSA key takes half a minute where the CPU is emulated.
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key

if systemd-detect-virt --quiet --container; then
  # The lab's public key comes with the container, so that an engine on another host needs no file of this one.
  while IFS= read -r -d '' variable; do
    case $variable in
      HALAB_AUTHORIZED_KEY=*)
        install -d -m 0700 -o vagrant -g vagrant /home/vagrant/.ssh
        printf '%s\n' "${variable#*=}" >/home/vagrant/.ssh/authorized_keys
        chown vagrant:vagrant /home/vagrant/.ssh/authorized_keys
        chmod 0600 /home/vagrant/.ssh/authorized_keys
        ;;
    esac
  done </proc/1/environ

  # kubelet and runc write below every controller; an engine mounts cgroup v1 read-only.
  awk '$3 == "cgroup" { print $2 }' /proc/mounts | while read -r mount; do
    mount -o remount,bind,rw "$mount"
  done

  # kubelet reads the kernel's log; the engine leaves the device out.
  [ -e /dev/kmsg ] || mknod -m 0600 /dev/kmsg c 1 11

  # Mounts of pods must propagate (kube-proxy, volumes).
  mount --make-rshared /
fi
EOF
# kubelet and the routes to pods start after systemd-networkd-wait-online, and need only the address in the lab: wait
# for that. The unit itself would wait for two minutes at every start, because the lab's network does not count as
# online (its plug may be out), and networkd may not manage the other network of the box.
put 0755 /usr/lib/halab/wait-for-address <<'EOF'
#!/bin/bash
for _ in {1..100}; do
  [ -z "$(ip -4 -o address show to 10.213.0.10/32)" ] || exit 0
  sleep 0.2
done
EOF
put 0644 /etc/systemd/system/systemd-networkd-wait-online.service.d/90-halab.conf <<'EOF'
[Service]
ExecStart=
ExecStart=/usr/lib/halab/wait-for-address
EOF

[ -z "$changed" ] || systemctl daemon-reload
case $changed in
  *journald*) systemctl restart systemd-journald.service ;;
esac
case $changed in
  *sshd_config*)
    [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
    mkdir -p /run/sshd
    sshd -t || fail 'sshd refuses its configuration: /etc/ssh/sshd_config.d/halab.conf'
    systemctl reload-or-restart ssh.service
    ;;
esac
for unit in kubelet.service halab-machine.service systemd-networkd.service; do
  ! is enabled "$unit" || continue
  systemctl enable -q "$unit"
  did "enabled $unit"
done
systemctl start systemd-networkd.service
