"""The machines of a break in the texts and answers of its drill; each attempt has its own machines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from halab.config import placeholders
from halab.config.drill import Drill
from halab.config.placeholders import Part
from halab.drill.attempt import Attempt


def answered_by_name(drill: Drill, attempt: Attempt, hostname: Callable[[str], str]) -> Drill:
    """The drill with the names of machines in its answers: `{broken.name}`.

    A host name, which `hostname` finds for the name of a machine, is an answer too.
    """

    def named(machine: str, part: Part) -> str:
        return machine

    def called(machine: str, part: Part) -> str:
        return hostname(machine)

    def answers(text: str) -> list[str]:
        return list(dict.fromkeys(filled(text, attempt, shown) for shown in (named, called)))

    tasks = {
        name: task.model_copy(update={"answer": tuple(chain.from_iterable(map(answers, task.answer)))})
        if task.answer
        else task
        for name, task in drill.tasks.items()
    }
    return drill.model_copy(update={"tasks": tasks})


def filled(text: str, attempt: Attempt, shown: Callable[[str, Part], str]) -> str:
    """A text with what is shown of the machines of the break in place of their placeholders."""

    def meaning(name: str, part: Part) -> str:
        if name in attempt.chosen:
            return ", ".join(shown(machine, part) for machine in attempt.chosen[name])
        # a script of the solution may name other machines
        return placeholders.written(name, part)

    return placeholders.fill(text, meaning)
