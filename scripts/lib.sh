# shellcheck shell=bash
# Sourced by the other scripts: where things are kept, what must be installed, how steps are shown.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${HALAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/halab}
export HALAB_CACHE=$cache

say() { printf '\n== %s (%s)\n' "$*" "$(date +%H:%M:%S)" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '\nhint: %s\n' "$2" >&2
  exit 3
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Run a command as root while nobody else of ours installs packages: `apt-get update` waits for no other.
installing() { as_root flock /run/halab-packages.lock "$@"; }

# The packages of this host that a script needs, by the command that each brings.
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

# A Python that is new enough, with the means to make a virtual environment.
find_python() {
  local each
  for each in python3.13 python3.12 python3.11 python3; do
    if "$each" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$each"
      return
    fi
  done
  return 1
}

# A virtual environment with halab and, for `dev`, its test tools, for `virtual` libvirt-python: kept by what goes into it.
# Afterwards its commands come first in the PATH.
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

# Take the first of some folders that nobody else has taken, and keep it as long as this script lives: `taken`.
take_folder() {
  for taken in "$@"; do
    mkdir -p "$taken"
    exec 8>>"$taken/.taken"
    if flock --nonblock 8 && ! is_kept "$taken"; then return; fi
  done
  die "in use by others: $*" 'wait until one of them ends'
}

# Somebody wanted the lab of this folder to stay, and has not taken it down since.
is_kept() { [ -e "$1/.kept" ] && [ -e "$1/.halab/keys" ]; }

# A name for a lab or an engine that belongs to a folder: PREFIX FOLDER.
name_for() { printf '%s-%s\n' "$1" "$(realpath "$2" | sha256sum | cut -c1-6)"; }

# Where labs are made if no engine answers here: in a bare host of this name, or in the one that HALAB_BARE_HOST names.
use_bare_host() {
  # what was there before is not ours to stop
  started=yes
  [ -z "${HALAB_BARE_HOST:-}" ] || ! is_bare_host "$HALAB_BARE_HOST" || started=
  export HALAB_BARE_HOST=${HALAB_BARE_HOST:-$1}
}

# Whether there is one of this name, or what a reboot has left of it.
is_bare_host() { [ -e "/run/halab-$1" ] || [ -e "/var/lib/halab-$1" ]; }

# Stop the bare host that we started. It refuses while others use it: then it is theirs.
leave_bare_host() {
  [ -n "$started" ] && is_bare_host "$HALAB_BARE_HOST" || return 0
  "$root/scripts/bare-host" stop || say "the bare host $HALAB_BARE_HOST goes on"
}

# Asked once: an engine that is slow for a while is not taken for one that has gone.
engine_answers() {
  if [ -z "${engine_here:-}" ]; then
    engine_here=no
    ! { command -v docker && timeout 10 docker version; } >/dev/null 2>&1 || engine_here=yes
  fi
  [ "$engine_here" = yes ]
}

# What libvirt-python is built against: it comes as source.
need_libvirt_headers() {
  need_packages pkg-config=pkg-config gcc=gcc virsh=libvirt-clients
  pkg-config --exists libvirt || need_packages no-such-command=libvirt-dev
  local python
  python=$(find_python) || return 0
  "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())' || need_packages no-such-command=python3-dev
}

# `vagrant validate` knows the settings of virtual machines by it.
need_vagrant_plugin() {
  compgen -G '/usr/share/rubygems-integration/all/gems/vagrant-libvirt-*' >/dev/null ||
    compgen -G "$HOME/.vagrant.d/gems/*/gems/vagrant-libvirt-*" >/dev/null || need_packages no-such-command=vagrant-libvirt
}

libvirt_answers() {
  command -v virsh >/dev/null && timeout 10 virsh -q -c "${LIBVIRT_DEFAULT_URI:-qemu:///system}" uri >/dev/null 2>&1
}

# Run a command where libvirt answers: here, or with one of its own on a host that has none.
with_libvirt() {
  if libvirt_answers; then "$@"; else "$root/scripts/bare-host" virt "$@"; fi
}

# Run a command where a docker engine answers: here, or with an engine of its own on a host that has none.
with_engine() {
  if engine_answers; then "$@"; else "$root/scripts/bare-host" run "$@"; fi
}
