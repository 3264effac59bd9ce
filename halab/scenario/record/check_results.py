"""The results of a run's testinfra checks, read from pytest's JUnit file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import ParseError

from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite

from halab.errors import Corrupted
from halab.printable import brief


class CheckState(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"  # could not run
    SKIPPED = "skipped"


@dataclass(frozen=True)
class CheckResult:
    """One test of a check file; `text` is why it did not pass, `detail` is the end of pytest's output.

    `raised` is the type of the exception if it was not an assertion: the test itself is wrong, or could not ask.
    """

    file: str
    name: str
    state: CheckState
    seconds: float
    text: str = ""
    detail: str = ""
    raised: str = ""

    def is_of(self, path: str) -> bool:
        """True for a test of that file. If pytest could not import the file, the test has the name of the file."""
        parts = PurePosixPath(path).with_suffix("").parts
        where = f"{self.file}.{self.name}." if self.file else f"{self.name}."
        # earlier versions recorded only the name of the file, without its folder
        return where.startswith((f"{'.'.join(parts)}.", f"{parts[-1]}."))


_STATES = {Failure: CheckState.FAILED, Error: CheckState.ERROR, Skipped: CheckState.SKIPPED}

# What pytest writes before the message of an assertion.
_PREFIX = re.compile(r'^(failed on \w+ with ")?(?:AssertionError|Failed|halab\.errors\.\w+): ')
# The type of any other exception.
_RAISED = re.compile(r'^(?:failed on \w+ with ")?(?!AssertionError|Failed)((?:\w+\.)*[A-Z]\w*)(?::|$)')


def read(path: Path) -> Sequence[CheckResult] | None:
    """The results; None if no checks ran, Corrupted if they cannot be read."""
    if not path.is_file() or path.stat().st_size == 0:
        return None
    try:
        parsed = JUnitXml.fromfile(str(path))
    except (ParseError, JUnitXmlError) as error:
        raise Corrupted(f"cannot read {path}: {error}") from error
    suites = [parsed] if isinstance(parsed, TestSuite) else list(parsed)
    return [_result(case) for suite in suites for case in suite]


def _result(case: TestCase) -> CheckResult:
    state, text, detail = CheckState.PASSED, "", ""
    for entry in case.result:
        # a test can fail and then also fail to clean up: the first failure counts
        if type(entry) in _STATES and state is not CheckState.FAILED:
            state, text, detail = _STATES[type(entry)], entry.message or "", entry.text or ""
    raised = _RAISED.match(text.splitlines()[0]) if text else None
    return CheckResult(
        file=case.classname or "",
        name=case.name or "",
        state=state,
        seconds=case.time or 0.0,
        text=brief(_PREFIX.sub(r"\1", text.splitlines()[0])) if text else "",
        detail="\n".join(detail.splitlines()[-40:]),
        raised=raised[1] if raised else "",
    )
