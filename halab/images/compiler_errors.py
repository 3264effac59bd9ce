"""What the Go compiler says about source code of the user's own, as problems with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halab.errors import BadFile, BadUsage, CommandFailed, Problem
from halab.images.checkout import Checkout

# `path:line:column: what`; the column may be missing.
_LINE = re.compile(r"^([^\s:#][^:\n]*\.go):(\d+)(?::\d+)?: (.+)$", re.MULTILINE)
# What Go says of a full disk, and of a compiler that the kernel has killed because memory ran out.
_NO_FAULT_OF_THE_CODE = re.compile(r"no space left on device|signal: killed", re.IGNORECASE)


@contextmanager
def explained(component: str, checkout: Checkout | None, folder: Path) -> Iterator[None]:
    """Raise BadFile, or BadUsage for an error without a line, if Go cannot build the code of a checkout.

    `folder` is where Go runs: it writes paths relative to it.
    """
    try:
        yield
    except CommandFailed as error:
        if checkout is None or error.code < 0 or _NO_FAULT_OF_THE_CODE.search(error.output):
            raise
        where = checkout.state.path
        problems = list(_problems(error.output, folder, checkout))
        if not problems:
            raise BadUsage(f"Go cannot build {component} from {where}:\n{error.output}") from error
        raise BadFile(problems, hint=f"Go cannot build {component} from {where}") from error


def _problems(output: str, folder: Path, checkout: Checkout) -> Iterator[Problem]:
    for path, line, what in _LINE.findall(output):
        place = (folder / path).resolve()
        if place.is_relative_to(checkout.path):
            place = Path(checkout.state.path) / place.relative_to(checkout.path)
        yield Problem(str(place), int(line), "", what)
