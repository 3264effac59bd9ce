"""The pages of reports in a real browser: readable, without overlaps, and nothing loaded.

Without a browser the tests are skipped; with CI=true they fail.
"""

from __future__ import annotations

import gzip
import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.browser import chromium
from support.campaign_builder import campaign_of
from support.matrix_builder import matrix_of
from support.states_builder import power_cut

from halab import report
from halab.config.twin import Verdict
from halab.report import comparison, history_page, matrix, overview, page
from halab.report.comparison import ComparedLab, Comparison
from halab.report.history import HistoryRun, history_of
from halab.report.history_file import HistoryFile
from halab.report.history_update import HistoryUpdate
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.verdict import judge

RUNS = Path(__file__).parents[1] / "support/runs"
RECORDED = sorted(path.name for path in RUNS.iterdir() if path.is_dir())
LOOK = (Path(__file__).parent / "look.js").read_text()
# A page may load nothing. The browser reports what it refused because of this policy.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
DESK, PROJECTOR, PHONE = 1280, 1920, 420
# High enough to show the whole page: the colours behind a text are known only if it is visible.
HEIGHT = 9000
LIGHT, DARK = "1", "0"


@pytest.fixture(scope="session")
def browser() -> str:
    return chromium()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of recorded runs, of a run with dozens of lanes, and of a campaign."""
    folder = tmp_path_factory.mktemp("pages")
    runs = []
    for name in RECORDED:
        run = RunFolder(folder / name)
        shutil.copytree(RUNS / name, run.path)
        run.samples.write_bytes(gzip.decompress((run.path / "samples.jsonl.gz").read_bytes()))
        runs.append((run, report.render(run)))
    busy = folder / "busy.html"
    evidence = power_cut()
    busy.write_text(page.html(judge(evidence), evidence, logs=["logs/cp1.log"]))
    campaign = overview.write(folder, campaign_of(runs))
    labs = [
        ComparedLab(name, f"load_balancer.kind={name}", campaign_of(runs)) for name in ("haproxy", "nginx")
    ]
    labs.append(ComparedLab("lost", "load_balancer.kind=lost", None, "the lab did not come up"))
    command = ("halab", "compare", "--set", "load_balancer.kind=haproxy,nginx,lost", "stop-apiserver")
    compared = comparison.write(folder, Comparison(labs, command, "2026-11-29T10:15:00+01:00", 912.5))
    crossed = matrix.write(folder, matrix_of(runs))
    over_time = folder / "history.html"
    update = HistoryUpdate(HistoryFile(folder / "history.sqlite"))
    update.add_all([run.path for run, _ in runs])
    # the same run again and again, on later days and with other figures
    entries = update.file.runs("stop-apiserver")[:2]
    over_time.write_text(history_page.html(history_of(repeated(entries)), folder, over_time))
    return {
        "matrix": crossed,
        "busy": busy,
        "overview": campaign,
        "comparison": compared,
        "history": over_time,
        **{run.path.name: run.page for run, _ in runs},
    }


def repeated(entries: Sequence[HistoryRun]) -> list[HistoryRun]:
    """Runs of 20 days: their figures grow, the version changes, and some fail."""
    return [
        replace(
            run,
            started=(run.moment + timedelta(days=day)).isoformat(),
            kubernetes=f"{run.kubernetes}{day // 8}",
            verdict=Verdict.FAIL if day % 13 == 0 else run.verdict,
            figures=tuple(replace(each, value=each.value * (1 + day / 20)) for each in run.figures),
        )
        for run in entries
        for day in range(20)
    ]


@pytest.fixture
def look(browser: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What look.js finds on a copy of a page, with all details open."""

    def look(source: Path, *, width: int = DESK, scheme: str = LIGHT) -> dict[str, Any]:
        text = re.sub("<details( class=[^>]*)?>", "<details open>", source.read_text())
        assert POLICY in text
        text = text.replace(
            POLICY, f"{POLICY}; script-src 'unsafe-inline'\"><script>{LOOK}</script><meta name=\""
        )
        copy = tmp_path / "copy.html"
        copy.write_text(text)
        window = [f"--window-size={width},{HEIGHT}", f"--blink-settings=preferredColorScheme={scheme}"]
        dumped = run(browser, tmp_path, *window, "--dump-dom", copy.as_uri())
        match = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
        assert match, dumped[-2000:]
        problems: dict[str, Any] = json.loads(html.unescape(match[1]))
        return problems

    return look


