"""A game day is prepared, played, healed and judged, in this order, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.fakes import Recorded
from support.stage import result_of

from halab.gameday import library
from halab.gameday import play as playing
from halab.lifecycle.lab import open_file
from halab.scenario.record.folder import RunFolder

TEXT = """\
title: One break
lasts: 2m
breaks: [{at: 1m, steps: [{inject: pause-process, on: cp1, with: {process: etcd}}]}]
stop: {outage: {write-via-lb: 60s}}
"""


class Session:
    """`error` ends the play."""

    def __init__(self, folder: Path, did: list[str], error: BaseException | None) -> None:
        self.folder, self.did, self.error = RunFolder(folder), did, error

    def prepare(self, script: Any) -> RunFolder:
        self.folder.make()
        self.did.append(f"prepare {script.name}")
        return self.folder

    def play(self, script: Any, folder: RunFolder, *, run: Any) -> None:
        assert run.keywords["plan"].lasts == 120
        self.did.append("play")
        if self.error:
            raise self.error

    def heal(self) -> list[object]:
        self.did.append("heal")
        return []


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_everything_is_healed_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None
) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    (tmp_path / "day.yml").write_text(TEXT)
    (tmp_path / ".halab").mkdir(mode=0o700)
    lab_dir, did = open_file(tmp_path / "lab.yml"), []

    @contextmanager
    def opened(lab: Any, progress: Any, *, seed: int, doing: str) -> Iterator[Session]:
        did.append(f"open, seed {seed}")
        yield Session(tmp_path / "run", did, error)
        assert not lab_dir.work.has_game_day

    monkeypatch.setattr(playing, "opened", opened)
    monkeypatch.setattr(playing, "render", lambda folder: result_of("day", "pass"))

    def play() -> None:
        playing.play(
            lab_dir, library.find(tmp_path / "day.yml", 3), Recorded(), seed=3,
            on_result=lambda folder, result: did.append(str(result.verdict)),
        )  # fmt: skip

    if error:
        with pytest.raises(KeyboardInterrupt):
            play()
    else:
        play()
    assert did == ["open, seed 3", "prepare day", "play", "heal", "pass"]
    assert (tmp_path / "run" / "game-day.yml").read_text() == TEXT
