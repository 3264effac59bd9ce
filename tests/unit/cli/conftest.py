"""What tests of several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.stage import Stage

from halab.campaign import play as playing
from halab.campaign.outcome import CampaignOutcome
from halab.cli import lab as lab_commands
from halab.lifecycle import down as downs


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A host on which every lab comes up, and scenarios have scripted verdicts."""
    (tmp_path / "stage").mkdir()
    staged = Stage(tmp_path / "stage")

    def play(*given: Any, **named: Any) -> CampaignOutcome:
        return real(*given, **named, deps=staged.deps)

    def build(lab_dir: Any, progress: Any, *, is_temporary: bool) -> None:
        staged.did.append("up")
        staged.raise_if_scripted("up")

    def down(lab_dir: Any, progress: Any) -> None:
        staged.did.append("down")
        staged.raise_if_scripted("down")

    real = playing.play
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(playing, "play", play)
    monkeypatch.setattr(lab_commands, "build", build)
    monkeypatch.setattr(downs, "down", down)
    return staged
