"""Run one check on a fake host."""

from __future__ import annotations

from typing import Any

from halab.doctor import examine
from halab.doctor.check import HostCheckResult
from support.fake_host import FakeHost, place_of


def run_check(name: str, host: FakeHost, **written: Any) -> HostCheckResult:
    report = examine(place_of(**written), host)
    return next(result for result in report.results if result.name == name)
