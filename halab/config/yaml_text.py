"""Write plain values as YAML that reads the same everywhere: Python, Go, YAML 1.1 and 1.2."""

from __future__ import annotations

import re
from typing import Any

import yaml

# Text that no reader takes for a number, a time, a word such as `on` or a piece of syntax. Other text gets quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./_-]*", re.ASCII)
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"}
_TEXT = "tag:yaml.org,2002:str"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # lists are indented, as in the templates
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return dumper.represent_scalar(_TEXT, value, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    """The value as a document of YAML; a text is on one line, whatever is in it."""
    return yaml.dump(_plain(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))


def in_one_line(value: dict[str, Any] | list[Any]) -> str:
    """The mapping or list as people write it in one line: `{kind: haproxy}`."""
    flow = yaml.dump(
        _plain(value),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
        default_flow_style=True,
    )
    return str(flow).strip()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
