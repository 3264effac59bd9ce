"""Checks of Vagrant, its plugin for libvirt and its Python library: they must fit each other."""

from __future__ import annotations

import re
from pathlib import Path

from halab.doctor import fix
from halab.doctor.check import LIBVIRT_ONLY, Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.host import Host
from halab.doctor.libvirt import lacking
from halab.doctor.tools import dotted, numbers

# The oldest versions that worked with halab; Debian 12 has them.
_VAGRANT = (2, 3, 4)
_PLUGIN = (0, 11, 2)
_PAGE = "get it from https://developer.hashicorp.com/vagrant/install"
_PYTHON_VAGRANT = "python-vagrant>=1.0,<1.1"

# HashiCorp's packages have their own Ruby there (package/build-deb and build-rpm of hashicorp/vagrant-installers).
_RUBY_OF_HASHICORP = Path("/opt/vagrant/embedded")
# Vagrant has a newer Ruby since 2.3.5, and the plugin had to follow: vagrant-libvirt#1749. In Vagrant 2.4.2 the plugin
# cannot be installed: vagrant-libvirt#1831, solved in 2.4.3.
_LAST_BEFORE_NEW_RUBY = (2, 3, 4)
_VAGRANT_ELSEWHERE, _PLUGIN_ELSEWHERE = (2, 4, 3), (0, 12, 2)
_INSTALL = "vagrant plugin install vagrant-libvirt"
# hashicorp/vagrant#13652
_LENIENT = f"VAGRANT_DISABLE_STRICT_DEPENDENCY_ENFORCEMENT=1 {_INSTALL}  # if Vagrant reports conflicting dependencies"


def vagrant(host: Host, subject: Subject) -> Finding:
    if host.tool("vagrant") is None:
        return failed("not found: vagrant", fix.install(host, "vagrant"), _PAGE)
    output = host.output("vagrant", "--version").strip()
    version = numbers(output)
    if not version:
        return warning(f"unknown version: {output or 'no output'}", "vagrant --version")
    seen = dotted(version)
    if version >= _VAGRANT:
        return ok(seen)
    return failed(f"{seen}, older than {dotted(_VAGRANT)}", fix.install(host, "vagrant"), _PAGE)


def python_vagrant(host: Host, subject: Subject) -> Finding:
    version = host.package("python-vagrant")
    if version is None:
        return failed("not installed: python-vagrant", fix.install_python(_PYTHON_VAGRANT))
    if numbers(version)[:2] != (1, 0):
        return failed(f"{version}, but halab needs 1.0", fix.install_python(_PYTHON_VAGRANT))
    problem = host.import_problem("vagrant")
    if problem:
        again = f"--force-reinstall {_PYTHON_VAGRANT}"
        return failed(f"{version} is installed but cannot be imported: {problem}", fix.install_python(again))
    return ok(version)


def plugin(host: Host, subject: Subject) -> Finding:
    """The plugin is installed, and works with the installed Vagrant."""
    if host.tool("vagrant") is None:
        return skipped("not checked: vagrant is missing")
    installed = re.search(
        r"^vagrant-libvirt \(([\d.]+)(?:, (\w+))?", host.output("vagrant", "plugin", "list"), re.MULTILINE
    )
    if installed is None:
        return lacking(subject, "not installed: vagrant-libvirt", *_install(host))
    version = numbers(installed[1])
    tool = numbers(host.output("vagrant", "--version"))
    seen = f"{installed[1]} with Vagrant {dotted(tool) or 'of an unknown version'}"
    if version < _PLUGIN:
        return lacking(subject, f"{installed[1]}, older than {dotted(_PLUGIN)}", *_install(host))
    # a plugin of the system is a package of the distribution
    if installed[2] == "system" and not _is_of_hashicorp(host):
        return ok(f"{seen}, both from this distribution")
    if tool <= _LAST_BEFORE_NEW_RUBY:
        return ok(seen)
    if tool < _VAGRANT_ELSEWHERE:
        return warning(
            f"{seen}: use packages of one distribution for both, or Vagrant {dotted(_VAGRANT_ELSEWHERE)} or newer",
            fix.install(host, "vagrant"),
            _PAGE,
        )
    if version < _PLUGIN_ELSEWHERE:
        return lacking(
            subject,
            f"{seen}, which needs {dotted(_PLUGIN_ELSEWHERE)}",
            f"{_INSTALL} --plugin-version {dotted(_PLUGIN_ELSEWHERE)}",
        )
    return ok(seen)


def _install(host: Host) -> list[str]:
    """A distribution's plugin works with its own Vagrant. For any other Vagrant, build the plugin as a gem."""
    as_gem = fix.install(host, "build-essential", "libvirt-dev", "pkg-config", then=_INSTALL)
    if _is_of_hashicorp(host) or fix.distribution(host).lacks("vagrant-libvirt"):
        return [as_gem, _LENIENT]
    return [fix.install(host, "vagrant-libvirt"), as_gem]


def _is_of_hashicorp(host: Host) -> bool:
    return host.exists(_RUBY_OF_HASHICORP)


CHECKS = (
    Check("vagrant", "Vagrant creates and removes the machines", vagrant, pace=Pace.QUICK),
    Check("python-vagrant", "halab talks to Vagrant through it; later versions hide Vagrant's failures", python_vagrant,
          pace=Pace.QUICK),
    Check("vagrant-libvirt", "Vagrant creates virtual machines with this plugin", plugin, LIBVIRT_ONLY,
          runs_at_up=True),
)  # fmt: skip
