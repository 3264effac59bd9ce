"""What the testinfra checks of a run found: pytest's JUnit file, read back."""

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
    """One test of a check file; `text` is why it did not pass, `detail` the end of what pytest printed."""

    file: str
    name: str
    state: CheckState
    seconds: float
    text: str = ""
    detail: str = ""

    def is_of(self, path: str) -> bool:
        """Whether it is a test of that file; where that could not be imported, pytest's name is the file's."""
        parts = PurePosixPath(path).with_suffix("").parts
        where = f"{self.file}.{self.name}." if self.file else f"{self.name}."
        # by its name alone in records from before runs kept their check files
        return where.startswith((f"{'.'.join(parts)}.", f"{parts[-1]}."))


_STATES = {Failure: CheckState.FAILED, Error: CheckState.ERROR, Skipped: CheckState.SKIPPED}

# What pytest puts before a message that is in plain words already.
_PREFIX = re.compile(r'^(failed on \w+ with ")?(?:AssertionError|Failed|halab\.errors\.\w+): ')


def read(path: Path) -> Sequence[CheckResult] | None:
    """The results, or None where no checks ran."""
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
        # a test can fail and then not be cleaned up either: the failure is what was learned
        if type(entry) in _STATES and state is not CheckState.FAILED:
            state, text, detail = _STATES[type(entry)], entry.message or "", entry.text or ""
    return CheckResult(
        file=case.classname or "",
        name=case.name or "",
        state=state,
        seconds=case.time or 0.0,
        text=brief(_PREFIX.sub(r"\1", text.splitlines()[0])) if text else "",
        detail="\n".join(detail.splitlines()[-40:]),
    )
