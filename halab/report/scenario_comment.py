"""The figures in the opening comment of a scenario file, one block for each place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_FIRST_BLOCK = re.compile(r"^# (?:Bounds|Measured)\b", re.MULTILINE)
_PLACE = re.compile(r"# Measured behind (.+?), Kubernetes ")


def with_figures(text: str, blocks: Iterable[Sequence[str]]) -> str:
    """The text of a scenario file with these blocks of `halab bounds`, instead of older ones of the same places.

    The figures are the last part of the comment, before the title. Blocks of other places stay, and blocks with more
    runs. Blocks without a place say that nothing was measured: they go. Raises ValueError if
    no line of the file begins with `title:`.
    """
    before, known, rest = parted(text)
    by_place = {place: block for block in known if (place := _place(block))}
    for lines in blocks:
        block = "".join(f"{line}\n" for line in lines)
        place = _place(block)
        if place and _runs(block) >= _runs(by_place.get(place, "")):
            by_place[place] = block
    return before + "".join(by_place[place] for place in sorted(by_place)) + rest


def parted(text: str) -> tuple[str, list[str], str]:
    """The text before the figures, the blocks of figures, and the text from the title on.

    Raises ValueError if no line begins with `title:`.
    """
    title = re.search(r"^title:", text, re.MULTILINE)
    if title is None:
        raise ValueError("no line begins with `title:`")
    head, rest = text[: title.start()], text[title.start() :]
    first = _FIRST_BLOCK.search(head)
    if first is None:
        return head, [], rest
    blocks = re.split(r"^(?=# (?:Bounds|Measured)\b)", head[first.start() :], flags=re.MULTILINE)
    return head[: first.start()], [block for block in blocks if block], rest


def figures(block: str) -> tuple[str, dict[str, str]]:
    """The heading of a block, and its figures by the name of the promise: `step 2`, `recovery`."""
    heading, *lines = re.sub(r"\n# (?! {2}\S)\s*", " ", block.removeprefix("# ")).split("\n#   ")
    found: dict[str, list[str]] = {}
    for line in lines:
        name, _, rest = re.sub(r"^(step \d+|\w+)[:,] ", r"\1\n", line).partition("\n")
        found.setdefault(name, []).append(rest.rpartition(": ")[2].strip())
    return heading.strip(), {name: "; ".join(texts) for name, texts in found.items()}


def _place(block: str) -> str:
    """The place of a block. Earlier blocks name the load balancer alone: they are of containers."""
    heading = _PLACE.match(block)
    if heading is None:
        return ""
    return heading[1] if " on " in heading[1] else f"{heading[1]} on docker"


def _runs(block: str) -> int:
    """The number of runs in the heading of a block; 0 without one."""
    number = re.search(r"(\d+) runs?\b", block)
    return int(number[1]) if number else 0
