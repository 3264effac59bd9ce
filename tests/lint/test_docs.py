"""The pages that people read: links lead somewhere, lines are short, and paths in the repository exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from halab.cli import cli
from halab.scenario.run import library

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAXIMUM_LENGTH = 120

page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page with their numbers, without blocks of code."""
    in_code = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith("    "):
            yield number, line


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = (line.lstrip("#").strip() for _, line in prose(page) if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@page_by_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for number, line in prose(page):
        for link in re.findall(r"\]\(([^)\s]+)\)", line):
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / path) if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{number}: {link}")
    assert not broken


@page_by_page
def test_lines_are_not_too_long(page: Path) -> None:
    """Tables and lines with a link are exempt: they cannot be wrapped."""
    long = [
        f"{number}: {len(line)}"
        for number, line in enumerate(page.read_text().splitlines(), start=1)
        if len(line) > MAXIMUM_LENGTH and not line.startswith("|") and not re.search(r"\]\(|https?://", line)
    ]
    assert not long


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {
        path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.is_relative_to(ROOT / "docs")
    }
    assert {page for page in pages if f"({page})" not in index} <= {"README.md"}


def test_paths_of_pages_exist_wherever_they_are_named() -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    argv = [
        "git",
        "grep",
        "-hoIE",
        r"\bdocs/[A-Za-z0-9_/-]+\.(md|json|yml|svg|png)\b",
        "--",
        ":!CHANGELOG.md",
    ]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert {path for path in set(listed.stdout.split()) if not (ROOT / path).exists()} == set()


def code(page: Path) -> Iterator[str]:
    """The lines of a page that are code."""
    is_prose = {number for number, _ in prose(page)}
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if number not in is_prose:
            yield line.strip()


def commands(page: Path) -> Iterator[list[str]]:
    """The commands of halab that a page tells the reader to type, without `halab`."""
    for line in code(page):
        command = re.split(r"\s#| && | \| ", re.sub(r"^\$ |^scripts/bare-host (run|virt) ", "", line))[0]
        if re.match(r"halab [a-z]+( |$)", command) and ":" not in command:
            yield shlex.split(command)[1:]


@page_by_page
def test_commands_in_the_pages_exist(page: Path) -> None:
    for words in commands(page):
        command: click.Command = cli
        # an unknown command is None there instead of an error
        context, rest = click.Context(cli, resilient_parsing=True), words
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            _, below, rest = command.resolve_command(context, rest)
            assert below is not None, f"no such command: {words}"
            command = below
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--"}
        options = rest[: rest.index("--")] if "--" in rest else rest
        assert {word.partition("=")[0] for word in options if word.startswith("-")} <= known, words


@page_by_page
def test_scenarios_in_the_pages_are_valid(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(
        re.findall(r"^```yaml\n(title:.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ):
        path = tmp_path / f"block-{number}.yml"
        for check in re.findall(r"checks/\w+\.py", block):
            (tmp_path / check).parent.mkdir(exist_ok=True)
            (tmp_path / check).touch()
        path.write_text(block)
        library.find(str(path))
