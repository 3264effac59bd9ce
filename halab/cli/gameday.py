"""`halab gameday`: several breaks while a team works on the lab, and a report for the debrief."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo
from halab.cli.options import FileGroup, file_option, json_option, lab_dir_of, print_json

if TYPE_CHECKING:
    from halab.gameday.book import Kind
    from halab.gameday.library import GameDayScript

_PLAY = "play"
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Use this seed for the breaks, their times and random targets.",
)
by_option = click.option("--by", metavar="NAME", help="Use this name instead of the user's name.")


@click.group("gameday", cls=FileGroup, for_files=_PLAY)
def gameday_command() -> None:
    """Run several breaks while a team works on the lab, and write a report for the debrief.

    A game day is a file. It has breaks, at fixed times or drawn by a seed, and conditions that stop the game day. While
    it is running, the team works with `halab status`, `halab ssh` and `halab kubectl`, which do not show open faults.
    `halab gameday FILE` is short for `halab gameday play FILE`. `halab serve --trainer` leads a game day in a browser.

    \b
    Example:
      halab gameday check storm.yml --seed 7
      halab gameday storm.yml --seed 7
      halab gameday note "cp2 does not answer, I restart etcd there"
    """


@gameday_command.command(_PLAY)
@file_option
@click.argument("day", metavar="FILE", type=click.Path(path_type=Path))
@seed_option
@json_option
def play(file: Path, day: Path, seed: int | None, as_json: bool) -> int:
    """Run a game day to its end, heal everything, and report what clients saw.

    Each break is healed at its time, unless the team asks earlier (`halab gameday heal`). If an outage is longer than
    its bound, or an acknowledged write is lost, halab heals everything at once, and the game day has failed. Ctrl-C
    heals everything, too. Exit code: 0 passed, 1 failed, 3 error, or this lab cannot play it, 130 interrupted.

    \b
    Example:
      halab gameday play storm.yml
      halab gameday play storm.yml --seed 7 --json
    """
    from halab.cli.console import progress
    from halab.cli.fault import print_open_faults
    from halab.cli.verdicts import as_data, exit_code, print_result
    from halab.gameday import library
    from halab.gameday.play import play as play_it
    from halab.scenario.record.folder import RunFolder
    from halab.scenario.verdict.result import Result

    seed = secrets.randbelow(10**6) if seed is None else seed
    found, lab_dir = library.find(day, seed), lab_dir_of(file)

    def show(folder: RunFolder, result: Result) -> None:
        if as_json:
            print_json({**as_data(folder, result), "log": json.loads(folder.log.read_text())["log"]})
        else:
            print_result(folder, result)

    for line in _announced(found, seed):
        echo(line, err=True)
    try:
        result = play_it(lab_dir, found, progress(), seed=seed, on_result=show)
    except KeyboardInterrupt:
        print_open_faults(lab_dir)
        raise
    return exit_code([str(result.verdict)])


@gameday_command.command("check")
@click.argument("day", metavar="FILE", type=click.Path(path_type=Path))
@seed_option
@json_option
def check(day: Path, seed: int | None, as_json: bool) -> None:
    """Check a game day file, and print the breaks and times that a seed chooses. No lab is needed.

    \b
    Example:
      halab gameday check storm.yml --seed 7
    """
    from halab.cli.console import table
    from halab.config.quantities import format_duration
    from halab.gameday import library, notice

    seed = secrets.randbelow(10**6) if seed is None else seed
    found = library.find(day, seed)
    if as_json:
        print_json(notice.of(found, seed).as_data())
        return
    for line in _announced(found, seed):
        echo(line)
    table(
        ["BREAK", "BEGINS AFTER", "HEALED AFTER", "FAULTS"],
        [
            (
                planned.name,
                format_duration(planned.begins) or "0s",
                "the end" if planned.healed is None else format_duration(planned.healed),
                ", ".join(f"{each.step.fault} on {each.step.target}" for each in planned.injects),
            )
            for planned in sorted(found.plan.breaks, key=lambda planned: planned.begins)
        ],
    )


@gameday_command.command("note")
@file_option
@click.argument("text", nargs=-1, required=True)
@by_option
def note(file: Path, text: tuple[str, ...], by: str | None) -> None:
    """Write a note into the log of the game day that is running, with your name and the time.

    \b
    Example:
      halab gameday note "the load balancer has two backends"
      halab gameday note --by anna "I call the storage team"
    """
    from halab.gameday.book import Kind

    _tell(file, Kind.NOTE, " ".join(text), by)


@gameday_command.command("heal")
@file_option
@click.argument("name", required=False, default="")
@by_option
def heal(file: Path, name: str, by: str | None) -> None:
    """Heal all open breaks of the game day that is running, or the one with this name.

    The log says who asked. The heal begins within a second, or after the inject or heal that is running.

    \b
    Example:
      halab gameday heal
      halab gameday heal slow-disk
    """
    from halab.gameday.book import Kind

    _tell(file, Kind.HEAL, name, by)


@gameday_command.command("end")
@file_option
@by_option
def end(file: Path, by: str | None) -> None:
    """End the running game day before its time: heal everything, and write the report.

    \b
    Example:
      halab gameday end
    """
    from halab.gameday.book import Kind

    _tell(file, Kind.END, "", by)


def _tell(file: Path, kind: Kind, text: str, by: str | None) -> None:
    from halab.gameday import book

    entry = book.write(lab_dir_of(file).work, kind, text, by)
    echo(f"{entry.wall[11:19]} {entry.by}: {f'{kind} {entry.text}'.strip()}", err=True)


def _announced(found: GameDayScript, seed: int) -> Iterator[str]:
    """What the trainer reads at the start. The names of the breaks are left out: the team may see the terminal."""
    from halab.config.quantities import format_duration
    from halab.printable import counted

    stop, breaks = found.day.stop, counted(len(found.plan.breaks), "break")
    stops = [f"an outage of {probe} above {format_duration(bound)}" for probe, bound in stop.outage.items()]
    stops += ["a lost acknowledged write"] if stop.lost_write else []
    yield f"{found.day.title}: {breaks} in {format_duration(found.day.lasts)}, seed {seed}"
    yield f"what stops it: {', or '.join(stops)}"
