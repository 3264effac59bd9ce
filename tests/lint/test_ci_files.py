"""The CI files for users are valid for their runners, and halab has every command in them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from halab.cli import cli
from halab.matrix import forecast, library

CI = Path(__file__).parents[2] / "docs/ci"
WORKFLOWS = ("github-hosted.yml", "github-self-hosted.yml")
PIPELINES = ("gitlab.yml", "gitlab-cell.yml")
SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, "vendor.github-workflows"),
    **dict.fromkeys(PIPELINES, "vendor.gitlab-ci"),
}
SCRIPTS = ("prepare", "cell")


def read(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


def steps(name: str) -> Iterator[str]:
    """The shell commands of every step; a plain word replaces each expression of the runner."""
    content = read(name)
    for job in (content["jobs"] if name in WORKFLOWS else content).values():
        for step in job.get("steps", []):
            if "run" in step:
                yield re.sub(r"\$\{\{[^}]*\}\}", "word", step["run"])
        yield from job.get("before_script", [])
        yield from job.get("script", [])


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_fits_the_schema_of_its_runner(name: str) -> None:
    require_schema(name, CI / name)


def require_schema(name: str, path: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    argv: list[str | Path] = [program, "--builtin-schema", SCHEMAS[name], path]
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
    assert {"plan", "build", "run", "gc"} <= seen


@pytest.fixture(scope="module")
def planned() -> Any:
    """What `halab matrix plan --json` says of the matrix of the workflows."""
    plan = library.find(CI / "matrix.yml")
    return forecast.as_data(forecast.of(plan, CI / "no-such-folder"))


def test_the_matrix_has_fewer_jobs_than_github_runs(planned: Any) -> None:
    jobs = [(job["lab"], job["only"]) for job in planned["jobs"]]
    assert 0 < len(jobs) == len(set(jobs)) <= 256
    assert {job["provider"] for job in planned["jobs"]} == {"docker", "libvirt"}


def test_a_job_of_github_gets_what_the_plan_says(planned: Any) -> None:
    text = (CI / "github-hosted.yml").read_text()
    used = set(re.findall(r"matrix\.(\w+)", text))
    assert used <= {*planned["jobs"][0], "yml"}


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_gitlab_gets_a_job_for_each_cell(planned: Any, tmp_path: Path) -> None:
    [command] = [line for line in steps("gitlab.yml") if "jq -r" in line]
    program = re.search(r"jq -r '([^']*)'", command)
    assert program is not None
    made = subprocess.run(
        ["jq", "-r", program[1]],
        input=json.dumps(planned),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    cells = tmp_path / "cells.yml"
    cells.write_text((CI / "gitlab-cell.yml").read_text() + made.stdout)
    require_schema("gitlab.yml", cells)
    jobs = {name: job for name, job in yaml.safe_load(cells.read_text()).items() if name != ".cell"}
    assert len(jobs) == len(planned["jobs"])
    first = planned["jobs"][0]
    assert jobs[f"{first['only']} on {first['lab']}"] == {
        "extends": ".cell",
        "variables": {"PROVIDER": first["provider"], "LAB": first["lab"], "ONLY": first["only"]},
    }


@pytest.mark.parametrize("name", ["github-self-hosted.yml", "cell"])
def test_a_job_first_removes_what_killed_ones_have_left(name: str) -> None:
    script = (CI / name).read_text() if name in SCRIPTS else "\n".join(steps(name))
    assert 0 <= script.find("halab gc --yes") < script.rfind("halab matrix run")


def test_no_keys_are_kept_with_the_results() -> None:
    kept = re.search(r"cp -r --parents (.*?) \"", (CI / "cell").read_text())
    assert kept is not None
    paths = (
        kept[1].split()
        + read("github-self-hosted.yml")["jobs"]["matrix"]["steps"][-1]["with"]["path"].split()
    )
    assert {path.partition(".halab")[2] for path in paths} <= {"", "/runs"}
