# shellcheck shell=bash
# Sourced by the other scripts: folders, packages, Python environments, engines, messages.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${HALAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/halab}
export HALAB_CACHE=$cache

say() { printf '\n== %s (%s)\n' "$*" "$(date +%H:%M:%S)" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '\nhint: %s\n' "$2" >&2
  exit 3
}

# Print the comment at the top of the script that runs: its usage.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# The same with the programs, the cache and the way to the network of this user: sudo may lose all of them.
as_root_with_cache() {
  local variable given=()
  for variable in HOME PATH HALAB_CACHE http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY GOPROXY GOSUMDB; do
    [ -z "${!variable:-}" ] || given+=("$variable=${!variable}")
  done
  as_root env "${given[@]}" "$@"
}

# Whether a process runs. One that ended stays as a zombie where the first process of a container waits for no child.
runs() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

# End a process: PID SECONDS. After that time it is killed.
end() {
  local pid=$1 deadline=$((SECONDS + ${2:-30}))
  kill "$pid" 2>/dev/null || true
  while runs "$pid"; do
    [ $SECONDS -lt $deadline ] || kill -9 "$pid" 2>/dev/null || true
    sleep 0.2
  done
}

# Print the words that root puts before a command to run it as this user, one word on a line. The user also gets the
# groups that may use the sockets of docker and of libvirt: a user who may call sudo can use them anyway.
words_to_become() {
  local user=$1 groups
  groups=$(id -G "$user") || return
  groups=${groups// /,}$(getent group docker libvirt | awk -F: '{printf ",%s", $3}' || true)
  printf '%s\n' setpriv --reuid "$user" --regid "$(id -g "$user")" --groups "$groups" \
    env -u SUDO_UID -u SUDO_GID -u SUDO_USER -u SUDO_COMMAND "USER=$user" "LOGNAME=$user"
}

# Run a command as root while no other script of halab installs packages: `apt-get update` does not wait by itself.
installing() { as_root flock /run/halab-packages.lock "$@"; }

# Install missing packages, given as COMMAND=PACKAGE.
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} != 0 ] || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]}" 'install them with the package manager of this host'
  say "install ${missing[*]}"
  installing apt-get update -qq
  installing env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq \
    --no-install-recommends "${missing[@]}" >/dev/null
}

# Find a Python that is new enough and can make a virtual environment.
find_python() {
  local python
  for python in python3.13 python3.12 python3.11 python3; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

# Make a virtual environment with halab (`dev`: and its test tools, `virtual`: and libvirt-python), or use the one that
# was made from the same inputs. Put its commands first in the PATH.
use_environment() {
  local kind=$1 python key
  python=$(find_python) || { need_packages 'no-such-command=python3' 'no-such-command=python3-venv'; python=$(find_python); } ||
    die 'no Python 3.11 or newer' 'install python3 (3.11 or newer) and python3-venv'
  key=$( (cat "$root/pyproject.toml"; "$python" -VV; echo "$root $kind") | sha256sum | cut -c1-12)
  local folder=$cache/environments/$kind-$key
  mkdir -p "$cache/environments"
  exec 6>>"$folder.lock"
  flock 6
  [ -e "$folder/complete" ] || make_environment "$kind" "$python" "$folder"
  exec 6>&-
  export PATH=$folder/bin:$PATH
}

make_environment() {
  local kind=$1 python=$2 folder=$3
  say "make a Python environment: $folder"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/pip" install -q --upgrade pip
  case $kind in
    dev) "$folder/bin/pip" install -q -e "$root" --group "$root/pyproject.toml:dev" ;;
    virtual) "$folder/bin/pip" install -q -e "${root}[libvirt]" ;;
    *) "$folder/bin/pip" install -q -e "$root" ;;
  esac
  touch "$folder/complete"
}

# Lock the first free folder of the list for as long as this script runs. Sets `taken`.
take_folder() {
  for taken in "$@"; do
    mkdir -p "$taken"
    exec 8>>"$taken/.taken"
    if flock --nonblock 8 && ! is_kept "$taken"; then return; fi
  done
  die "in use by other scripts: $*" 'wait until one of them ends'
}

