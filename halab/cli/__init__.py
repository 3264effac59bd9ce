"""The command line: parse, call, print. The only place where errors are shown and become exit codes."""

from __future__ import annotations

import errno
import importlib
import signal
import sys
import time
import traceback
from types import FrameType

import click

from halab import __version__, files, sudo
from halab.cli import streams
from halab.cli.console import echo
from halab.cli.options import CommandGroup
from halab.errors import ExitCode, HalabError
from halab.printable import brief

# Command → module. A module is imported only when its command runs, so that `halab --help` stays fast.
_COMMANDS = {
    "init": "lab",
    "doctor": "doctor",
    "render": "lab",
    "up": "lab",
    "status": "lab",
    "ssh": "access",
    "kubectl": "access",
    "kubeconfig": "access",
    "logs": "access",
    "stop": "lab",
    "start": "lab",
    "scale": "scale",
    "upgrade": "upgrade",
    "snapshot": "snapshot",
    "reset": "snapshot",
    "scenarios": "scenario",
    "run": "run",
    "prove": "run",
    "compare": "compare",
    "matrix": "matrix",
    "soak": "soak",
    "shrink": "shrink",
    "bugs": "bugs",
    "bisect": "bisect",
    "bisect-step": "bisect_step",
    "drill": "drill",
    "gameday": "gameday",
    "watch": "watch",
    "serve": "serve",
    "faults": "fault",
    "inject": "fault",
    "heal": "fault",
    "report": "scenario",
    "bounds": "bounds",
    "history": "history",
    "pack": "archive",
    "replay": "archive",
    "down": "lab",
    "list": "inventory",
    "gc": "inventory",
    "bundle": "bundle",
    "box": "box",
    "schema": "lab",
    "completion": "access",
}

# Signals that arrive within this time of each other count as one event.
_ONE_EVENT_SECONDS = 1.0


class Interrupted(KeyboardInterrupt):
    """SIGTERM or SIGHUP. Ends a command as Ctrl-C does: faults are healed on the way out."""


class _Commands(CommandGroup):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"halab.cli.{_COMMANDS[name]}")
        command = getattr(module, f"{name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            import difflib

            matches = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if not matches:
                raise
            raise click.UsageError(
                f"no such command: {args[0]}; did you mean {matches[0]}?", context
            ) from error


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, "--version", message="halab %(version)s")
@click.option("--debug", is_flag=True, help="Show the Python traceback of an error.")
def cli(debug: bool) -> None:
    """Build a highly available Kubernetes control plane on this machine and break it on purpose.

    \b
    First steps:
      halab init             Write a lab.yml
      halab doctor           Check whether this host can run the lab
      halab up               Build three control planes behind a load balancer
      halab run --tag first  Break them and report what a client saw
      halab down             Remove the lab; recorded runs stay
    """


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code (see ExitCode).

    Without `argv`, run as the whole process: set up streams and signal handlers, and exit with the code.
    """
    if argv is not None:
        return _run(argv)
    streams.use_utf8()
    streams.protect()
    _take_signals()
    code = _run(sys.argv[1:])
    if sudo.caller():
        _give_back()
    sys.exit(_code_with_output(code))


def _give_back() -> None:
    """Give folders that every command shares to the user who called sudo: the next one may run without sudo."""
    # imported only here: `halab --help` needs none of them
    from halab.images import cache
    from halab.machines import vagrant
    from halab.machines.host import allocation

    sudo.give_back([cache.folder(), allocation.state_folder(), vagrant.home()])


def _run(arguments: list[str]) -> int:
    try:
        result = cli.main(arguments, prog_name="halab", standalone_mode=False)
        return result if isinstance(result, int) else ExitCode.PASSED
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        echo("\nhalab: interrupted", err=True)
        return ExitCode.INTERRUPTED
    except HalabError as error:
        return _show(error, arguments)
    except SystemExit as end:
        # click turns every broken pipe into SystemExit; broken pipes of our own output are caught in `streams`
        if isinstance(end.__context__, OSError):
            return _show_defect(end.__context__, arguments)
        return end.code if isinstance(end.code, int) else ExitCode.PASSED
    except Exception as error:
        return _show_defect(error, arguments)


def _code_with_output(code: int) -> int:
    """The code, or ExitCode.ERROR if data for standard output was lost while its reader was still there."""
    lost = streams.lost_data()
    if lost is None or code == ExitCode.INTERRUPTED:
        return code
    reason = "it is closed" if lost.errno == errno.EBADF else (lost.strerror or str(lost)).lower()
    echo(f"error: cannot write to standard output: {reason}", err=True)
    return ExitCode.ERROR


def _show(error: HalabError, arguments: list[str]) -> int:
    if "--debug" in arguments:
        _show_traceback(error)
    echo(f"error: {brief(error.message)}", err=True)
    if error.hint:
        echo(f"\nhint: {brief(error.hint)}", err=True)
    return error.exit_code


def _show_defect(error: Exception, arguments: list[str]) -> int:
    """Report an unforeseen exception: an OSError as a plain message, any other as an internal error."""
    if isinstance(error, OSError) and error.strerror and "--debug" not in arguments:
        file = f": {error.filename}" if error.filename else ""
        echo(brief(f"error: {error.strerror.lower()}{file}"), err=True)
        if hint := files.take_over_hint(error):
            echo(f"\nhint: {brief(hint)}", err=True)
        return ExitCode.ERROR
    if "--debug" in arguments:
        _show_traceback(error)
    echo(f"error: internal error: {brief(f'{type(error).__name__}: {error}')}", err=True)
    if "--debug" not in arguments:
        echo(
            "\nhint: run the command again as `halab --debug …` and report the bug with its output", err=True
        )
    return ExitCode.ERROR


def _show_traceback(error: Exception) -> None:
    echo("".join(traceback.format_exception(error)), err=True, nl=False)


def _take_signals() -> None:
    """Make SIGTERM and SIGHUP end a command as Ctrl-C does. An ignored signal (SIGHUP under nohup) stays so."""
    state = _Signals()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, state.interrupt)


class _Signals:
    """Interrupts a command once. Later signals must not stop a heal in progress, except for a second Ctrl-C.

    One event can send several signals: when a terminal hangs up, both the kernel and the shell send SIGHUP.
    """

    def __init__(self) -> None:
        self._last: float | None = None

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        last, self._last = self._last, time.monotonic()
        if last is not None and (number != signal.SIGINT or self._last - last < _ONE_EVENT_SECONDS):
            return
        raise Interrupted(signal.Signals(number).name) if number != signal.SIGINT else KeyboardInterrupt
