"""`halab drill`: a hidden break, a learner, a fair grade."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.complete import drill_names
from halab.cli.console import echo
from halab.cli.drill_benchmark import benchmark
from halab.cli.drill_prove import prove, reset_named, seed_option
from halab.cli.options import CommandGroup, file_option, json_option, lab_dir_of, print_json
from halab.errors import ExitCode, HalabError
from halab.printable import counted

if TYPE_CHECKING:
    from halab.drill.course import Course
    from halab.drill.play import View
    from halab.lifecycle.lab import LabDir


@click.group("drill", cls=CommandGroup)
def drill_command() -> None:
    """Practise on a lab that halab breaks in secret, and get a grade for the repair.

    A drill restores the state that `halab up` saved, breaks the lab, and tells you the symptoms and the tasks. Work on
    the machines with `halab ssh`, `halab kubectl` and `halab logs`. Nothing is healed while the drill is
    running, and commands that would undo or reveal the faults are refused. When the drill ends, halab restores the lab.

    \b
    Example:
      halab drill list
      halab drill start unreachable-api
      halab drill check
    """


@drill_command.command("list")
@file_option
@json_option
def list_drills(file: Path, as_json: bool) -> None:
    """List the drills by course, with your best result in this lab.

    The courses, and the drills in each, are in learning order. While the lab is up, drills that need another lab are
    marked.

    \b
    Example:
      halab drill list
    """
    from halab.cli import drill_view
    from halab.drill import attempt, course
    from halab.machines.work import Work

    courses, outcomes = course.courses(), attempt.history(Work.beside(file))
    lacking = _lacking(file, courses)
    if as_json:
        print_json(drill_view.courses_as_data(courses, outcomes, lacking))
        return
    echo("\n".join(drill_view.course_lines(courses, outcomes, lacking)))
    following = course.next_drill(courses, outcomes, lacking)
    if following:
        echo(f"\nnext: `halab drill start {following}`", err=True)


def _lacking(file: Path, courses: Iterable[Course]) -> dict[str, list[str]]:
    """Why the lab cannot run some drills, by their name. Without a lab, nothing is known."""
    from halab.drill import requirements
    from halab.lifecycle import lab as labs

    try:
        lab = labs.existing(lab_dir_of(file))
    except HalabError:
        return {}
    lacking = {
        each.name: requirements.lacking(lab, each.drill) for known in courses for each in known.drills
    }
    return {name: reasons for name, reasons in lacking.items() if reasons}


@drill_command.command("start")
@file_option
@click.argument("name", shell_complete=drill_names)
@seed_option
@json_option
def start(file: Path, name: str, seed: int | None, as_json: bool) -> None:
    """Restore the lab, break it in secret, and show the situation and the tasks.

    NAME is a drill of the list, or the path of a drill file. The lab loses what you changed since `halab up`.

    \b
    Example:
      halab drill start find-the-dead-member
      halab drill start ./mine.yml --seed 7
    """
    from halab.cli.console import progress
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    with reset_named(lab_dir):
        view = play.start(lab_dir, name, progress(), seed=seed)
    _show_start(lab_dir, view, as_json=as_json)
    if not as_json:
        _name_needs(lab_dir, view)
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
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view = play.status(lab_dir)
    _show_start(lab_dir, view, as_json=as_json)


@drill_command.command("hint")
@file_option
@json_option
def hint(file: Path, as_json: bool) -> None:
    """Show the next hint. It costs points, or is free after some time: see `halab drill status`.

    \b
    Example:
      halab drill hint
    """
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view, shown = play.hint(lab_dir)
    lines = [play.text_filler(lab_dir, view.attempt)(shown.text), f"({counted(shown.cost, 'point')})"]
    _show(lab_dir, view, lines, as_json=as_json)


# an argument is refused below, with the command that its user means
@drill_command.command("check", context_settings={"allow_extra_args": True})
@click.pass_context
@file_option
@click.option(
    "--final", "is_final", is_flag=True, help="End the drill with the points that are reached now."
)
@json_option
def check(context: click.Context, file: Path, is_final: bool, as_json: bool) -> int:
    """Check the tasks and show the state of each.

    This is for learners; authors check a drill file with `halab drill prove FILE`.
    If every task is done or has no tries left, or if something happened that must not happen, the drill ends, and halab
    restores the lab. Exit code: 0 the drill is passed, 1 it failed or a task is not done yet, 3 what is left could not
    be checked, or the drill could not be graded.

    \b
    Example:
      halab drill check
      halab drill check --final
    """
    from halab.cli import drill_view
    from halab.cli.console import progress
    from halab.drill import play

    if context.args:
        raise click.UsageError(
            "a check has no arguments: it is about the drill that is running; "
            f"`halab drill prove {context.args[0]}` checks a drill file"
        )
    lab_dir = lab_dir_of(file)
    view = play.check(lab_dir, progress(), is_final=is_final)
    fill = play.text_filler(lab_dir, view.attempt)
    lines = chain(
        drill_view.task_lines(view, fill),
        drill_view.violation_lines(view),
        [drill_view.score_line(view.grade)],
    )
    if view.outcome:
        _show_end(lab_dir, view, chain(lines, [""], drill_view.ending(view, fill)), as_json=as_json)
    else:
        _show(lab_dir, view, lines, as_json=as_json)
    return _code(view)


# an answer may be a flag of a component, such as --etcd-servers
@drill_command.command("answer", context_settings={"ignore_unknown_options": True})
@file_option
@click.argument("task")
@click.argument("text")
@json_option
def answer(file: Path, task: str, text: str, as_json: bool) -> int:
    """Answer the question of a task. Exit code: 0 right, 1 wrong.

    The answer may begin with `-`. If it is an option of this command, write `--` before TASK.

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
        echo("all tasks are done or have no tries left: `halab drill check` ends the drill", err=True)
    return ExitCode.PASSED if is_right else ExitCode.FAILED


