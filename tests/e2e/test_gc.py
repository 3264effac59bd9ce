"""On a real engine, `list` shows what labs left behind, and `gc` removes what belongs to no lab any more."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli_driver import UserLab

LAB = "e2e-gc"


def docker(*words: str, input: bytes = b"") -> str:
    done = subprocess.run(["docker", *words], input=input, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def labels(work: Path, host: str | None) -> list[str]:
    known = {"halab.lab": LAB, "halab.work": str(work)} | ({"halab.host": host} if host else {})
    return [word for name, value in known.items() for word in ("--label", f"{name}={value}")]


@dataclass(frozen=True)
class Things:
    """A container, a network and a volume of the same name, and an image on request."""

    name: str

    def make(self, arguments: list[str], *, with_image: bool = False) -> None:
        # an empty image, because no container of it is started
        base = docker("import", "-", "e2e-gc-empty:latest", input=b"\0" * 1024)
        docker("create", "--name", self.name, "--volume", "/anonymous", *arguments, base, "nothing")
        docker("network", "create", *arguments, self.name)
        docker("volume", "create", *arguments, self.name)
        if with_image:
            changes = [f"--change=LABEL {label}" for label in arguments[1::2]]
            docker("import", *changes, "-", f"{self.name}:saved", input=b"\0" * 1024)

    @property
    def left(self) -> set[str]:
        listings = {
            "container": ["ps", "--all", "--format", "{{.Names}}"],
            "network": ["network", "ls", "--format", "{{.Name}}"],
            "volume": ["volume", "ls", "--format", "{{.Name}}"],
            "image": ["image", "ls", "--format", "{{.Repository}}"],
        }
        return {kind for kind, listing in listings.items() if self.name in docker(*listing).split()}

    def remove(self) -> None:
        for verb in (["rm", "-fv"], ["network", "rm"], ["volume", "rm", "-f"], ["image", "rm", "-f"]):
            name = f"{self.name}:saved" if verb[0] == "image" else self.name
            subprocess.run(["docker", *verb, name], capture_output=True, check=False, timeout=60)


@pytest.fixture
def things() -> Iterator[dict[str, Things]]:
    kinds = ("orphan", "older", "living", "elsewhere", "unlabelled")
    things = {kind: Things(f"e2e-gc-{kind}") for kind in kinds}
    yield things
    for of_kind in things.values():
        of_kind.remove()
    subprocess.run(["docker", "image", "rm", "-f", "e2e-gc-empty:latest"], capture_output=True, timeout=60)


def listed(user: UserLab) -> dict[tuple[str, str], dict[str, Any]]:
    """The things of the lab in `halab list`, by name and kind."""
    things = json.loads(user.ok("list", "--json"))
    return {(thing["name"].split(":")[0], thing["kind"]): thing for thing in things if thing["lab"] == LAB}


def test_what_belongs_to_no_living_lab_is_removed_and_nothing_else(
    tmp_path: Path, things: dict[str, Things], state_home: None
) -> None:
    user, here = UserLab(tmp_path), identity()
    gone, living = tmp_path / "gone/.halab", tmp_path / "living/.halab"
    living.mkdir(parents=True)
    things["orphan"].make(labels(gone, here), with_image=True)
    things["older"].make(labels(tmp_path / "older/.halab", None))
    things["living"].make(labels(living, here), with_image=True)
    things["elsewhere"].make(labels(gone, "another-host"), with_image=True)
    things["unlabelled"].make([])
    all_kinds = {"container", "network", "volume", "image"}

    shown = listed(user)
    states = {
        name: {thing["state"] for (other, _), thing in shown.items() if other == name} for name, _ in shown
    }
    assert states == {
        "e2e-gc-orphan": {"orphaned"}, "e2e-gc-older": {"orphaned"}, "e2e-gc-living": {"living"},
        "e2e-gc-elsewhere": {"elsewhere"}, ".halab": {"living"},
    }  # fmt: skip
    assert {kind for name, kind in shown if name == "e2e-gc-orphan"} == all_kinds
    for kind in all_kinds:
        thing = shown["e2e-gc-orphan", kind]
        assert 0 <= thing["age_seconds"] < 300 or kind == "image", thing
    assert shown["e2e-gc-orphan", "volume"]["size_bytes"] == 0
    assert "e2e-gc-unlabelled" not in user.ok("list")

    preview = user.halab("gc")
    assert (preview.code, "use `halab gc --yes`" in preview.errors) == (0, True)
    assert "e2e-gc-orphan" in preview.output and "e2e-gc-living" not in preview.output
    assert things["orphan"].left == all_kinds

    # `--yes` because there is no terminal; what has no label, or that of another host, must stay
    before = len(docker("volume", "ls", "-q").split())
    user.ok("gc", "--yes")
    assert things["orphan"].left == set()
    assert things["older"].left == set()
    # the anonymous volumes are removed as well
    assert len(docker("volume", "ls", "-q").split()) == before - 4
    assert things["living"].left == all_kinds
    assert things["elsewhere"].left == all_kinds
    assert things["unlabelled"].left == {"container", "network", "volume"}
    again = user.halab("gc", "--yes")
    assert (again.code, "e2e-gc" in again.output) == (0, False)


def identity() -> str:
    from halab.machines.host.identity import of_this_host

    return of_this_host()
