"""`halab drill`: a hidden break, a learner, a fair grade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.complete import drill_names
from halab.cli.console import echo
from halab.cli.options import CommandGroup, file_option, json_option, lab_dir_of, print_json
from halab.errors import ExitCode, HalabError

if TYPE_CHECKING:
    from halab.cli.drill_view import Told
    from halab.drill.play import View
    from halab.drill.prove import Trial
    from halab.lifecycle.lab import LabDir

_seed_option = click.option(
    "--seed", type=click.IntRange(min=0), help="Use this seed to choose machines and values."
)


@click.group("drill", cls=CommandGroup)
def drill_command() -> None:
    """Practise on a lab that halab breaks in secret, and get a grade for the repair.

    A drill puts the lab back to the state that `halab up` saved, breaks it, and tells you the symptoms and the tasks.
    Work on the machines with `halab ssh`, `halab kubectl` and `halab logs`. Nothing is healed meanwhile, and commands
    that would tell of the break are refused. When the drill ends, the lab is put back.

    \b
    Example:
      halab drill list
      halab drill start wrong-door
      halab drill check
    """


@drill_command.command("list")
@file_option
@json_option
def list_drills(file: Path, as_json: bool) -> None:
    """List the drills, with your best result in this lab.

    \b
    Example:
      halab drill list
    """
    from halab.cli.console import table
    from halab.config.quantities import format_duration
    from halab.drill import attempt, library
    from halab.machines.work import Work

    outcomes = attempt.history(Work.beside(file))
    scripts = [library.find(name) for name in library.names()]
    scripts.sort(key=lambda each: (each.drill.category, each.drill.estimated_time))
    rows = [(each.name, each.drill, attempt.progress_of(outcomes, each.name)) for each in scripts]
    if as_json:
        print_json([
            {"name": name, "title": drill.title, "category": drill.category, "difficulty": str(drill.difficulty),
             "estimated_seconds": drill.estimated_time, "progress": progress}
            for name, drill, progress in rows
        ])  # fmt: skip
        return
    table(
        ["COURSE", "NAME", "DIFFICULTY", "TIME", "PROGRESS", "TITLE"],
        [
            (
                drill.category,
                name,
                drill.difficulty,
                format_duration(drill.estimated_time),
                progress,
                drill.title,
            )
            for name, drill, progress in rows
        ],
    )


@drill_command.command("start")
@file_option
@click.argument("name", shell_complete=drill_names)
@_seed_option
@json_option
def start(file: Path, name: str, seed: int | None, as_json: bool) -> None:
    """Put the lab back, break it in secret, and show the situation and the tasks.

    NAME is a drill of the list, or the path of a drill file. The lab loses what you changed since `halab up`.

    \b
    Example:
      halab drill start find-the-dead-member
      halab drill start ./mine.yml --seed 7
    """
    from halab.cli import drill_view
    from halab.cli.console import progress
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    with _reset_named(lab_dir):
        view = play.start(lab_dir, name, progress(), seed=seed)
    _show(lab_dir, view, drill_view.briefing(view, _told(lab_dir, view)), as_json=as_json)
    if not as_json:
        echo("check your work with `halab drill check`; `halab drill hint` helps", err=True)


@drill_command.command("status")
@file_option
@json_option
def status(file: Path, as_json: bool) -> None:
    """Show the situation, the tasks, the hints so far and the time. Nothing is checked.

    \b
    Example:
      halab drill status
    """
    from halab.cli import drill_view
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view = play.status(lab_dir)
    _show(lab_dir, view, drill_view.briefing(view, _told(lab_dir, view)), as_json=as_json)


@drill_command.command("hint")
@file_option
@json_option
def hint(file: Path, as_json: bool) -> None:
    """Show the next hint. It costs points.

    \b
    Example:
      halab drill hint
    """
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view, shown = play.hint(lab_dir)
    lines = [_told(lab_dir, view)(shown.text), f"({shown.cost} points)"]
    _show(lab_dir, view, lines, as_json=as_json)


@drill_command.command("check")
@file_option
@click.option(
    "--final", "is_final", is_flag=True, help="End the drill with the points that are reached now."
)
@json_option
def check(file: Path, is_final: bool, as_json: bool) -> int:
    """Check the tasks: done, not yet, or could not be asked.

    If every task is done or has no tries left, the drill ends, and the lab is put back. Exit code: 0 the drill is
    passed, 1 not yet or failed, 3 a task could not be asked.

    \b
    Example:
      halab drill check
      halab drill check --final
    """
    from halab.cli import drill_view
    from halab.cli.console import progress
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view = play.check(lab_dir, progress(), is_final=is_final)
    told = _told(lab_dir, view)
    lines = [*drill_view.task_lines(view, told), drill_view.score_line(view.grade)]
    if view.outcome:
        lines += ["", *drill_view.ending(view, told)]
    _show(lab_dir, view, lines, as_json=as_json)
    if view.outcome:
        _put_back(lab_dir)
    return _code(view)


@drill_command.command("answer")
@file_option
@click.argument("task")
@click.argument("text")
@json_option
def answer(file: Path, task: str, text: str, as_json: bool) -> int:
    """Answer the question of a task. Exit code: 0 right, 1 wrong.

    \b
    Example:
      halab drill answer leader cp2
    """
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view, is_right = play.answer(lab_dir, task, text)
    left = next(result.seen for result in view.grade.tasks if result.name == task)
    lines = ["right" if is_right else f"wrong; {left}"]
    _show(lab_dir, view, lines, as_json=as_json)
    if view.grade.is_complete and not as_json:
        echo("nothing is left to do: `halab drill check` ends the drill", err=True)
    return ExitCode.PASSED if is_right else ExitCode.FAILED


@drill_command.command("give-up")
@file_option
@json_option
def give_up(file: Path, as_json: bool) -> None:
    """End the drill, explain its solution, and put the lab back.

    \b
    Example:
      halab drill give-up
    """
    from halab.cli import drill_view
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view = play.give_up(lab_dir)
    told = _told(lab_dir, view)
    _show(lab_dir, view, [*drill_view.ending(view, told), *drill_view.solution(view, told)], as_json=as_json)
    _put_back(lab_dir)


@drill_command.command("reset")
@file_option
def reset(file: Path) -> None:
    """End the drill without a grade, and put the lab back. Also after an interruption.

    \b
    Example:
      halab drill reset
    """
    from halab.cli.console import progress
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    with _reset_named(lab_dir):
        play.reset(lab_dir, progress())


@drill_command.command("history")
@file_option
@json_option
def history(file: Path, as_json: bool) -> None:
    """List the drills that have ended in this lab.

    \b
    Example:
      halab drill history --json
    """
    from halab.cli import drill_view
    from halab.cli.console import table
    from halab.drill import attempt

    outcomes = attempt.history(lab_dir_of(file).work)
    if as_json:
        print_json([attempt.as_data(outcome) for outcome in outcomes])
        return
    table(
        ["STARTED", "DRILL", "VERDICT", "SCORE", "TIME", "HINTS", "ENDED"],
        [drill_view.history_row(outcome) for outcome in outcomes],
    )


@drill_command.command("prove")
@file_option
@click.argument("name", shell_complete=drill_names)
@_seed_option
@json_option
def prove(file: Path, name: str, seed: int | None, as_json: bool) -> int:
    """Prove a drill, for its author: its tasks are open after the break, its solution passes, wrong attempts fail.

    The lab is put back and broken anew for each attempt. Exit code: 0 the drill is good, 1 it is not, 3 error.

    \b
    Example:
      halab drill prove ./mine.yml
    """
    from halab.cli.console import progress
    from halab.cli.verdicts import exit_code
    from halab.drill import prove as proving

    lab_dir = lab_dir_of(file)
    trials: list[Trial] = []
    with _reset_named(lab_dir):
        for trial in proving.prove(lab_dir, name, progress(), seed=seed):
            trials.append(trial)
            if not as_json:
                echo("\n".join(_trial_lines(trial)))
    if as_json:
        print_json([
            {"name": trial.name, "verdict": str(trial.verdict), "problem": trial.problem, "score": trial.grade.score,
             "tasks": {task.name: {"state": str(task.state), "seen": task.seen} for task in trial.grade.tasks}}
            for trial in trials
        ])  # fmt: skip
    return exit_code([str(trial.verdict) for trial in trials])


def _trial_lines(trial: Trial) -> Iterator[str]:
    yield f"{'✗' if trial.problem else '✓'} {trial.name}: {trial.grade.score} %"
    if trial.problem:
        yield f"    {trial.problem}"
    for task in trial.grade.tasks:
        yield f"    {task.name}: {task.state}{f' ({task.seen})' if task.seen else ''}"


def _show(lab_dir: LabDir, view: View, lines: Iterable[str], *, as_json: bool) -> None:
    from halab.cli import drill_view

    if as_json:
        print_json(drill_view.as_data(view, _told(lab_dir, view)))
    else:
        echo("\n".join(lines))


def _told(lab_dir: LabDir, view: View) -> Told:
    from halab.drill import play

    return lambda text: play.told(lab_dir, view.attempt, text)


def _put_back(lab_dir: LabDir) -> None:
    from halab.cli.console import progress
    from halab.drill import play

    with _reset_named(lab_dir):
        play.put_back(lab_dir, progress())


@contextmanager
def _reset_named(lab_dir: LabDir) -> Iterator[None]:
    """If the command fails or is interrupted while the lab is not put back, name the command that does it."""
    try:
        yield
    except BaseException as error:
        is_named = isinstance(error, HalabError) and "halab drill reset" in (error.hint or "")
        if lab_dir.work.attempt.exists() and not is_named:
            echo("a drill is on; `halab drill reset` ends it and puts the lab back", err=True)
        raise


def _code(view: View) -> ExitCode:
    from halab.cli.verdicts import exit_code

    if view.outcome:
        return exit_code([str(view.outcome.verdict)])
    states = {str(task.state) for task in view.grade.tasks}
    return ExitCode.FAILED if "not-yet" in states or "not-asked" not in states else ExitCode.ERROR
