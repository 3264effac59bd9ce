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

from halab import __version__
from halab.cli import streams
from halab.cli.console import echo
from halab.errors import HalabError
from halab.printable import brief

# Command → module. Loaded when asked for, so that `halab --help` need not wait for what one command needs.
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
    "snapshot": "snapshot",
    "reset": "snapshot",
    "scenarios": "scenario",
    "run": "run",
    "prove": "run",
    "watch": "watch",
    "faults": "fault",
    "inject": "fault",
    "heal": "fault",
    "report": "scenario",
    "down": "lab",
    "list": "inventory",
    "gc": "inventory",
    "bundle": "bundle",
    "box": "box",
    "schema": "lab",
    "completion": "access",
}

_INTERRUPTED = 130
_ERROR = 3
# Signals that come so close after each other are of one event.
_ONE_EVENT_SECONDS = 1.0


class Interrupted(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends a command the way Ctrl-C does, healing on the way out."""


class _Commands(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"halab.cli.{_COMMANDS[name]}")
        command = getattr(module, f"{name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(
                f"no such command: {args[0]}; did you mean {near[0]}?", context
            ) from error


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, "--version", message="halab %(version)s")
@click.option("--debug", is_flag=True, help="Show where in halab an error came from.")
def cli(debug: bool) -> None:
    """Build a highly available Kubernetes control plane on this machine, and break it on purpose.

    \b
    Begin with:
      halab init       write a lab.yml
      halab doctor     see whether this host can run it
      halab up         three control planes behind a load balancer
      halab run --all  break them, and see what a client saw
      halab down       remove everything
    """


def main(argv: list[str] | None = None) -> int:
    """Run a command; its exit code: 0 well, 1 a scenario failed, 2 usage, 3 error, 130 interrupted.

    Without `argv` it is the whole process: its streams, its signals and its exit are halab's.
    """
    if argv is not None:
        return _run(argv)
    streams.use_utf8()
    streams.protect()
    _take_signals()
    sys.exit(_code_with_output(_run(sys.argv[1:])))


def _run(arguments: list[str]) -> int:
    try:
        result = cli.main(arguments, prog_name="halab", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        echo("\nhalab: interrupted", err=True)
        return _INTERRUPTED
    except HalabError as error:
        return _show(error, arguments)
    except SystemExit as end:
        # click makes this of any broken pipe; that of an output never comes so far
        if isinstance(end.__context__, OSError):
            return _show_defect(end.__context__, arguments)
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        return _show_defect(error, arguments)


def _code_with_output(code: int) -> int:
    """3 where data was lost on the way to standard output, though its reader is there."""
    lost = streams.lost_data()
    if lost is None or code == _INTERRUPTED:
        return code
    why = "it is closed" if lost.errno == errno.EBADF else (lost.strerror or str(lost)).lower()
    echo(f"error: cannot write to standard output: {why}", err=True)
    return _ERROR


def _show(error: HalabError, arguments: list[str]) -> int:
    if "--debug" in arguments:
        _show_where(error)
    echo(f"error: {brief(error.message)}", err=True)
    if error.hint:
        echo(f"\nhint: {brief(error.hint)}", err=True)
    return error.exit_code


def _show_defect(error: Exception, arguments: list[str]) -> int:
    """Something that halab did not foresee: a defect of halab, and said to be one."""
    if isinstance(error, OSError) and error.strerror and "--debug" not in arguments:
        where = f": {error.filename}" if error.filename else ""
        echo(brief(f"error: {error.strerror.lower()}{where}"), err=True)
        return _ERROR
    if "--debug" in arguments:
        _show_where(error)
    what = brief(f"{type(error).__name__}: {error}")
    echo(f"error: halab failed in a way it should not: {what}", err=True)
    if "--debug" not in arguments:
        echo("\nhint: please report it with the output of the same command after `halab --debug`", err=True)
    return _ERROR


def _show_where(error: Exception) -> None:
    echo("".join(traceback.format_exception(error)), err=True, nl=False)


def _take_signals() -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does, unless they are ignored, as SIGHUP is under nohup."""
    state = _Signals()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, state.interrupt)


class _Signals:
    """Ends a command once. What follows may not stop a heal that is under way, except for a second Ctrl-C.

    One event sends several: a terminal that hangs up does so through the kernel and through the shell.
    """

    def __init__(self) -> None:
        self._last: float | None = None

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        last, self._last = self._last, time.monotonic()
        if last is not None and (number != signal.SIGINT or self._last - last < _ONE_EVENT_SECONDS):
            return
        raise Interrupted(signal.Signals(number).name) if number != signal.SIGINT else KeyboardInterrupt
