"""What a trainer's page may start: drills begin and end, faults are injected and healed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from halab.config.targets import ROLES, kinds_of
from halab.drill import library
from halab.drill.course import courses
from halab.faults.catalogue import FAULTS
from halab.serve.auth import PageAccess
from halab.serve.learner_acts import Answer, Form, begin
from halab.serve.served_lab import ServedLab


def fixed(labs: Iterable[ServedLab], lab_access: Mapping[str, PageAccess]) -> dict[str, Any]:
    """What the page offers: drills, faults, targets; and the addresses of the learners' pages."""
    return {
        "drills": _drills(),
        "faults": [
            {"name": fault.name, "does": fault.does, "on": fault.place,
             "options": [
                 f"{name}={option.default if option.default is not None else option.example}"
                 for name, option in fault.options.items()
             ]}
            for fault in sorted(FAULTS.values(), key=lambda fault: fault.name)
        ],
        "targets": {lab.name: [*lab.machines, *(role for role in ROLES if kinds_of(role))] for lab in labs},
        "pages": {name: access.url("") for name, access in lab_access.items()},
    }  # fmt: skip


@cache
def _drills() -> list[dict[str, str]]:
    """The drills of halab in learning order. Reading them all takes a second."""
    return [
        {
            "name": each.name,
            "title": each.drill.title,
            "course": course.title,
            "difficulty": str(each.drill.difficulty),
        }
        for course in courses()
        for each in course.drills
    ]


def _start(lab: ServedLab, form: Form) -> Answer:
    name = form.get("drill", "")
    if name not in library.names():
        return Answer("choose a drill", is_good=False)
    seed, words = form.get("seed", "").strip(), []
    if seed:
        if not (seed.isascii() and seed.isdigit()):
            return Answer("the seed must be a number", is_good=False)
        words = ["--seed", seed]
    return begin(lab, "Starting a drill", ["drill", "start"], [*words, "--", name], is_secret=True)


def _final(lab: ServedLab, form: Form) -> Answer:
    return begin(lab, "Grading the drill as it is", ["drill", "check"], ["--final"], is_secret=True)


def _give_up(lab: ServedLab, form: Form) -> Answer:
    return begin(lab, "Ending the drill", ["drill", "give-up"], is_secret=True)


def _reset(lab: ServedLab, form: Form) -> Answer:
    return begin(lab, "Ending the drill without a grade", ["drill", "reset"], is_secret=True)


def _inject(lab: ServedLab, form: Form) -> Answer:
    fault, target = form.get("fault", ""), form.get("target", "").strip()
    if fault not in FAULTS:
        return Answer("choose a fault", is_good=False)
    if not target:
        return Answer("choose a machine or a role", is_good=False)
    given = [line.strip() for line in form.get("options", "").splitlines() if line.strip()]
    words = ["--on", target, *(word for option in given for word in ("--with", option))]
    return begin(lab, f"Injecting {fault}", ["inject"], [*words, "--", fault], is_secret=True)


def _heal(lab: ServedLab, form: Form) -> Answer:
    return begin(lab, "Healing all faults", ["heal"], is_secret=True)


ACTS = {
    "start": _start, "final": _final, "give-up": _give_up, "reset": _reset, "inject": _inject, "heal": _heal,
}  # fmt: skip
