"""`halab serve`: the live view of a lab, its drill and its game day in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from halab.cli.console import echo

# A fixed port, so that a page that is open finds a server that was started again.
_PORT = 8765


@click.command("serve")
@click.option(
    "-f", "--file", "files", type=click.Path(path_type=Path), default=["lab.yml"], show_default=False,
    multiple=True, help="Use this lab file (repeatable).  [default: lab.yml]",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True,
    help="Use this port of the loopback address; with 0, the host chooses one.",
)  # fmt: skip
@click.option(
    "--trainer", "with_trainer", is_flag=True,
    help="Also show a page for trainers: what is hidden, and controls for drills, game days and faults.",
)  # fmt: skip
def serve_command(files: tuple[Path, ...], port: int, with_trainer: bool) -> None:
    """Show the lab, and its drill or game day, in a browser.

    The page shows what `halab watch` shows, and while a drill is running also its situation, tasks, hints and clock.
    During a game day, it shows the clock and the stop conditions.
    The command prints an address for each lab. The address contains a secret token: everybody who has it can open the
    page from this host. The lab may go down and come up again while the command runs. Press Ctrl-C to stop.

    \b
    Example:
      halab serve
      halab serve --trainer -f anna/lab.yml -f ben/lab.yml
    """
    from halab.cli import Interrupted
    from halab.serve.server import serving

    try:
        with serving(files, port, _say, with_trainer=with_trainer) as running:
            for name, access in running.site.lab_access.items():
                echo(f"lab {name}: {access.url(running.origin)}")
            if running.site.trainer:
                echo(f"trainer: {running.site.trainer.url(running.origin)}")
            echo("press Ctrl-C to stop", err=True)
            running.wait()
    except Interrupted:
        raise
    except KeyboardInterrupt:
        # Ctrl-C is the normal way to stop
        echo(err=True)


def _say(text: str) -> None:
    echo(text, err=True)
