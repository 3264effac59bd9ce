"""Verbs that give a person a way into the lab."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from halab.cli.complete import machines
from halab.cli.console import echo, echo_as_it_is
from halab.cli.lab import file_option, place_of

_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("ssh", context_settings=_PASS_ON)
@file_option
@click.argument("machine", shell_complete=machines)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh_command(file: Path, machine: str, command: tuple[str, ...]) -> None:
    """Open a shell on a machine, or run a command there.

    \b
    Example:
      halab ssh cp2
      halab ssh lb1 -- sudo journalctl -u haproxy -n 20
    """
    from halab.lifecycle import access
    from halab.lifecycle import lab as labs

    place = place_of(file)
    labs.require_machine(labs.existing(place), machine)
    words = command[1:] if command[:1] == ("--",) else command
    _become(access.guests(place).shell_argv(machine, words))


@click.command("kubectl", context_settings=_PASS_ON)
@file_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl_command(file: Path, arguments: tuple[str, ...]) -> int | None:
    """Run kubectl against the lab, through its load balancer.

    \b
    Example:
      halab kubectl -- get pods -n kube-system
    """
    from halab import process
    from halab.lifecycle import access
    from halab.lifecycle import lab as labs

    place = place_of(file)
    labs.existing(place)
    kubeconfig = access.kubeconfig(place)
    words = arguments[1:] if arguments[:1] == ("--",) else arguments
    argv = [str(access.kubectl(place)), *words]
    remote = labs.remote_of(place.written)
    if remote is None:
        os.environ["KUBECONFIG"] = str(kubeconfig)
        _become(argv)
        return None
    # the way there is ours, and must outlive kubectl
    return process.attached(argv, {"KUBECONFIG": str(access.tunnelled_kubeconfig(place, remote))})


@click.command("kubeconfig")
@file_option
def kubeconfig_command(file: Path) -> None:
    """Print the path of the lab's kubeconfig.

    \b
    Example:
      export KUBECONFIG=$(halab kubeconfig)
    """
    from halab.lifecycle import access

    place = place_of(file)
    echo_as_it_is(access.kubeconfig(place))
    way = access.way_in(place)
    if way:
        echo(way, err=True)


@click.command("logs")
@file_option
@click.argument("machine", required=False, shell_complete=machines)
@click.option(
    "-u", "--unit", help="A systemd unit (kubelet, containerd, haproxy …), or a static pod (etcd …)."
)
@click.option("-n", "--lines", default=100, show_default=True, help="How many lines from the end.")
def logs_command(file: Path, machine: str | None, unit: str | None, lines: int) -> None:
    """Show the log of a machine; without one, the logs of the last `halab up`.

    A terminal shows control characters as escapes such as \\x1b; a pipe or a file gets them as they were logged.

    \b
    Example:
      halab logs cp1 -u kubelet
      halab logs cp2 -u etcd
    """
    from halab.lifecycle import access, logs
    from halab.lifecycle import lab as labs

    place = place_of(file)
    if machine is None:
        for path, text in logs.of_up(place.work, lines):
            _show_log(f"==> {path} <==\n{text}\n")
        return
    labs.require_machine(labs.existing(place), machine)
    _show_log(logs.of_machine(access.guests(place), machine, unit, lines))


def _show_log(text: str) -> None:
    """On a terminal, what machines logged cannot steer it; a program that reads gets every byte."""
    if sys.stdout.isatty():
        echo(text, nl=False)
    else:
        echo_as_it_is(text, nl=False, color=True)


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Example:
      source <(halab completion bash)
    """
    from click.shell_completion import get_completion_class

    from halab.cli import cli

    found = get_completion_class(shell)
    assert found is not None
    echo_as_it_is(found(cli, {}, "halab", "_HALAB_COMPLETE").source())


def _become(argv: list[str]) -> None:
    """Let a tool take over the terminal, its signals and the exit code."""
    # Python ignores it, and what takes over would go on writing to a reader who has gone
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(argv[0], argv)
