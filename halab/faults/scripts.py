"""The fault of a user's own script, which comes with the script that undoes it."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.config.quantities import seconds_of
from halab.config.targets import FaultTarget
from halab.errors import CommandFailed
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

_SHOWN_LINES = 12


def _run(site: Site, entry: Entry) -> str:
    """Run the script, and wait for the command that shows its effect."""
    begun = f"{scratch.make(entry)} && touch {scratch.folder(entry)}/begun"
    said = _last_line(_bash(site, entry, "script", after=begun))
    if "wait" in entry.options:
        said = _wait(site, entry, "wait") or said
    return said or "the script has ended without an error"


def _undo(site: Site, entry: Entry) -> None:
    """Run the undo if the script began, and wait for the command that shows that everything is undone."""
    # the script of a halab that was killed may still run
    begun = scratch.locked(f"if [ -e {scratch.folder(entry)}/begun ]; then echo begun; fi")
    if site.guests.run(entry.machine, begun, timeout_seconds=_limit(site, entry) + 10).output.strip():
        _bash(site, entry, "undo")
        if "undone" in entry.options:
            _wait(site, entry, "undone")
    site.guests.run(entry.machine, scratch.forget(entry))


def _bash(site: Site, entry: Entry, option: str, *, after: str = "true") -> str:
    """Run a script of the fault on its machine; what it printed. Its background processes do not hold the lock."""
    path = f"{scratch.folder(entry)}/{option}"
    done = site.guests.run(
        entry.machine,
        scratch.locked(f"{after} && cat >{path} && cd / && bash {path} </dev/null 9<&- 2>&1"),
        input=entry.options[option],
        timeout_seconds=_limit(site, entry),
        check=False,
    )
    if done.code:
        output = "\n".join((done.output + done.errors).rstrip().splitlines()[-_SHOWN_LINES:])
        what = f"on {entry.machine}, the {option} of {entry.fault} exited with code {done.code}"
        raise CommandFailed(f"{what}\n{output}", code=done.code, output=output)
    return done.output


def _wait(site: Site, entry: Entry, option: str) -> str:
    """Repeat a command until it exits with 0; the last line that it printed."""

    def succeeded() -> str:
        command = f"cd / && {{ {entry.options[option]}\n}} 2>&1"
        done = site.guests.run(entry.machine, command, timeout_seconds=_limit(site, entry), check=False)
        said = _last_line(done.output)
        if done.code:
            raise NotYet(f"it exited with code {done.code}{f': {said}' if said else ''}")
        return said

    deadline = site.deadline(seconds_of(entry.options["limit"]))
    return wait_for(f"the command `{option}` to succeed on {entry.machine}", succeeded, deadline)


def _limit(site: Site, entry: Entry) -> float:
    return seconds_of(entry.options["limit"]) * site.lab.patience


def _limit_of(text: str) -> float:
    if seconds_of(text) < 1:
        raise ValueError(f"should be 1s or more, not {text}")
    return seconds_of(text)


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1]


FAULTS = (
    Fault(
        "run-script",
        "Run a script on a machine; healing runs the script that undoes it. The undo runs even if the script failed, "
        "and it may run twice.",
        _run,
        _undo,
        {
            "script": Option("what to run with bash, or a file with it", is_text=True),
            "undo": Option("what undoes it, or a file with it", is_text=True),
            "wait": Option(
                "a command that succeeds when the fault has taken effect",
                example="! pgrep -x etcd",
                default="",
                is_text=True,
            ),
            "undone": Option(
                "a command that succeeds when everything is undone",
                example="pgrep -x etcd",
                default="",
                is_text=True,
            ),
            "limit": Option(
                "the time that each of these commands may take", example="2m", default="60s", reads=_limit_of
            ),
        },
        target=FaultTarget.ANY,
    ),
)
