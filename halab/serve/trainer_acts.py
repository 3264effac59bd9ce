"""What a trainer's page may start: drills and game days begin and end, faults are injected and healed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from halab.config.targets import ROLES, kinds_of
from halab.drill import library
from halab.drill.course import courses
from halab.faults.catalogue import FAULTS
from halab.gameday import book
from halab.gameday import library as game_days
from halab.gameday.book import Kind
from halab.serve.auth import PageAccess
from halab.serve.learner_acts import Answer, Form, begin, note
from halab.serve.served_lab import ServedLab

# Who asks, in the log of a game day.
_TRAINER = "trainer"


def fixed(labs: Collection[ServedLab], lab_access: Mapping[str, PageAccess]) -> dict[str, Any]:
    """What the page offers: drills, game days, faults, targets; and the addresses of the learners' pages."""
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
        "days": {lab.name: game_days.in_folder(lab.folder) for lab in labs},
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
    return _begin_with_seed(lab, form, "Starting a drill", ["drill", "start"], name)


def _begin_with_seed(lab: ServedLab, form: Form, what: str, command: Sequence[str], name: str) -> Answer:
    seed, words = form.get("seed", "").strip(), []
    if seed:
        if not (seed.isascii() and seed.isdigit()):
            return Answer("the seed must be a number", is_good=False)
        words = ["--seed", seed]
    return begin(lab, what, command, [*words, "--", name], is_secret=True)


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


def _start_day(lab: ServedLab, form: Form) -> Answer:
    name = form.get("day", "")
    if name not in game_days.in_folder(lab.folder):
        return Answer("choose the file of a game day", is_good=False)
    path = str(lab.folder / name)
    return _begin_with_seed(lab, form, "Playing a game day", ["gameday", "play"], path)


def _note(lab: ServedLab, form: Form) -> Answer:
    return note(lab, form, _TRAINER)


def _heal_break(lab: ServedLab, form: Form) -> Answer:
    """Heal one break, or all without a name."""
    book.write(lab.lab_dir.work, Kind.HEAL, form.get("break", ""), by=_TRAINER)
    return Answer("halab heals within a second, or after the inject or heal that is running")


def _end_day(lab: ServedLab, form: Form) -> Answer:
    book.write(lab.lab_dir.work, Kind.END, by=_TRAINER)
    return Answer("the game day ends: halab heals everything and writes the report")


ACTS = {
    "start": _start, "final": _final, "give-up": _give_up, "reset": _reset, "inject": _inject, "heal": _heal,
    "start-day": _start_day, "note": _note, "heal-break": _heal_break, "end-day": _end_day,
}  # fmt: skip
