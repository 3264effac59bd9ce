"""Draws boards as HTML: whole pages, and their regions, which the server sends again when they change."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import Any

from halab import templates
from halab.config.quantities import format_duration
from halab.drill import briefing
from halab.serve.board import Board

# The height of a bar for each level of how slow an answer was, in percent.
_HEIGHTS = (28, 40, 52, 66, 80, 92)
_KINDS = {"x": "failed", "~": "some", ".": "blind"}
_HEADINGS: dict[int, str] = {
    HTTPStatus.FORBIDDEN: "No access",
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.INTERNAL_SERVER_ERROR: "halab has failed",
}


def learner(board: Board, *, form_token: str) -> str:
    return templates.page(
        "serve/learner.html", title=board["lab"], regions=learner_regions(board), form_token=form_token
    )


def learner_regions(board: Board) -> dict[str, str]:
    """The parts of a learner's page, by the id of their element."""
    return {name: _region(name, board=board) for name in ("head", "drill", "live")}


def trainer(labs: dict[str, tuple[Board, Board]], fixed: dict[str, Any], *, form_token: str) -> str:
    """The page of trainers. `fixed` is what does not change while it is open: drills, faults, targets, addresses."""
    return templates.page(
        "serve/trainer.html",
        title="trainer",
        labs=list(labs),
        regions=trainer_regions(labs),
        fixed=fixed,
        form_token=form_token,
    )


def trainer_regions(labs: dict[str, tuple[Board, Board]]) -> dict[str, str]:
    return {
        f"{lab}-{name}": _region(name, board=board, hidden=hidden, lab=lab)
        for lab, (board, hidden) in labs.items()
        for name in ("head", "hidden", "live")
    }


def refusal(status: int, text: str) -> str:
    """The page in place of one that cannot be shown. Only a page without access has another address to open."""
    heading = _HEADINGS.get(status, "This did not work")
    return templates.page(
        "serve/refusal.html", title=heading, text=text, is_closed=status == HTTPStatus.FORBIDDEN
    )


def _region(name: str, **values: Any) -> str:
    return templates.page(
        f"serve/{name}.html",
        bars=bars,
        blocks=briefing.blocks,
        states=briefing.IN_WORDS,
        clock=clock,
        lasting=lasting,
        **values,
    )


def bars(marks: str) -> list[dict[str, Any]]:
    """The bars of a lane: runs of equal marks, with `x` and `width` in marks, and `height` in percent."""
    drawn, x = [], 0
    # before the view began, there is nothing to show
    begun = marks.lstrip(".")
    for mark, run in groupby(begun.rjust(len(marks))):
        width = len(list(run))
        if mark != " ":
            height = _HEIGHTS[int(mark)] if mark.isdigit() else 100
            drawn.append({"kind": _KINDS.get(mark, "ok"), "x": x, "width": width, "height": height})
        x += width
    return drawn


def clock(seconds: float) -> str:
    """`2:05`, or `1:02:05` from one hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def lasting(seconds: float) -> str:
    """`12s`, `3m`, `2h`: it changes only when that matters."""
    step = 1 if seconds < 100 else 60 if seconds < 6000 else 3600
    return format_duration(step * round(seconds / step))
