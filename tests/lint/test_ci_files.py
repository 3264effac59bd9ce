"""The CI files for users are valid for their runners, and halab has every command in them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from halab.cli import cli
from halab.config import kubernetes
from halab.scenario.run import library

CI = Path(__file__).parents[2] / "docs/ci"
WORKFLOWS = ("github-hosted.yml", "github-self-hosted.yml")
SCHEMAS = {**dict.fromkeys(WORKFLOWS, "vendor.github-workflows"), "gitlab.yml": "vendor.gitlab-ci"}
SCRIPTS = ("prepare", "lab")


def read(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


def steps(name: str) -> Iterator[str]:
    """The shell commands of every step; a plain word replaces each expression of the runner."""
    jobs = read(name)["jobs"].values() if name in WORKFLOWS else [read(name)["halab"]]
    for job in jobs:
        for step in job.get("steps", []):
            if "run" in step:
                yield re.sub(r"\$\{\{[^}]*\}\}", "word", step["run"])
        yield from job.get("before_script", [])
        yield from job.get("script", [])


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_fits_the_schema_of_its_runner(name: str) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    argv: list[str | Path] = [program, "--builtin-schema", SCHEMAS[name], CI / name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_its_shell_is_clean(name: str) -> None:
    program = Path(sys.executable).with_name("shellcheck")
    for step in [*steps(name), *((CI / each).read_text() for each in SCRIPTS)]:
        done = subprocess.run(
            [program, "--shell=bash", "-"],
            input=step,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}"


def commands() -> Iterator[list[str]]:
    texts = [step for name in SCHEMAS for step in steps(name)]
    texts += [(CI / name).read_text() for name in SCRIPTS]
    for text in texts:
        for line in text.splitlines():
            if not line.lstrip().startswith("#"):
                for found in re.findall(r"(?:^\s*|\]\}\" |PATH=\"\$PATH\" )halab ([a-z][^|&;\n]*)", line):
                    yield shlex.split(found)


def test_every_command_and_option_is_one_of_halab() -> None:
    seen = set()
    for words in commands():
        command: click.Command = cli
        context = click.Context(cli)
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(context, words[0])
            if found is None:
                break
            command, words = found, words[1:]
            seen.add(found.name)
        assert command is not cli, f"halab has no command {words}"
        known = {name for each in command.params for name in each.opts}
        assert {word for word in words if word.startswith("--")} <= known, words
    assert {"up", "run", "down", "doctor", "build"} <= seen


def test_every_group_is_a_tag_and_every_version_is_known() -> None:
    tags = {tag for name in library.names() for tag in library.find(name).scenario.tags}
    hosted = read("github-hosted.yml")["jobs"]["scenarios"]["strategy"]["matrix"]
    cells = [*hosted["include"], *read("gitlab.yml")["halab"]["parallel"]["matrix"]]
    groups, versions = {*hosted["group"]}, {*hosted["version"]}
    for cell in cells:
        lowered = {key.lower(): value for key, value in cell.items()}
        for values, key in ((groups, "group"), (versions, "version")):
            value = lowered[key]
            values |= {value} if isinstance(value, str) else {*value}
    assert groups <= tags
    for version in versions:
        kubernetes.resolve(version)


@pytest.mark.parametrize("name", ["github-self-hosted.yml", "lab"])
def test_a_job_first_removes_what_killed_ones_have_left(name: str) -> None:
    script = (CI / name).read_text() if name in SCRIPTS else "\n".join(steps(name))
    assert 0 <= script.find("halab gc --yes") < script.find("halab up")


def test_cells_side_by_side_have_labs_of_different_names() -> None:
    written = re.search(r"cat >lab.yml <<EOF\n(.*?)EOF", (CI / "lab").read_text(), re.DOTALL)
    assert written is not None
    assert yaml.safe_load(written[1].replace("$", ""))["name"] == "auto"