def run(browser: str, folder: Path, *arguments: str) -> str:
    # as root the browser has no sandbox; it only shows our own pages
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    argv = [
        browser, "--headless", *sandbox, "--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}", *arguments,
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *((name, DESK, LIGHT) for name in RECORDED),
        ("busy", DESK, LIGHT), ("busy", DESK, DARK), ("busy", PROJECTOR, LIGHT), ("busy", PHONE, LIGHT),
        ("overview", DESK, LIGHT), ("overview", DESK, DARK), ("overview", PROJECTOR, LIGHT),
        ("overview", PHONE, DARK), ("comparison", DESK, LIGHT), ("comparison", PHONE, DARK),
        ("history", DESK, LIGHT), ("history", PHONE, DARK),
        ("matrix", DESK, LIGHT), ("matrix", DESK, DARK), ("matrix", PHONE, DARK), ("matrix", PROJECTOR, LIGHT),
    ],
)  # fmt: skip
def test_a_page_is_readable(
    name: str, width: int, scheme: str, pages: dict[str, Path], look: Callable[..., dict[str, Any]]
) -> None:
    problems = look(pages[name], width=width, scheme=scheme)
    assert problems["looked_at"] == problems["texts"] > 50
    assert problems["overlaps"] == []
    assert problems["outside"] == []
    assert problems["pale"] == []
    assert not problems["is_wider"]
    assert problems["loaded"] == []
    assert problems["is_dark"] == (scheme == DARK)
    brightness = sum(map(int, re.findall(r"\d+", problems["ground"])[:3]))
    assert brightness < 120 if scheme == DARK else brightness > 600


@pytest.mark.parametrize("name", ["busy", "overview", "comparison", "history", "matrix", RECORDED[0]])
def test_a_page_prints_on_a4(name: str, pages: dict[str, Path], browser: str, tmp_path: Path) -> None:
    printed = tmp_path / "page.pdf"
    run(browser, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={printed}", pages[name].as_uri())
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    boxes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", content)
    assert 1 <= len(boxes) <= 5
    # A4 landscape: 297 by 210 mm, in points
    for wide, high in boxes:
        assert (float(wide), float(high)) == pytest.approx((841.9, 595.3), abs=2)


@pytest.mark.parametrize("name", ["busy", "overview", "comparison", "history", "matrix", *RECORDED])
def test_a_page_links_nothing_outside_of_its_folder(name: str, pages: dict[str, Path]) -> None:
    text = pages[name].read_text()
    assert not re.search(r"https?://|<script|<link|@import|url\((?!#)", text)
    links = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert links
    assert not [link for link in links if ":" in link or link.startswith(("/", ".."))]


WRONG = f"""<!doctype html><html><head><meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}"></head><body><main><section>
<div style="width:100px;white-space:nowrap">a line {"that goes on and on " * 20}</div>
<p style="color:#aaa;background:#fff">pale words</p>
<svg viewBox="0 0 600 40" width="600">
<text x="10" y="20">first words</text><text x="30" y="22">second words</text></svg>
<img src="https://example.org/picture.png"></section></main></body></html>"""


def test_look_js_finds_the_problems_of_a_bad_page(
    look: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source = tmp_path / "wrong.html"
    source.write_text(WRONG)
    problems = look(source)
    assert problems["overlaps"] == ["first words / second words"]
    assert [text[:6] for text in problems["outside"]] == ["a line"]
    assert [text.partition(":")[0] for text in problems["pale"]] == ["pale words"]
    assert problems["is_wider"]
    assert problems["loaded"] == ["https://example.org/picture.png"]
