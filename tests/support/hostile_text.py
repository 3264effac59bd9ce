"""Text that would control a terminal or fill the screen, and the harmless form that is shown instead."""

from __future__ import annotations

HOSTILE = "a\x1b[31mred\x00\x07\x9b2J\ufffe\r\nb\u202ec"


SHOWN = "a\\x1b[31mred\\x00\\x07\\x9b2J\\ufffe\\x0d\nb\\u202ec"


LONG = "x" * 100_000
