"""What a learner's page may start: a check, a hint, an answer; and a note on a game day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halab.gameday import book
from halab.gameday.book import Kind
from halab.serve.jobs import Job
from halab.serve.served_lab import ServedLab

Form = Mapping[str, str]
# The longest answer to a question that anybody means.
_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Answer:
    """What a page says after it started something."""

    message: str = ""
    is_good: bool = True


_BUSY = Answer("halab is still busy with the lab: try again when it has finished", is_good=False)


def begin(
    lab: ServedLab, what: str, command: Sequence[str], words: Sequence[str] = (), *, is_secret: bool = False
) -> Answer:
    """Start a command of halab on the lab; `words` are its options and arguments."""
    file = str(lab.lab_dir.file.resolve())
    is_begun = lab.jobs.begin(Job(what, (*command, "--file", file, *words), is_secret))
    return Answer() if is_begun else _BUSY


def _check(lab: ServedLab, form: Form) -> Answer:
    return begin(lab, "Checking the tasks", ["drill", "check"])


def _hint(lab: ServedLab, form: Form) -> Answer:
    """Show the next hint, unless another browser has just shown it: it costs points."""
    if lab.jobs.is_busy:
        return _BUSY
    with lab.acting:
        if form.get("shown") != str(len(lab.deps.attempt(lab.lab_dir).hints)):
            return Answer("somebody else has just asked for this hint")
        lab.deps.hint(lab.lab_dir)
    return Answer()


def _answer(lab: ServedLab, form: Form) -> Answer:
    text = form.get("answer", "").strip()
    if lab.jobs.is_busy:
        return _BUSY
    if not text:
        return Answer("write an answer first", is_good=False)
    with lab.acting:
        _, is_right = lab.deps.answer(lab.lab_dir, form.get("task", ""), text[:_MOST_CHARACTERS])
    return Answer("right" if is_right else "wrong", is_right)


def note(lab: ServedLab, form: Form, by: str) -> Answer:
    """Write a line into the log of the game day that is running. `by` is used if the form has no name."""
    text = form.get("text", "").strip()
    if not text:
        return Answer("write a note first", is_good=False)
    book.write(lab.lab_dir.work, Kind.NOTE, text, by=form.get("by", "").strip() or by)
    return Answer("the note is in the log")


def _note(lab: ServedLab, form: Form) -> Answer:
    return note(lab, form, "the team")


ACTS = {"check": _check, "hint": _hint, "answer": _answer, "note": _note}