# Whether a user kept the lab of this folder (`--keep`) and has not removed it since.
is_kept() { [ -e "$1/.kept" ] && [ -e "$1/.halab/keys" ]; }

# Run a command. On a host with fewer than 8 cores, first wait until no other script runs a command in this way: two labs
# that start or are measured at the same time on two cores disturb each other so much that a run ends in an error.
one_at_a_time() {
  if [ "$(nproc)" -ge 8 ]; then "$@"; return; fi
  exec 7>>"$cache/one-at-a-time.lock"
  if ! flock --nonblock 7; then
    say 'wait for another lab: it starts, or it is measured'
    # bash acts on a signal only between two commands
    until flock --timeout 1 7; do :; done
  fi
  local code=0
  "$@" 7>&- || code=$?
  exec 7>&-
  return "$code"
}

# Print a name for a lab or an engine that depends on the folder: PREFIX FOLDER.
name_for() { printf '%s-%s\n' "$1" "$(realpath "$2" | sha256sum | cut -c1-6)"; }

# Choose the bare host for labs if no engine answers here: the one in HALAB_BARE_HOST, or one of this name.
use_bare_host() {
  # do not stop a bare host that was there before
  started=yes
  [ -z "${HALAB_BARE_HOST:-}" ] || ! is_bare_host "$HALAB_BARE_HOST" || started=
  export HALAB_BARE_HOST=${HALAB_BARE_HOST:-$1}
}

# Whether a bare host of this name exists, or its files after a reboot.
is_bare_host() { [ -e "/run/halab-$1" ] || [ -e "/var/lib/halab-$1" ]; }

# Stop the bare host that we started. It refuses while others use it, and then it stays.
leave_bare_host() {
  [ -n "$started" ] && is_bare_host "$HALAB_BARE_HOST" || return 0
  "$root/scripts/bare-host" stop || say "the bare host $HALAB_BARE_HOST keeps running"
}

# Check once and remember the answer: a slow engine must not look like a missing one later.
engine_answers() {
  if [ -z "${engine_here:-}" ]; then
    engine_here=no
    ! { command -v docker && timeout 10 docker version; } >/dev/null 2>&1 || engine_here=yes
  fi
  [ "$engine_here" = yes ]
}

# Install the headers to build libvirt-python, which has no binary package.
need_libvirt_headers() {
  need_packages pkg-config=pkg-config gcc=gcc virsh=libvirt-clients
  pkg-config --exists libvirt || need_packages no-such-command=libvirt-dev
  local python
  python=$(find_python) || return 0
  "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())' || need_packages no-such-command=python3-dev
}

# Install vagrant-libvirt: `vagrant validate` needs it to know the settings of virtual machines.
need_vagrant_plugin() {
  compgen -G '/usr/share/rubygems-integration/all/gems/vagrant-libvirt-*' >/dev/null ||
    compgen -G "$HOME/.vagrant.d/gems/*/gems/vagrant-libvirt-*" >/dev/null || need_packages no-such-command=vagrant-libvirt
}

# Whether a small guest boots under KVM on this host: FOLDER URI. The folder gets a lab file. The URI is that of a
# libvirt that does not run yet: doctor asks it too, and that of the host may see another /dev/kvm.
kvm_boots() {
  echo 'provider: libvirt' >"$1/kvm.yml"
  { LIBVIRT_DEFAULT_URI=$2 halab doctor -f "$1/kvm.yml" --only kvm --json 2>/dev/null || true; } | grep -qE '"state": *"ok"'
}

libvirt_answers() {
  command -v virsh >/dev/null && timeout 10 virsh -q -c "${LIBVIRT_DEFAULT_URI:-qemu:///system}" uri >/dev/null 2>&1
}

# Run a command with libvirt: this host's, or that of a bare host.
with_libvirt() {
  if libvirt_answers; then "$@"; else "$root/scripts/bare-host" virt "$@"; fi
}

# Run a command with a docker engine: this host's, or that of a bare host.
with_engine() {
  if engine_answers; then "$@"; else "$root/scripts/bare-host" run "$@"; fi
}
