"""Commands that give a person access to the lab: ssh, kubectl, kubeconfig, logs; and shell completion."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from halab.cli.complete import machines
from halab.cli.console import echo, echo_raw
from halab.cli.options import file_option, lab_dir_of

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

    lab_dir = lab_dir_of(file)
    machine = labs.machine_called(labs.existing(lab_dir), machine)
    words = command[1:] if command[:1] == ("--",) else command
    _exec(access.guests(lab_dir).shell_argv(machine, words))


@click.command("kubectl", context_settings=_PASS_ON)
@file_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl_command(file: Path, arguments: tuple[str, ...]) -> int | None:
    """Run kubectl against the lab, through its endpoint.

    \b
    Example:
      halab kubectl -- get pods -n kube-system
    """
    from halab import process
    from halab.lifecycle import access
    from halab.lifecycle import lab as labs

    lab_dir = lab_dir_of(file)
    labs.existing(lab_dir)
    remote = labs.remote_of(lab_dir)
    kubeconfig = (
        access.tunnelled_kubeconfig(lab_dir, remote) if remote else access.kubeconfig_of_now(lab_dir)
    )
    words = arguments[1:] if arguments[:1] == ("--",) else arguments
    argv = [str(access.kubectl(lab_dir)), *words]
    if remote is None:
        os.environ["KUBECONFIG"] = str(kubeconfig)
        _exec(argv)
        return None
    # the tunnel belongs to this process, so it must stay alive while kubectl runs
    return process.attached(argv, {"KUBECONFIG": str(kubeconfig)})


@click.command("kubeconfig")
@file_option
def kubeconfig_command(file: Path) -> None:
    """Print the path of the lab's kubeconfig.

    \b
    Example:
      export KUBECONFIG=$(halab kubeconfig)
    """
    from halab.lifecycle import access

    lab_dir = lab_dir_of(file)
    echo_raw(access.kubeconfig_of_now(lab_dir))
    instructions = access.tunnel_instructions(lab_dir)
    if instructions:
        echo(instructions, err=True)


@click.command("logs")
@file_option
@click.argument("machine", required=False, shell_complete=machines)
@click.option(
    "-u", "--unit", help="Show only this systemd unit (kubelet, haproxy …) or static pod (etcd …)."
)
@click.option("-n", "--lines", default=100, show_default=True, help="Show this many lines from the end.")
def logs_command(file: Path, machine: str | None, unit: str | None, lines: int) -> None:
    """Show the log of a machine or, without a machine, the logs of the last `halab up`.

    On a terminal, control characters are shown as escapes such as \\x1b. A pipe or a file gets the original bytes.

    \b
    Example:
      halab logs cp1 -u kubelet
      halab logs cp2 -u etcd
    """
    from halab.lifecycle import access, logs
    from halab.lifecycle import lab as labs

    lab_dir = lab_dir_of(file)
    if machine is None:
        for path, text in logs.of_up(lab_dir.work, lines):
            _show_log(f"==> {path} <==\n{text}\n")
        return
    machine = labs.machine_called(labs.existing(lab_dir), machine)
    _show_log(logs.of_machine(access.guests(lab_dir), machine, unit, lines))


def _show_log(text: str) -> None:
    """Escape control characters on a terminal, so that a log cannot control it. A program gets every byte."""
    if sys.stdout.isatty():
        echo(text, nl=False)
    else:
        echo_raw(text, nl=False, color=True)


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Example:
      source <(halab completion bash)
    """
    from click.shell_completion import get_completion_class

    from halab.cli import cli

    completion_class = get_completion_class(shell)
    assert completion_class is not None
    echo_raw(completion_class(cli, {}, "halab", "_HALAB_COMPLETE").source())


def _exec(argv: list[str]) -> None:
    """Replace this process by a tool, which gets the terminal, the signals and the exit code."""
    # Python ignores SIGPIPE, and the tool would inherit that and keep writing to a reader that is gone
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(argv[0], argv)
