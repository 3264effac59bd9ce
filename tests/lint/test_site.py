"""The documentation as a site: every link leads somewhere, nothing comes from the internet, and no drill is spoiled."""

from __future__ import annotations

import gzip
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from halab.bugs import library as bugs
from halab.drill import library as drills
from halab.scenario.run import library as scenarios

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "tests/support/runs"
LIMIT_SECONDS = 300


def build(config: Path, out: Path, runs: Path | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(out)]
    # `-q` would hide the warnings from --strict, too. The modules of this tree are used, also if others are installed
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NO_MKDOCS_2_WARNING": "1",
        "HALAB_SITE_RUNS": str(runs or ""),
    }
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )


def record(folder: Path, name: str, new_name: str, **changed: object) -> Path:
    """Copy a recorded run with a few changes of its meta.json, and return the folder of the copy."""
    run = folder / "runs" / new_name
    shutil.copytree(RUNS / name, run)
    (run / "samples.jsonl").write_bytes(gzip.decompress((run / "samples.jsonl.gz").read_bytes()))
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps({**meta, **changed}))
    return run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, with the pictures of recorded runs."""
    folder = tmp_path_factory.mktemp("site")
    record(folder, "stop-apiserver-haproxy", "passed")
    # runs of losing twins: one lost, and a newer one did not
    lost = record(folder, "stop-apiserver-haproxy", "lost", is_twin=True)
    scenario = (lost / "scenario.yml").read_text()
    assert "steady: within 90s" in scenario
    (lost / "scenario.yml").write_text(scenario.replace("steady: within 90s", "steady: within 1s"))
    newer = {"started": "2027-01-01T00:00:00+00:00", "kubernetes": "1.99.0"}
    record(folder, "stop-apiserver-haproxy", "won", is_twin=True, **newer)
    # a run that cannot be read has no picture
    for file in ("timeline.jsonl", "meta.json"):
        (record(folder, "kill-etcd-member-nginx", f"broken-{file}") / file).write_text("{")
    done = build(ROOT / "mkdocs.yml", folder / "site", folder / "runs")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def main_part(page: Path) -> str:
    """The content of a page without the navigation."""
    return page.read_text().partition("<article")[2].partition("</article>")[0]


def test_every_scenario_drill_and_bug_has_a_page(site: Path) -> None:
    for kind, names in (
        ("scenarios", scenarios.names()),
        ("drills", drills.names()),
        ("bugs", bugs.names()),
    ):
        assert {path.stem for path in (site / "reference" / kind).glob("*.html")} == set(names)


def test_no_page_loads_anything_from_the_internet(site: Path) -> None:
    loads = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    assert {tag for page in site.rglob("*.html") for tag in loads.findall(page.read_text())} == set()


def test_a_scenario_has_its_figures_its_twin_its_file_and_timelines_of_runs(site: Path) -> None:
    text = main_part(site / "reference/scenarios/stop-apiserver.html")
    assert "Measured behind haproxy" in text and "Losing twin" in text and "stop-apiserver.yml" in text
    assert re.findall(r'<img[^>]* src="([^"]+)"', text) == ["stop-apiserver.svg", "stop-apiserver-twin.svg"]
    assert "The losing twin, behind haproxy" in text and "1.99.0" not in text
    for name in ("stop-apiserver", "stop-apiserver-twin"):
        picture = ElementTree.parse(site / f"reference/scenarios/{name}.svg")
        assert "inject stopped" in "".join(picture.getroot().itertext())
    assert not (site / "reference/scenarios/kill-etcd-member.svg").exists()


def test_links_to_the_files_of_scenarios_and_bugs_lead_to_their_pages(site: Path) -> None:
    links = re.findall(r'href="([^"#]+)"', main_part(site / "reference/scenario-list.html"))
    assert {f"scenarios/{name}.html" for name in scenarios.names()} <= set(links)
    links = re.findall(r'href="([^"#]+)"', main_part(site / "reference/bug-list.html"))
    assert {f"bugs/{name}.html" for name in bugs.names()} <= set(links)
    links = re.findall(r'href="([^"#]+)"', main_part(site / "reference/drill-list.html"))
    assert {f"drills/{name}.html" for name in drills.names()} <= set(links)


def secrets(name: str) -> Iterator[str]:
    """The words of a drill that a learner must not read before it begins."""
    drill = drills.find(name).drill
    lab = drill.requires.model_dump_json(exclude_defaults=True)
    known = re.findall(r"[\w-]+", f"{name} {drill.title} {drill.initial_situation} {lab}")
    yield drill.debrief
    yield from (hint.text for hint in drill.hints)
    yield from (act.run for act in drill.solve)
    yield from (task.text for task in drill.tasks.values())
    yield from (
        word
        for step in drill.break_scenario.injects
        for word in (step.name, step.fault, *step.arguments.values())
        if word not in known and len(word) > 3
    )


@pytest.mark.parametrize("name", drills.names())
def test_the_page_of_a_drill_does_not_spoil_it(site: Path, name: str) -> None:
    shown = html.unescape(re.sub(r"<[^>]*>", "", main_part(site / f"reference/drills/{name}.html")))
    page = words(shown)
    assert words(drills.find(name).drill.initial_situation)[:60] in page
    assert [secret for secret in secrets(name) if words(secret)[:60] in page] == []


def words(text: str) -> str:
    """A text as a reader sees it, on one line."""
    return " ".join(text.replace("`", "").split())


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("missing.md", "'missing.md', but the target is not found"),
        ("other.md#nowhere", "does not contain an anchor '#nowhere'"),
        ("../scenarios/nothing.yml", "'../scenarios/nothing.yml', but the target is not found"),
    ],
)
def test_a_dead_link_fails_the_build(tmp_path: Path, link: str, said: str) -> None:
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "other.md").write_text("# Other\n")
    (pages / "README.md").write_text(f"# Home\n\n[one](other.md) and [a dead one]({link})\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nhooks: []\nwatch: []\n")
    dead = build(config, tmp_path / "site")
    assert dead.returncode != 0 and said in dead.stdout + dead.stderr
    (pages / "README.md").write_text("# Home\n\n[one](other.md)\n")
    assert build(config, tmp_path / "site").returncode == 0


def test_a_folder_without_runs_is_said_in_one_line(tmp_path: Path) -> None:
    done = build(ROOT / "mkdocs.yml", tmp_path / "site", tmp_path)
    assert done.returncode != 0
    assert f"no recorded runs in {tmp_path}; name a run" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
