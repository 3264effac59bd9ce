"""The pages of reports in a browser: they are readable, nothing overlaps, and nothing is loaded.

A browser that is missing here is a skip with a reason; with CI=true it is a failure.
"""

from __future__ import annotations

import gzip
import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.campaign_builder import campaign_of
from support.states_builder import power_cut

from halab import report
from halab.report import overview, page
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.verdict import judge

RUNS = Path(__file__).parents[1] / "support/runs"
RECORDED = sorted(path.name for path in RUNS.iterdir() if path.is_dir())
LOOK = (Path(__file__).parent / "look.js").read_text()
# A page may load nothing. A browser reports what it refused to load.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
DESK, PROJECTOR, PHONE = 1280, 1920, 420
# So high that the whole page is visible: only visible things have a background colour.
HEIGHT = 9000
LIGHT, DARK = "1", "0"


@pytest.fixture(scope="session")
def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("not installed: chromium")
    pytest.skip("not installed: chromium")


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
    return {"busy": busy, "overview": campaign, **{run.path.name: run.page for run, _ in runs}}


@pytest.fixture
def look(browser: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What a browser measures on a copy of a page, with all details open."""

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
        found: dict[str, Any] = json.loads(html.unescape(match[1]))
        return found

    return look


def run(browser: str, folder: Path, *arguments: str) -> str:
    # a browser has no sandbox as root; it shows only our own pages
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
        ("overview", PHONE, DARK),
    ],
)  # fmt: skip
def test_a_page_can_be_read(
    name: str, width: int, scheme: str, pages: dict[str, Path], look: Callable[..., dict[str, Any]]
) -> None:
    found = look(pages[name], width=width, scheme=scheme)
    assert found["looked_at"] == found["texts"] > 50
    assert found["overlaps"] == []
    assert found["outside"] == []
    assert found["pale"] == []
    assert not found["is_wider"]
    assert found["loaded"] == []
    assert found["is_dark"] == (scheme == DARK)
    brightness = sum(map(int, re.findall(r"\d+", found["ground"])[:3]))
    assert brightness < 120 if scheme == DARK else brightness > 600


@pytest.mark.parametrize("name", ["busy", "overview", RECORDED[0]])
def test_a_page_can_be_printed(name: str, pages: dict[str, Path], browser: str, tmp_path: Path) -> None:
    printed = tmp_path / "page.pdf"
    run(browser, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={printed}", pages[name].as_uri())
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    boxes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", content)
    assert 1 <= len(boxes) <= 5
    # A4 landscape: 297 by 210 mm, in points
    for wide, high in boxes:
        assert (float(wide), float(high)) == pytest.approx((841.9, 595.3), abs=2)


@pytest.mark.parametrize("name", ["busy", "overview", *RECORDED])
def test_a_page_names_nothing_outside_of_its_folder(name: str, pages: dict[str, Path]) -> None:
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


def test_what_is_wrong_with_a_page_is_seen(look: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    source = tmp_path / "wrong.html"
    source.write_text(WRONG)
    found = look(source)
    assert found["overlaps"] == ["first words / second words"]
    assert [text[:6] for text in found["outside"]] == ["a line"]
    assert [text.partition(":")[0] for text in found["pale"]] == ["pale words"]
    assert found["is_wider"]
    assert found["loaded"] == ["https://example.org/picture.png"]