@drill_command.command("give-up")
@file_option
@json_option
def give_up(file: Path, as_json: bool) -> None:
    """End the drill, explain its solution, and restore the lab.

    \b
    Example:
      halab drill give-up
    """
    from halab.cli import drill_view
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    view = play.give_up(lab_dir)
    fill = play.text_filler(lab_dir, view.attempt)
    lines = chain(drill_view.ending(view, fill), drill_view.solution(view, fill))
    _show_end(lab_dir, view, lines, as_json=as_json)


@drill_command.command("reset")
@file_option
def reset(file: Path) -> None:
    """End the drill without a grade, and restore the lab. Use it also after an interruption.

    \b
    Example:
      halab drill reset
    """
    from halab.cli.console import progress
    from halab.drill import play

    lab_dir = lab_dir_of(file)
    with reset_named(lab_dir):
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


drill_command.add_command(prove)
drill_command.add_command(benchmark)


def _show_start(lab_dir: LabDir, view: View, *, as_json: bool) -> None:
    from halab.cli import drill_view
    from halab.drill import play

    lines = drill_view.start_lines(view, play.text_filler(lab_dir, view.attempt))
    _show(lab_dir, view, lines, as_json=as_json)


def _show(lab_dir: LabDir, view: View, lines: Iterable[str], *, as_json: bool) -> None:
    from halab.drill import briefing, play

    if as_json:
        print_json(briefing.as_data(view, play.text_filler(lab_dir, view.attempt)))
    else:
        echo("\n".join(lines))


def _show_end(lab_dir: LabDir, view: View, lines: Iterable[str], *, as_json: bool) -> None:
    """Show how an attempt ended, and restore the lab. Whatever goes wrong, the command that restores it is named."""
    from halab.cli.console import progress
    from halab.drill import play

    with reset_named(lab_dir):
        _show(lab_dir, view, lines, as_json=as_json)
        play.restore(lab_dir, progress())


def _name_needs(lab_dir: LabDir, view: View) -> None:
    """Name the drills that should have come before. A history that cannot be read does not stop the drill."""
    from halab.drill import attempt, course
    from halab.errors import Corrupted

    try:
        passed = course.passed_in(attempt.history(lab_dir.work))
    except Corrupted:
        return
    missing = [name for name in view.drill.needs if name not in passed]
    if missing:
        echo(f"this drill is easier after {', '.join(missing)}", err=True)


def _code(view: View) -> ExitCode:
    from halab.cli.verdicts import exit_code

    if view.outcome:
        return exit_code([str(view.outcome.verdict)])
    states = {str(task.state) for task in view.grade.tasks}
    # if all tasks are done and the drill goes on, something that fails it could not be checked
    is_unknown = "unchecked" in states or view.grade.is_complete
    return ExitCode.ERROR if is_unknown and "not-yet" not in states else ExitCode.FAILED
