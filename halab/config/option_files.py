"""Options whose text is in a file of its own: `script: ./break.sh` is a file beside the scenario."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from halab.config import loading
from halab.config.fault_facts import EDIT_BALANCER
from halab.config.fault_rules import Finding
from halab.config.fault_spec import FaultSpec, is_path, with_texts
from halab.config.scenario import Scenario
from halab.config.step import format_options
from halab.config.yaml_source import Path as Where
from halab.errors import HalabError

_FILE_NAME = r"[\w.-]{1,100}(/[\w.-]{1,100}){0,5}"


def read(
    scenario: Scenario, faults: Mapping[str, FaultSpec], folder: Path
) -> tuple[dict[str, str], list[Finding]]:
    """The text of every file that an option names, by its path as written, and the files that cannot be read."""
    texts, problems = read_all(named(scenario, faults), folder)
    return texts, [*problems, *_without_dot(scenario, faults, folder)]


def _without_dot(scenario: Scenario, faults: Mapping[str, FaultSpec], folder: Path) -> Iterator[Finding]:
    """Texts that are the names of files beside the scenario: a file needs `./`, and this would be the text itself."""
    for index, step in scenario.numbered_injects:
        options = faults[step.fault].options if step.fault in faults else {}
        for name, value in step.arguments.items():
            is_text = name in options and options[name].is_text and not is_path(value)
            if is_text and re.fullmatch(_FILE_NAME, value) and (folder / value).is_file():
                what = f"is the name of a file beside the scenario: write ./{value}"
                yield ("steps", index, "with", name), what


def read_all(paths: Iterable[tuple[Where, str]], folder: Path) -> tuple[dict[str, str], list[Finding]]:
    """The same, for paths with the places where they are written."""
    texts: dict[str, str] = {}
    problems: list[Finding] = []
    for where, path in paths:
        try:
            texts[path] = loading.text_of(folder / path)
        except HalabError as error:
            problems.append((where, error.message))
    return texts, problems


def read_for(fault: FaultSpec, given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The options of one fault, with the texts of the files that they name. Raises HalabError if one is unreadable."""
    return with_texts(
        fault, given, {path: loading.text_of(folder / path) for _, path in _paths(fault, given)}
    )


def named(scenario: Scenario, faults: Mapping[str, FaultSpec]) -> Iterator[tuple[Where, str]]:
    """Where options name files, and the paths of these files."""
    twin = scenario.twin
    written: list[tuple[Where, str, Mapping[str, str]]] = [
        *((("steps", index), step.fault, step.arguments) for index, step in scenario.numbered_injects),
        *((("twin", "add", index), step.fault, step.arguments) for index, step in enumerate(twin.add or ())),
        *(
            (("twin", "replace", name), by.fault, format_options(by.options or {}))
            for name, by in twin.replacements.items()
        ),
    ]
    for where, fault, given in written:
        yield from named_by(where, fault, given, faults)
    if EDIT_BALANCER in faults:
        for name, path in _paths(faults[EDIT_BALANCER], twin.settings):
            yield ("twin", "set", "load_balancer", name), path


def named_by(
    where: Where, fault: str, given: Mapping[str, str], faults: Mapping[str, FaultSpec]
) -> Iterator[tuple[Where, str]]:
    """The same for the options of the step at `where`; nothing if there is no such fault."""
    if fault in faults:
        for name, path in _paths(faults[fault], given):
            yield (*where, "with", name), path


def _paths(fault: FaultSpec, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in given.items():
        if name in fault.options and fault.options[name].is_text and is_path(value):
            yield name, value
