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

# The packages of this host that a script needs, by the command that each brings.
need_packages() {
  local missing=() pair
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} != 0 ] || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]}" 'install them with the package manager of this host'
  say "install ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
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
  if [ ! -e "$folder/complete" ]; then
    say "make a Python environment: $folder"
    rm -rf "$folder"
    mkdir -p "$cache/environments"
    "$python" -m venv "$folder"
    "$folder/bin/pip" install -q --upgrade pip
    if [ "$kind" = dev ]; then
      "$folder/bin/pip" install -q -e "$root" --group "$root/pyproject.toml:dev"
    elif [ "$kind" = virtual ]; then
      "$folder/bin/pip" install -q -e "${root}[libvirt]"
    else
      "$folder/bin/pip" install -q -e "$root"
    fi
    touch "$folder/complete"
  fi
  export PATH=$folder/bin:$PATH
}

engine_answers() { command -v docker >/dev/null && timeout 10 docker version >/dev/null 2>&1; }

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
