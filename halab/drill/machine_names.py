"""The machines of a break in the texts and answers of its drill; each attempt has its own machines."""

from __future__ import annotations

from collections.abc import Callable

from halab.config import placeholders
from halab.config.drill import Drill
from halab.drill.attempt import Attempt


def answered_by_name(drill: Drill, attempt: Attempt) -> Drill:
    """The drill with the names of machines in its answers: `{broken.name}`."""

    def named(machine: str, is_name: bool) -> str:
        return machine

    tasks = {
        name: task.model_copy(update={"answer": tuple(filled(each, attempt, named) for each in task.answer)})
        if task.answer
        else task
        for name, task in drill.tasks.items()
    }
    return drill.model_copy(update={"tasks": tasks})


def filled(text: str, attempt: Attempt, shown: Callable[[str, bool], str]) -> str:
    """A text with what is shown of the machines of the break in place of their placeholders."""

    def meaning(name: str, is_name: bool) -> str:
        if name in attempt.chosen:
            return ", ".join(shown(machine, is_name) for machine in attempt.chosen[name])
        # a script of the solution may name other machines
        return f"{{{name}{'.name' if is_name else ''}}}"

    return placeholders.fill(text, meaning)
