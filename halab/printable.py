"""Make text from files and machines safe to show: it can neither control a terminal nor break an XML file."""

from __future__ import annotations

import re

# Control characters but newline and tab, marks that turn the direction of writing, and what XML 1.0 does not allow.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_VALUE_CHARACTERS = 60
_WORD_CHARACTERS = 200
_LINE_CHARACTERS = 2000
_REASON_CHARACTERS = 400


def printable(text: str) -> str:
    r"""The text with an escape such as `\x1b` in the place of every character that cannot be shown."""
    return _UNPRINTABLE.sub(_escape, text)


def brief(text: str) -> str:
    """A message, printable, with long words and long lines shortened: a value in it may be as long as its file."""
    words = re.sub(rf"\S{{{_WORD_CHARACTERS + 1},}}", lambda word: shortened(word[0]), text)
    return printable("\n".join(shortened(line, _LINE_CHARACTERS) for line in words.split("\n")))


def brief_line(text: str) -> str:
    """As `brief`, in one line."""
    return brief(text.replace("\n", "\\n").replace("\t", "\\t"))


def one_line(text: str) -> str:
    """A message of several lines in one: the first, which says what failed, and the last, which mostly says why."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    told = lines if len(lines) < 2 else [lines[0].rstrip(":"), lines[-1]]
    return printable(shortened(": ".join(told), _REASON_CHARACTERS))


def last_line(text: str) -> str:
    """The last line of what a program printed, which mostly says why it failed."""
    return (text.strip().splitlines() or ["no reason given"])[-1]


def shortened(text: str, most: int = _VALUE_CHARACTERS) -> str:
    """The text, or its beginning and how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def counted(number: int, noun: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def brief_value(text: str) -> str:
    """A value in one line, shortened."""
    return shortened(" ".join(text.split()))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
